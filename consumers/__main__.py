"""``python -m consumers``: the intake process: plain asyncio on uvloop, never patched by gevent, without Celery."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

import uvloop

from notifier.errors import ConfigurationError, TopologyConflict
from notifier.health import HealthServer
from notifier.process import configure_logs, settings
from notifier.settings import Settings
from notifier.wiring.consumer import build_consumer

#: sysexits.h EX_CONFIG: a supervisor need not try again before somebody has changed something.
EXIT_CONFIGURATION = 78


def main() -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    try:
        configure_logs()
        uvloop.run(serve(settings()))
    except (ConfigurationError, TopologyConflict) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIGURATION
    return 0


async def serve(ours: Settings) -> None:
    """The consumer with its health page and signals."""
    consumer = build_consumer(ours)
    _collect_rarely()
    health = HealthServer(consumer, ours.http_host, ours.http_port, consumer.alive)
    health.start()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, consumer.stop)
    try:
        await consumer.run()
    finally:
        health.stop()


def _collect_rarely() -> None:
    """Keep Python's garbage collector from what start-up made, and let 20,000 new objects pass between its looks.

    A group of 100 events makes thousands of objects and hardly a cycle; looking every 700 was a tenth of the CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


if __name__ == "__main__":
    sys.exit(main())
