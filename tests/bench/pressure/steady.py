"""``python -m tests.bench.pressure.steady BROKER_URL RATE RUN``: publishes so many events a second until SIGTERM.

Prints how many it has published after each tenth of a second and, as its last line, ``done`` with the number that the
broker has.
"""

import os
import signal
import sys
import time

import pika

from notifier.domain import topology
from notifier.domain.cloudevents import STRUCTURED
from tests.bench import workload
from tests.bench.workload import EMAIL

_TICK_S = 0.1


def main() -> None:
    """A publisher that is late catches up by at most one second's worth."""
    url, rate, run = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    publisher = workload.Publisher(url)
    properties = pika.BasicProperties(content_type=STRUCTURED, delivery_mode=2)
    published, owed, last = 0, 0.0, time.monotonic()
    while not ended:
        now = time.monotonic()
        owed, last = min(owed + (now - last) * rate, rate), now
        fresh = range(published, published + int(owed))
        bodies = (workload.event(EMAIL, number, run) for number in fresh)
        publisher.publish(topology.EVENTS_EXCHANGE, EMAIL.event_type, bodies, properties)
        published, owed = fresh.stop, owed - len(fresh)
        os.write(1, f"{published}\n".encode())
        time.sleep(max(0.0, _TICK_S - (time.monotonic() - now)))
    publisher.ready(topology.INTAKE_QUEUE)  # answered after everything before it: the broker has them all
    os.write(1, f"done {published}\n".encode())
    publisher.close()


if __name__ == "__main__":
    main()
