"""What processes have used, read from /proc: CPU time of all their threads, and the most memory they ever held."""

import os
import signal
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes, their ended threads included."""
    return sum(_ticks(_stat(Path(f"/proc/{pid}/stat"))) for pid in pids) / _TICKS_PER_S


def session_of(leader: int) -> list[int]:
    """Every process in the session that a server's first process leads: a broker is several."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if int(_stat(entry / "stat")[3]) == leader:
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended while we looked
    return found


def peak_rss_mib(pid: int) -> float:
    """The most memory a process has held at once."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024


@contextmanager
def frozen(pids: Iterable[int]) -> "Iterator[None]":
    """Stop processes that are ready, so that work can be put in front of them before the clock starts."""
    held = list(pids)
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in held:
            os.kill(pid, signal.SIGCONT)


def _stat(path: Path) -> list[str]:
    """The fields after the command, which may itself contain spaces: state, ppid, pgrp, session, …"""
    return path.read_text().rpartition(")")[2].split()


def _ticks(fields: list[str]) -> int:
    return int(fields[11]) + int(fields[12])
