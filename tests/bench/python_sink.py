"""``python -m tests.bench.python_sink``: the webhook sink of `tests.servers` as a process of its own.

Prints its port, then one line for each request: its number, the Unix time it came, and its path.
"""

import sys
import time
from collections.abc import Iterator

from tests.servers.http import HttpSink

#: Seconds between two looks at what has come; the times are the server's own, so this delays nothing that is measured.
LOOK_EVERY_S = 0.005


def arrivals() -> Iterator[list[tuple[float, str]]]:
    """First an empty list when the sink listens, then all that has come, again and again."""
    hooks = HttpSink()
    write(f"port {hooks.port}\n")
    while True:
        yield [(request.received_at, request.path) for request in hooks.requests]


def write(text: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def main() -> None:
    """Until killed."""
    written = 0
    for come in arrivals():
        fresh = come[written:]
        if fresh:
            write("".join(f"{written + i} {when:.6f} {what}\n" for i, (when, what) in enumerate(fresh, 1)))
        written = len(come)
        time.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    main()
