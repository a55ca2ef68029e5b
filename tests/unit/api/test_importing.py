"""Imports: whatever bytes come, each line is a person or a mistake with its number, and no line is lost."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.api import importing
from notifier.api.importing import Import, Imported, Mistake, csv_batches, json_batches, read_json
from notifier.api.lines import LONGEST, Line, Lines
from notifier.domain.recipient import Recipient
from notifier.errors import StorageUnavailable
from notifier.storage.recipients import Stored

KIM = Recipient("user-1", "kim@example.org", "Kim", "de-AT", "Europe/Vienna")


class Kept:
    """People as they would be stored."""

    def __init__(self) -> None:
        self.people: dict[str, Recipient] = {}

    def put(self, people: Sequence[Recipient]) -> Stored:
        self.people |= {person.id: person for person in people}
        return Stored(added=len(people))


def lines_of(data: bytes) -> list[Line]:
    lines = Lines()
    return [*lines.feed(data), *lines.end()]


def imported(data: bytes, *, is_csv: bool = False) -> tuple[dict[str, Recipient], Imported]:
    kept = Kept()
    taken = Import(kept.put)
    read = csv_batches if is_csv else json_batches
    taken.take_all(read(lines_of(data)), lambda done: None)
    return kept.people, taken.done


def as_json(person: Recipient) -> bytes:
    fields = ("id", "email", "name", "locale", "timezone", "phone", "addresses")
    return json.dumps({name: getattr(person, name) for name in fields}).encode()


@given(st.binary(max_size=200).map(lambda data: data.replace(b"a", b"\n")), st.lists(st.integers(0, 200)))
def test_lines_are_the_same_in_whatever_parts_they_come(data: bytes, cuts: list[int]) -> None:
    # Given any bytes, cut anywhere
    places = sorted({cut for cut in cuts if cut < len(data)})
    parts = [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
    lines = Lines()
    found = [line for part in parts for line in lines.feed(part)] + list(lines.end())
    # Then there is one line for each that a reader sees, numbered from 1
    texts = data.split(b"\n")
    whole = texts[:-1] if not texts[-1] else texts
    assert [line.number for line in found] == list(range(1, len(whole) + 1))
    assert [line.text for line in found][1:] == [text.removesuffix(b"\r") for text in whole[1:]]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert lines_of(b"\xef\xbb\xbfa\r\nb") == [Line(1, b"a"), Line(2, b"b")]


def test_a_line_of_any_length_is_bounded_and_told() -> None:
    # Given a line of a megabyte that comes in parts, between two people
    lines = Lines()
    parts = [as_json(KIM) + b"\n", *[b"x" * 65_536] * 16, b"\n" + as_json(KIM)]
    found = [line for part in parts for line in lines.feed(part)] + list(lines.end())
    # Then it is a mistake, and nothing of it is kept
    assert [line.number for line in found if line.text is None] == [2]
    assert read_json(found) == [KIM, Mistake(2, "", f"the line is longer than {LONGEST:,} bytes"), KIM]


def test_people_are_checked_as_one_put_checks_them_and_told_by_their_line() -> None:
    data = b"\n".join(
        [
            as_json(KIM),
            b"",
            b'{"id": "user-2", "phone": "+49 170 1234567"}',
            b'{"id": "user-3"}',
            b'{"id": "me@example.org", "email": "me@example.org"}',
            b'{"id": "user-5", "email": "no address"}',
            b'{"id": "user-6", "email": "six@example.org", "timezone": "Mars/Olympus"}',
            b'{"id": "user-7", "mail": "seven@example.org"}',
            b'{"id": "user-8", "email": 8}',
            b"[]",
            b'{"id": "user-10", "email": "ten@example.org"',
            b'{"email": "eleven@example.org"}',
            b'{"id": "user-12", "email": "\xff@example.org"}',
        ]
    )

    people, done = imported(data)

    assert people == {"user-1": KIM, "user-2": Recipient("user-2", phone="+491701234567")}
    assert (done.lines, done.people, done.mistakes, done.stored) == (13, 2, 10, Stored(added=2))
    assert [(one.line, one.where) for one in done.told] == [
        *((4, ""), (5, ""), (6, ""), (7, ""), (8, "mail"), (9, "email"), (10, ""), (11, ""), (12, "id"), (13, "")),
    ]
    # And no mistake quotes an address, but one that was given for an id
    assert [one.line for one in done.told if "example" in one.why] == [5]


_TEXTS = st.one_of(
    st.just(as_json(KIM)),
    st.builds(lambda i: b'{"id":"user-%d","email":"p@example.org"}' % i, st.integers(0, 9)),
    # What is right together and wrong line by line.
    st.sampled_from(
        [
            b'{"id":"x}',
            b'{", "email":"p@example.org"}',
            b'{"id":"a","addresses":{}',
            b'{"id":"a"},{"id":"b"}',
            b'{"a":[{}',
        ]
    ),
    st.sampled_from(
        [b"{}]}", b'"email":"p@example.org"}', b"{", b"}", b"\xff", b"null", b'{"id":"\\ud800"}', b"{},{}"]
    ),
    st.binary(max_size=30).map(lambda data: data.replace(b"\n", b" ")),
)


@given(st.lists(_TEXTS, max_size=12))
def test_lines_read_together_are_what_each_is_by_itself(texts: list[bytes]) -> None:
    lines = [Line(number, text) for number, text in enumerate(texts, 1)]

    assert read_json(lines) == [one for line in lines for one in read_json([line])]
    numbers = [one.line for one in read_json(lines) if isinstance(one, Mistake)]
    assert numbers == sorted(numbers)


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_break_an_import(data: bytes, is_csv: bool) -> None:
    _, done = imported(b"id,email\n" * is_csv + data, is_csv=is_csv)

    assert done.people + done.mistakes <= done.lines
    assert all(1 <= one.line <= done.lines for one in done.told)


_CELLS = st.text(st.sampled_from('ab,;"\n\r \t'), max_size=6)


@given(st.lists(st.tuples(_CELLS, st.sampled_from(["kim@example.org", "no address"])), max_size=8))
def test_rows_of_csv_are_told_by_the_line_they_begin_at(rows: list[tuple[str, str]]) -> None:
    # Given rows whose names may have line ends in quotes
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["id", "name", "email"])
    begins = []
    for number, (name, email) in enumerate(rows):
        begins.append(file.getvalue().count("\n") + 1)
        writer.writerow([f"user-{number}", name, email])

    people, done = imported(file.getvalue().encode(), is_csv=True)

    # Then who has a name of one line and an address is stored, and all others are told by the row's first line
    wrong = {
        at for at, (name, email) in zip(begins, rows, strict=True) if email != "kim@example.org" or "\n" in name.strip()
    }
    assert wrong <= {one.line for one in done.told} <= set(begins)
    assert len(people) + done.mistakes == len(rows)


def test_csv_as_spreadsheets_write_it_is_read() -> None:
    # Given semicolons, a byte order mark, Windows' line ends, cells that are empty, addresses, and a row too long
    data = (
        "\ufeffid;email;name;addresses.push;phone\r\n"
        'user-1;kim@example.org;"Kim; Doe";;\r\n'
        ";;;;\r\n"
        "user-2;;;Token[x];+49 170 1234567\r\n"
        "user-3;a@example.org;;;;;;\r\n"
    ).encode()

    people, done = imported(data, is_csv=True)

    assert people == {
        "user-1": Recipient("user-1", "kim@example.org", "Kim; Doe"),
        "user-2": Recipient("user-2", phone="+491701234567", addresses={"push": "Token[x]"}),
    }
    assert done.told == [Mistake(5, "", "the row has 8 cells, more than there are columns")]


@pytest.mark.parametrize("header", [b"", b"email\n", b"id,mail\n", b"id,id\n", b"id,addresses.\n", b"\xff,id\n"])
def test_a_table_without_the_names_of_its_columns_is_told_so(header: bytes) -> None:
    people, done = imported(header + b"user-1,kim@example.org\n", is_csv=True)

    assert (people, done.mistakes, done.told[0].line) == ({}, 1, 1)
    assert "the first line names the columns: email, name, locale, timezone, phone, id" in done.told[0].why


def test_many_mistakes_are_counted_and_the_first_hundred_told() -> None:
    _, done = imported(b"x\n" * 1700)

    assert (done.lines, done.mistakes, len(done.told)) == (1700, 1700, importing.TOLD)
    assert [one.line for one in done.told] == list(range(1, 101))


def test_what_is_cut_off_says_how_far_it_came() -> None:
    # Given a store that is away from the third batch on
    kept: list[Any] = []

    def put(people: Sequence[Recipient]) -> Stored:
        if len(kept) == 2:
            raise StorageUnavailable("away")
        kept.append(people)
        return Stored(added=len(people))

    taken = Import(put)
    told: list[int] = []
    with pytest.raises(StorageUnavailable):
        taken.take_all(json_batches(lines_of((as_json(KIM) + b"\n") * 1800)), told.append)

    # Then what is said is what was stored
    assert taken.done.lines == 2 * importing.BATCH
    assert told == [importing.BATCH, 2 * importing.BATCH]
