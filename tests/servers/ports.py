"""Free loopback ports below 32768, where no outgoing connection of another process can take them between two starts."""

import random
import socket

LOWEST, HIGHEST = 20_000, 32_000
_handed_out: set[int] = set()


def free_port() -> int:
    """A port nobody listens on and that this process has not handed out before.

    Random rather than sequential: parallel test workers would otherwise all try the same port first.
    """
    for _ in range(1000):
        port = random.randint(LOWEST, HIGHEST)
        if port not in _handed_out and _can_bind(port):
            _handed_out.add(port)
            return port
    raise RuntimeError(f"no free loopback port between {LOWEST} and {HIGHEST} after 1000 tries")


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
