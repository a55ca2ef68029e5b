"""Every decision page has one form: number, date, status, a summary, its numbers first, and few words."""

import datetime
import re
from pathlib import Path

import pytest

DECISIONS = Path(__file__).parents[2] / "docs/decisions"
PAGES = sorted(page for page in DECISIONS.glob("*.md") if page.name != "README.md")
MOST_WORDS = 600
SECTIONS = ["Context", "Decision", "Consequences", "Rejected", "Tests"]

_STATUS = r"accepted|accepted, narrowed by \[\d+\]\(\S+\)|superseded by \[\d+\]\(\S+\)"
_HEAD = re.compile(rf"# (\d+)\. (\S.*)\n\nDate: (\d{{4}}-\d\d-\d\d)\. Status: ({_STATUS})\.\n\n(?=\w)")
_ROW = re.compile(r"^\| \[(\d+)\]\((\S+)\) \| (.+?) \| (\S+) \| (.+?) \| (\S.*) \|$", re.MULTILINE)

page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@page
def test_it_begins_with_its_number_date_and_status(page: Path) -> None:
    number, _, date, _ = head(page)

    assert page.name.startswith(f"{int(number):04d}-")
    assert datetime.date.fromisoformat(date)


@page
def test_its_summary_has_two_or_three_sentences(page: Path) -> None:
    summary = text(page)[len(matched(page)[0]) :].partition("\n\n")[0]

    assert 2 <= len(re.findall(r"[.?!](?=\s|$)", summary)) <= 3, summary


@page
def test_it_has_the_sections_of_all_others_in_their_order(page: Path) -> None:
    assert re.findall(r"^## (.+)$", text(page), flags=re.MULTILINE) == SECTIONS


@page
def test_tables_of_measurements_stand_before_the_text(page: Path) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", text(page).partition("\n## ")[2], flags=re.MULTILINE):
        assert not re.search(r"^\| *Measured", table), "a table of measurements is for the top of the page"
    assert "**Measured**" not in text(page)


@page
def test_it_has_no_more_words_than_somebody_reads_at_once(page: Path) -> None:
    assert len(text(page).split()) <= MOST_WORDS, "tables of measurements have a place in docs/performance/tried.md"


def test_numbers_are_given_once_and_in_the_order_of_the_dates() -> None:
    heads = [head(page) for page in PAGES]

    assert [int(number) for number, *_ in heads] == list(range(1, len(PAGES) + 1))
    assert [date for _, _, date, _ in heads] == sorted(date for _, _, date, _ in heads)


def test_the_index_lists_each_page_as_it_says_itself() -> None:
    rows = {name: row for row in _ROW.findall(text(DECISIONS / "README.md")) for name in [row[1]]}

    assert list(rows) == [page.name for page in PAGES]
    for page in PAGES:
        number, title, date, status = head(page)
        assert rows[page.name][:5] == (number, page.name, title, date, status)


def head(page: Path) -> tuple[str, str, str, str]:
    number, title, date, status = matched(page).groups()
    return number, title, date, status


def matched(page: Path) -> re.Match[str]:
    found = _HEAD.match(text(page))
    assert found, f"{page.name} begins otherwise than `# N. Title`, `Date: 2026-11-21. Status: accepted.` and a summary"
    return found


def text(page: Path) -> str:
    return page.read_text()
