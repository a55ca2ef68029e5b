"""Free loopback ports below 32768, where no outgoing connection of another process can take them between two starts."""

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path
from typing import BinaryIO

LOWEST, HIGHEST = 12_000, 32_000


def free_port() -> int:
    """A port nobody listens on, that belongs to this process until it ends.

    Whoever gets a port binds it a moment later, and a server that is stopped and started again wants it back: meanwhile
    another test process, of this run or of another checkout, must not take it. Random rather than sequential, because
    each of them would otherwise try all ports of the others first.
    """
    for _ in range(1000):
        port = random.randint(LOWEST, HIGHEST)
        if _reserve(port) and _can_bind(port):
            return port
    raise RuntimeError(f"no free loopback port between {LOWEST} and {HIGHEST} after 1000 tries")


_reserved: set[int] = set()


def _reserve(port: int) -> bool:
    """Locks the byte of this port in a file that all test processes of this user share; ends with the process."""
    if port in _reserved:
        return False
    try:
        fcntl.lockf(_ledger(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _reserved.add(port)
    return True


@cache
def _ledger() -> BinaryIO:
    # Never closed: closing any descriptor of a file drops all of a process's locks on it.
    return (Path(tempfile.gettempdir()) / f"notifier-test-ports-{os.getuid()}").open("ab")


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
