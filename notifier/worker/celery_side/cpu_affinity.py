"""`CpuAffinity`: the hub's thread and the engine's share one CPU while their process is busy.

Python's lock lets one of the two run at a time. On two CPUs each turn wakes the other CPU up, and what one thread has
made the other one reads out of a foreign cache: 0.29 CPU-s per 1,000 mails, and 0.22 on one CPU, where a process sends
half as many again (docs/performance/figures.md). The kernel sees two threads that want to run and keeps them apart.

Which CPU: the one the hub's thread is on, until others want it too and there is room on another one. An idle process is
left to the kernel, and so is one whose affinity somebody set while it ran (`taskset`, a cpuset): theirs is the last
word.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: Seconds between two looks, give or take a quarter, so that processes of one machine do not look in step; and until
#: the next one while it is not yet clear who stays where: two processes on one CPU do half of what they could.
EVERY_S, SOON_S = 0.5, 0.15
#: Of a CPU: whoever uses less has little to win and is left to the kernel.
BUSY = 0.2
#: Of a CPU: a process moves when all together use more than `FULL` of the one it is on and others more than `SHARED` of
#: it, to one of which nobody uses `ROOM`.
FULL, SHARED, ROOM = 0.9, 0.25, 0.05


@dataclass(frozen=True, slots=True)
class _Reading:
    """CPU seconds used up to a moment."""

    at: float
    """Seconds, of a clock that does not jump."""
    own: float
    """By this process."""
    used: Mapping[int, float]
    """Of each CPU, by anybody; what a hypervisor gave to others counts too."""

    def parts_since(self, before: _Reading) -> tuple[dict[int, float], float]:
        """What part of each CPU was used between two readings, and what part of one by this process."""
        seconds = max(self.at - before.at, 1e-9)
        used = {cpu: (self.used[cpu] - before.used[cpu]) / seconds for cpu in before.used}
        return used, (self.own - before.own) / seconds


def better_cpu(used: Mapping[int, float], own: float, here: int, allowed: Collection[int]) -> int | None:
    """Where there is room while ``here``, which all of this process ran on, is shared and full; None when nowhere.

    ``used`` is of each CPU what part of it was, by anybody, and ``own`` what part of ``here`` was by this process.

    Not where others use less than here: two processes that are kept on one CPU halve it, and all that the kernel places
    then goes to the other one, until that has half as much to do as well.
    """
    others = {cpu: used[cpu] for cpu in sorted(allowed) if cpu in used and cpu != here}
    if not others or here not in allowed or here not in used:
        return None
    best = min(others, key=others.__getitem__)
    is_shared = used[here] > FULL and used[here] - own > SHARED
    return best if is_shared and others[best] < 1 - ROOM else None


class CpuAffinity:
    """Places some threads of this process together; `look` from time to time, always on the same thread."""

    def __init__(
        self, threads: Sequence[int], *, busy: float = BUSY, used: Callable[[], Mapping[int, float]] | None = None
    ) -> None:
        """``threads`` are native ids; where the first one runs is where it begins."""
        self._threads = tuple(threads)
        self.busy = busy
        """Of a CPU: what its process must use to be kept together."""
        self._used = used or used_of_each
        self._allowed = self._set = set[int]()
        """CPUs it was given, and those it has set; the first look finds both."""
        self._looked_at, self._own = time.monotonic(), time.process_time()
        self._here = -1
        self._before: _Reading | None = None
        """When it was last seen to be busy; None while the kernel places it."""

    def look(self) -> float:
        """See what was used since the last look, and move, stay or let go. Raises `OSError` where that is forbidden.

        Returns the seconds until it is worth another look.
        """
        at, own = time.monotonic(), time.process_time()
        part = (own - self._own) / max(at - self._looked_at, 1e-9)
        self._looked_at, self._own = at, own
        mask = os.sched_getaffinity(self._threads[0])
        if mask != self._set:
            self._allowed = self._set = mask
            self._before = None
        if len(self._allowed) < 2:
            return EVERY_S
        if part > self.busy:
            return EVERY_S if self._stays(_Reading(at, own, self._used())) else SOON_S
        self._before = None
        self._place(self._allowed)
        return EVERY_S

    def give_up(self) -> None:
        """Leave its threads to the kernel for good, as far as it lets us."""
        for thread in self._threads:
            with suppress(OSError):
                os.sched_setaffinity(thread, self._allowed)
        if self._set != self._allowed:
            with suppress(OSError):
                self._let_go_of_heirs(self._set)

    def _stays(self, now: _Reading) -> bool:
        """Whether it was where it is, and is best there."""
        before, self._before = self._before, now
        if before is None:
            self._here = cpu_of(self._threads[0])
            self._place({self._here})
            return False
        better = better_cpu(*now.parts_since(before), self._here, self._allowed)
        # Half of the time: of two processes that want to leave each other only one should.
        if better is not None and random.random() < 0.5:  # noqa: S311
            self._here = better
            self._place({better})
        return better is None

    def _place(self, cpus: set[int]) -> None:
        if cpus == self._set:
            return
        for thread in self._threads:
            os.sched_setaffinity(thread, cpus)
        former, self._set = self._set, cpus
        if former != self._allowed:
            self._let_go_of_heirs(former)

    def _let_go_of_heirs(self, cpus: set[int]) -> None:
        """A thread that one of ours started meanwhile began on the same CPU (sched_setaffinity(2)) and would stay."""
        for task in Path("/proc/self/task").iterdir():
            thread = int(task.name)
            with suppress(ProcessLookupError):  # it has ended since it was listed
                if thread not in self._threads and os.sched_getaffinity(thread) == cpus:
                    os.sched_setaffinity(thread, self._allowed)


def is_possible() -> bool:
    """Whether this system lets a process choose its CPUs and says what is used of them."""
    return hasattr(os, "sched_setaffinity") and Path("/proc/stat").exists()


def out_of_step(seconds: float) -> float:
    """About so many seconds, for what no two processes should do at the same time."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311


def used_of_each() -> dict[int, float]:
    """CPU → seconds used since the system started."""
    return parse_stat(Path("/proc/stat").read_text())


def parse_stat(text: str) -> dict[int, float]:
    """CPU → seconds used, of ``/proc/stat`` (proc(5)): user, nice, system, irq, softirq and steal."""
    tick = 1 / os.sysconf("SC_CLK_TCK")
    found = {}
    for line in text.splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            found[int(name[3:])] = (user + nice + system + irq + softirq + steal) * tick
    return found


def cpu_of(thread: int) -> int:
    """The CPU a thread of this process ran on last: field 39 of its ``stat`` (proc(5))."""
    fields = Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()
    return int(fields[36])
