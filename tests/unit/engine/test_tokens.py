"""Where the token of a login comes from, and that it is never told."""

import asyncio
import sys
from pathlib import Path

import pytest

from notifier.engine.tokens import CommandToken, FileToken, TokenUnavailable
from tests.unit.engine.factories import Clock


def test_a_file_is_read_for_each_login(tmp_path: Path) -> None:
    file = tmp_path / "token"
    source = FileToken(file)
    file.write_text("first\n")
    assert asyncio.run(source.token()) == "first"

    file.write_text("second")

    assert asyncio.run(source.token()) == "second"
    assert not source.refused("second")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"access_token": "secret-1"}', "JSON"),
        (b"", "0 bytes"),
        (b"secret-1 secret-2", "17 bytes"),
        (b"secret-1\r\nX-Header: 1", "21 bytes"),
        ("sécret-1".encode(), "9 bytes"),
        (b"s" * 16385, "16385 bytes"),
    ],
)
def test_what_is_no_token_is_told_without_its_content(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)

    with pytest.raises(TokenUnavailable, match=why) as told:
        asyncio.run(FileToken(file).token())

    assert "secret" not in str(told.value)
    assert str(file) in str(told.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TokenUnavailable, match="No such file"):
        asyncio.run(FileToken(tmp_path / "token").token())


def counting(tmp_path: Path, clock: Clock) -> CommandToken:
    """A command that prints another token each time it runs."""
    program = (
        f"import pathlib; p = pathlib.Path({str(tmp_path / 'runs')!r});"
        "n = len(p.read_text()) if p.exists() else 0; p.write_text('x' * (n + 1)); print(f'token-{n}')"
    )
    return CommandToken([sys.executable, "-S", "-c", program], {}, seconds=100.0, clock=clock)


def test_a_command_runs_once_for_all_who_wait_and_again_when_its_time_is_over(tmp_path: Path) -> None:
    clock = Clock()

    async def run() -> list[str]:
        source = counting(tmp_path, clock)
        found = await asyncio.gather(source.token(), source.token(), source.token())
        clock.now += 100.0
        return [*found, await source.token()]

    assert asyncio.run(run()) == ["token-0", "token-0", "token-0", "token-1"]


def test_a_kept_token_that_was_refused_is_asked_for_anew_and_a_new_one_is_not_asked_for_twice(tmp_path: Path) -> None:
    async def run() -> list[object]:
        source = counting(tmp_path, Clock())
        first = await source.token()
        fresh_refused = source.refused(first)
        second = await source.token()
        await source.token()
        return [fresh_refused, second, source.refused(second), source.refused("of another time"), await source.token()]

    assert asyncio.run(run()) == [False, "token-1", True, True, "token-2"]


def test_a_command_that_fails_is_told_with_what_to_do() -> None:
    async def run() -> None:
        await CommandToken([sys.executable, "-S", "-c", "raise SystemExit(3)"], {}, seconds=1.0, clock=Clock()).token()

    with pytest.raises(TokenUnavailable, match="ended with status 3; run it by hand"):
        asyncio.run(run())
