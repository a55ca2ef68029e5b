"""``python -m tests.bench.python_sink smtp|http``: a sink of `tests.servers` as a process of its own.

Prints its port, then one line for each message: its number, the Unix time it came, and its recipient (or path).
"""

import sys
import time
from collections.abc import Iterator

from tests.servers.http import HttpSink
from tests.servers.smtp import SmtpSink

#: Seconds between two looks at what has come; the times are the server's own, so this delays nothing that is measured.
LOOK_EVERY_S = 0.005


def arrivals(protocol: str) -> Iterator[list[tuple[float, str]]]:
    """First an empty list when the sink listens, then all that has come, again and again."""
    if protocol == "smtp":
        mails = SmtpSink()
        write(f"port {mails.port}\n")
        while True:
            yield [(mail.received_at, mail.recipients[0]) for mail in mails.mails]
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
    for come in arrivals(sys.argv[1]):
        fresh = come[written:]
        if fresh:
            write("".join(f"{written + i} {when:.6f} {what}\n" for i, (when, what) in enumerate(fresh, 1)))
        written = len(come)
        time.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    main()
