"""How far long work has come, on stderr: a bar in a terminal, a line every ten seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.bench.waiting import until

#: Seconds between two lines where there is no terminal.
_LINE_EVERY_S = 10.0

Advance = Callable[[float], None]
"""Called with how far the work has come."""


def say(text: str) -> None:
    """One line for who watches."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextmanager
def shown(what: str, total: float) -> Iterator[Advance]:
    """Shows a piece of work while it runs."""
    if not sys.stderr.isatty():
        yield _lines(what, total)
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=min(done, total))


def until_count(count: Callable[[], int], total: int, what: str, *, timeout: float, every: float = 0.02) -> float:
    """Wait until something has been counted so often; returns the moment (monotonic) at which it was seen."""
    with shown(what, total) as advance:

        def reached() -> bool:
            now = count()
            advance(now)
            return now >= total

        return until(reached, f"{total:,} {what}", every=every, timeout=timeout)


def rest(seconds: float, what: str) -> None:
    """Let time pass."""
    began = time.monotonic()
    with shown(what, seconds) as advance:
        while (passed := time.monotonic() - began) < seconds:
            advance(round(passed))
            time.sleep(min(0.5, seconds - passed))


def _lines(what: str, total: float) -> Advance:
    last = [time.monotonic()]

    def advance(done: float) -> None:
        if time.monotonic() - last[0] >= _LINE_EVERY_S:
            last[0] = time.monotonic()
            say(f"  {what}: {done:,.0f} of {total:,.0f}")

    return advance
