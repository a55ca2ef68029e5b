"""`Live`: changed files are used, broken ones are reported once, and the last good version stays in use."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from notifier.errors import ConfigurationError, Problem
from notifier.rules.catalog import Catalog
from notifier.rules.live import Live
from tests.servers.patience import PATIENCE_S, poll
from tests.unit.rules.trees import FOLDER, Tree


@pytest.fixture
def word(tmp_path: Path) -> Path:
    """A folder with one file."""
    (tmp_path / "word.txt").write_text("one")
    return tmp_path


def reader(root: Path) -> Callable[[], str]:
    def read() -> str:
        text = (root / "word.txt").read_text()
        if text.startswith("broken"):
            raise ConfigurationError([Problem("word.txt:1", text)])
        return text

    return read


def test_a_changed_file_is_used_after_the_next_look_and_who_asks_does_not_look(word: Path) -> None:
    # Given
    seen: list[str] = []
    live = Live(reader(word), word, on_reload=seen.append)
    (word / "word.txt").write_text("three")

    # Then
    assert live.current == "one"
    assert live.poll() is True
    assert live.current == "three"
    assert seen == ["three"]


def test_files_that_change_while_they_are_read_are_read_again(word: Path) -> None:
    # Given two files that belong together, and somebody who saves the second while the first has been read
    (word / "other.txt").write_text("one")
    saved: list[str] = []

    def read() -> tuple[str, str]:
        first = (word / "word.txt").read_text()
        if first == "two" and not saved:
            (word / "word.txt").write_text("three")
            (word / "other.txt").write_text("three")
            saved.append("three")
        return first, (word / "other.txt").read_text()

    seen: list[tuple[str, str]] = []
    live = Live(read, word, on_reload=seen.append)

    # When
    (word / "word.txt").write_text("two")
    live.poll()

    # Then nobody has seen one file of before and another of after
    assert seen == [("three", "three")]
    assert live.current == ("three", "three")


def test_looks_and_loads_are_run_aside_and_the_next_version_is_made_from_the_one_in_use(word: Path) -> None:
    # Given
    threads: list[str] = []

    def aside(do: Callable[[], object]) -> object:
        thread = threading.Thread(target=lambda: found.append(do()), name="aside")
        found: list[object] = []
        thread.start()
        thread.join()
        return found[0]

    def renew(before: str) -> str:
        threads.append(threading.current_thread().name)
        return f"{before}, {reader(word)()}"

    live = Live(reader(word), word, renew=renew, aside=aside)

    # When
    (word / "word.txt").write_text("two")

    # Then
    assert live.poll() is True
    assert live.current == "one, two"
    assert threads == ["aside"]


@pytest.mark.parametrize("change", ["new file", "new file below", "deleted", "same size", "renamed"])
def test_every_kind_of_change_is_seen(word: Path, change: str) -> None:
    # Given
    other = word / "other.txt"
    other.write_text("x")
    live = Live(reader(word), word)

    # When
    if change == "new file":
        (word / "new.txt").write_text("")
    elif change == "new file below":
        (word / "folder").mkdir()
        (word / "folder" / "new.txt").write_text("")
    elif change == "deleted":
        other.unlink()
    elif change == "same size":
        os.utime(other, ns=(1, 1))
    else:
        other.rename(word / "another.txt")

    # Then
    assert live.poll() is True
    assert live.poll() is False


def test_an_editor_s_hidden_files_are_no_change(word: Path) -> None:
    live = Live(reader(word), word)
    (word / ".word.txt.swp").write_text("")
    assert live.poll() is False


def test_broken_files_keep_the_last_good_version_and_are_reported_once(word: Path) -> None:
    # Given
    errors: list[ConfigurationError] = []
    live = Live(reader(word), word, on_error=errors.append)

    # When
    (word / "word.txt").write_text("broken one")
    assert [live.poll(), live.poll(), live.poll()] == [False, False, False]

    # Then
    assert live.current == "one"
    assert [str(error.problems[0]) for error in errors] == ["word.txt:1: broken one"]
    assert live.error is errors[0]

    # When they are mended
    (word / "word.txt").write_text("two")

    # Then
    assert live.poll() is True
    assert live.current == "two"
    assert not live.error


def test_a_process_with_broken_files_does_not_start(word: Path) -> None:
    (word / "word.txt").write_text("broken")
    with pytest.raises(ConfigurationError):
        Live(reader(word), word)


def test_a_folder_that_goes_away_and_comes_back_costs_nothing(tree: Tree) -> None:
    # Given
    tree.rule("channel: webhook")
    errors: list[ConfigurationError] = []
    live: Live[Catalog] = Live(tree.load, tree.root, on_error=errors.append)

    # When
    away = tree.root.rename(tree.root.with_name("away"))
    assert live.poll() is False

    # Then
    assert len(live.current.rules) == 1
    assert len(errors) == 1
    away.rename(tree.root)
    assert live.poll() is True


def test_whoever_asks_while_another_reloads_gets_the_last_good_version_at_once(word: Path) -> None:
    # Given a reload that is under way and cannot end
    started, may_end = threading.Event(), threading.Event()

    def read() -> str:
        if threading.current_thread().name == "reloader":
            started.set()
            assert may_end.wait(PATIENCE_S)
            return "two"
        return "one"

    live = Live(read, word)
    (word / "word.txt").write_text("two")
    reloader = threading.Thread(target=live.poll, name="reloader")
    reloader.start()
    assert started.wait(PATIENCE_S)

    # Then
    try:
        assert live.poll() is False
        assert live.current == "one"
    finally:
        may_end.set()
        reloader.join()
    assert live.current == "two"


def test_an_edited_rule_is_planned_by_without_a_restart(tree: Tree) -> None:
    # Given
    tree.rule("channel: email\nto: data.a")
    live: Live[Catalog] = Live(tree.load, tree.root)

    # When
    tree.rule("channel: email\nto: data.other")

    # Then
    assert live.poll() is True
    rule = live.current.rule(f"{FOLDER}/one")
    assert rule is not None
    assert rule.to == "data.other"


def test_a_mistake_is_noticed_although_nobody_asks(word: Path) -> None:
    # Given files that are watched
    told: list[ConfigurationError] = []
    live = Live(reader(word), word, on_error=told.append)
    live.watch(every=0.01)

    # When they break, and no event comes
    (word / "word.txt").write_text("broken too")

    # Then it is told once
    poll(lambda: len(told) == 1, "the mistake is told")
    assert live.error is told[0]


def test_the_watch_ends_with_what_it_watches(word: Path) -> None:
    # Given
    live = Live(reader(word), word)
    before = set(threading.enumerate())
    live.watch(every=0.01)
    (thread,) = set(threading.enumerate()) - before

    # When nobody uses it any more
    del live

    # Then
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_a_file_that_cannot_be_read_is_told_as_a_mistake_and_the_watch_goes_on(word: Path) -> None:
    # Given
    told: list[str] = []
    live = Live(reader(word), word, on_error=lambda error: told.append(str(error)))

    # When the file goes while another one is saved, and comes back
    (word / "word.txt").rename(word / "gone.txt")
    assert live.poll() is False
    (word / "word.txt").write_text("three")

    # Then
    assert live.poll() is True
    assert live.current == "three"
    (mistake,) = told
    assert "cannot be read" in mistake
    assert "word.txt" in mistake
