"""`Speed`: how fast this machine computes while a run goes on.

A shared machine computes half as fast in one minute as in the next, and nothing in it says so: its hypervisor's other
guests are not seen. So a process beside the run does the same small piece of work again and again and notes what CPU
time that takes. Rates of runs that were slowed alike become comparable when they are multiplied by it.
"""

import signal
import sys
import time
from pathlib import Path
from statistics import fmean
from types import TracebackType

from tests.servers.processes import start, stop_group

#: Seconds between two pieces of work, which take about a millisecond: 2 % of a CPU, of every run alike.
_EVERY_S = 0.05
_ROUNDS = 2000


class Speed:
    """Runs beside what is measured, from entering to leaving."""

    def __init__(self, directory: Path) -> None:
        self._notes = directory / "speed"
        self._notes.touch()
        self._process = start([sys.executable, "-m", "tests.bench.speed", str(self._notes)], directory / "speed.log")

    def __enter__(self) -> "Speed":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stop_group(self._process, signal.SIGTERM)

    def piece_s(self, began: float, ended: float) -> float:
        """CPU seconds that a piece of work took between two moments, their mean. Raises when there was none."""
        whole = self._notes.read_text().rpartition("\n")[0]
        pieces = [tuple(map(float, line.split())) for line in whole.splitlines()]
        return fmean(cpu for moment, cpu in pieces if began <= moment <= ended)


def _work() -> int:
    """Small objects made and looked at, as most of a worker's work is; few at once, so that caches stay out of it."""
    found = 0
    for number in range(_ROUNDS):
        text = f"event-{number}"
        found += text.encode().find(b"9") + len(text.split("-"))
    return found


def main(notes: Path) -> None:
    """Works until it is ended."""
    with notes.open("a", buffering=1) as lines:
        while True:
            began = time.thread_time()
            _work()
            lines.write(f"{time.monotonic()} {time.thread_time() - began}\n")
            time.sleep(_EVERY_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
