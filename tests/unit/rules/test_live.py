"""`Live`: changed files are used, broken ones are reported once, and the last good version stays in use."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from notifier.errors import ConfigurationError, Problem
from notifier.rules.catalog import Catalog
from notifier.rules.live import LOOK_EVERY_S, Live
from tests.servers.patience import PATIENCE_S, poll
from tests.unit.rules.trees import FOLDER, Tree


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


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


def test_a_changed_file_is_used_at_the_next_look_and_looks_are_a_second_apart(word: Path) -> None:
    # Given
    clock, seen = Clock(), list[str]()
    live = Live(reader(word), word, on_reload=seen.append, clock=clock)
    (word / "word.txt").write_text("three")

    # Then
    clock.now = LOOK_EVERY_S / 2
    assert live.current == "one"
    clock.now = LOOK_EVERY_S
    assert live.current == "three"
    assert live.current == "three"
    assert seen == ["three"]


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
