"""What a command prints, without asyncio's own way, which takes SIGCHLD over."""

import asyncio
import sys
from pathlib import Path

import pytest

from notifier.engine.commands import MOST_OUTPUT, CommandFailed, output_of
from tests.servers.patience import PATIENCE_S, poll


def run(program: str, seconds: float = PATIENCE_S, **environment: str) -> bytes:
    return asyncio.run(output_of([sys.executable, "-S", "-c", program], environment, seconds))


def test_what_it_prints_is_given_and_what_it_complains_about_is_not() -> None:
    assert run("import sys, os; print(os.environ['WHO']); print('oh', file=sys.stderr)", WHO="ann") == b"ann\n"


def test_it_sees_no_other_variables_and_no_input() -> None:
    printed = run("import sys, os; print('HOME' in os.environ, sys.stdin.read() == '')")

    assert printed == b"False True\n"


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("raise SystemExit(7)", "ended with status 7"),
        ("import os; os.kill(os.getpid(), 9)", "ended with status -9"),
        (f"print('x' * {MOST_OUTPUT + 1})", f"more than {MOST_OUTPUT} bytes"),
    ],
)
def test_a_failure_is_told(program: str, why: str) -> None:
    with pytest.raises(CommandFailed, match=why):
        run(program)


def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(CommandFailed, match="cannot start /nowhere/at-all"):
        asyncio.run(output_of(["/nowhere/at-all"], {}, 1.0))


def test_one_that_takes_too_long_is_ended_with_what_it_has_started(tmp_path: Path) -> None:
    # Given a command that starts another one, and both would sleep for long
    child = tmp_path / "child"
    program = (
        "import os, time\n"
        "child = os.fork()\n"
        f"if child: open({str(child)!r} + '.new', 'w').write(str(child)); "
        f"os.rename({str(child)!r} + '.new', {str(child)!r})\n"
        "time.sleep(600)"
    )

    before = children()

    with pytest.raises(CommandFailed, match="took longer than 1 s"):
        run(program, 1.0)

    # Then neither of them runs any more, whoever collects the second one
    poll(lambda: is_over(int(child.read_text())), "the command's own child has ended")
    assert children() <= before


def children() -> set[str]:
    """Of this process, those included that have ended and that nobody has collected."""
    return {child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()}


def is_over(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
