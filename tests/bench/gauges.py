"""What processes have used, read from /proc: CPU time of all their threads, and the most memory they ever held."""

import os
import re
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes, their ended threads included."""
    return sum(_ticks(_stat(Path(f"/proc/{pid}/stat"))) for pid in pids) / _TICKS_PER_S


@dataclass(frozen=True)
class Wanted:
    """CPU time that everything on this machine has asked for since it started, in ticks."""

    had: int
    stolen: int
    """What the hypervisor gave to other machines instead; always 0 on a machine of its own."""

    @classmethod
    def now(cls) -> "Wanted":
        """From /proc/stat (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq, steal."""
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return cls(sum(ticks[:3]) + sum(ticks[5:7]), ticks[7])

    def stolen_since(self, before: "Wanted") -> float:
        """The share that others got of what was asked for between two looks."""
        stolen = self.stolen - before.stolen
        return stolen / max(1, stolen + self.had - before.had)


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
    return _status_mib(pid, "VmHWM:")


def rss_mib(pid: int) -> float:
    """The memory a process holds now."""
    return _status_mib(pid, "VmRSS:")


def redis_bytes(port: int) -> int:
    """Memory of keys, values, indexes and their tables, and what a server has anyway.

    Left out are clients' buffers as they are now (INFO has them as its last look was, which may be a megabyte off), the
    append-only file's, and what Lua holds, which since Redis 7.4 counts with its garbage: scripts are forgotten for it.
    """
    _redis_said(port, "SCRIPT FLUSH SYNC")
    clients, info = _redis_answers(port, "CLIENT LIST", "INFO")
    fields = _numbers(info)
    return fields["used_memory"] - fields["mem_aof_buffer"] - sum(map(int, re.findall(r" tot-mem=(\d+)", clients)))


def redis_trips(port: int) -> int:
    """Requests a server read, or answers it wrote if fewer: a pipeline may be read in pieces. Two are ours."""
    fields = _numbers(*_redis_answers(port, "INFO"))
    return min(fields["total_reads_processed"], fields["total_writes_processed"])


def _numbers(info: str) -> dict[str, int]:
    rows = (line.partition(":") for line in info.splitlines())
    return {name: int(value) for name, _, value in rows if value.isdigit()}


def _redis_said(port: int, command: str) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(f"{command}\r\n".encode())
        client.recv(256)


def _redis_answers(port: int, *commands: str) -> list[str]:
    """What bulk strings a server answers to commands that are sent together."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall("".join(f"{command}\r\n" for command in commands).encode())
        answer = client.makefile("rb")
        found = []
        for _ in commands:
            found.append(answer.read(int(answer.readline()[1:])).decode())
            answer.readline()
        return found


@contextmanager
def frozen(pids: Iterable[int]) -> Iterator[None]:
    """Stop processes that are ready, so that work can be put in front of them before the clock starts."""
    held = list(pids)
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in held:
            os.kill(pid, signal.SIGCONT)


def _status_mib(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def _stat(path: Path) -> list[str]:
    """The fields after the command, which may itself contain spaces: state, ppid, pgrp, session, …"""
    return path.read_text().rpartition(")")[2].split()


def _ticks(fields: list[str]) -> int:
    return int(fields[11]) + int(fields[12])
