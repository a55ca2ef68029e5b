"""``python -m consumers``: the intake process: plain asyncio on uvloop, never patched by gevent, without Celery."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import uvloop

from consumers.consumer import Consumer
from consumers.intake import Intake, Limits
from consumers.session import Pace
from notifier import logs
from notifier.errors import ConfigurationError, TopologyConflict
from notifier.health import HealthServer
from notifier.settings import Settings, read_settings
from notifier.storage.connection import connect_async
from notifier.storage.directory import EndpointDirectory
from notifier.storage.ledger import AsyncLedger, Retention
from notifier.storage.parked import ParkedIndex
from notifier.wiring import build_content, build_store, check_storage

log = logs.get("intake")

#: sysexits.h EX_CONFIG: a supervisor need not try again before somebody has changed something.
EXIT_CONFIGURATION = 78


def main() -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    try:
        settings = read_settings(os.environ)
        logs.configure(settings.log_format, settings.log_level)
        uvloop.run(serve(settings))
    except (ConfigurationError, TopologyConflict) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIGURATION
    return 0


async def serve(settings: Settings) -> None:
    """The consumer with its health page and signals."""
    consumer = build_consumer(settings)
    health = HealthServer(consumer, settings.http_host, settings.http_port, consumer.alive)
    health.start()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, consumer.stop)
    try:
        await consumer.run()
    finally:
        health.stop()


def build_consumer(settings: Settings) -> Consumer:
    """Everything the intake process holds, from its settings. Connects to nothing yet."""
    content = build_content(settings)
    store = connect_async(settings.redis_url, ca_file=settings.redis_ca_file)
    # For the two calls that are rare and exist for threads only: the checks at start and the index of failures.
    threads = build_store(settings, connections=2)
    index = ParkedIndex(threads)
    intake = Intake(
        lambda: content.current.catalog,
        EndpointDirectory(store),
        AsyncLedger(store, Retention(settings.retention_sent, settings.retention_failed)),
        index_parked=lambda entries: asyncio.to_thread(index.add, entries),
        limits=Limits(settings.event_max_bytes, settings.batch_deliveries, settings.batch_bytes),
    )
    return Consumer(
        settings.broker_url,
        intake,
        lambda: asyncio.to_thread(check_storage, settings, threads),
        broker_ca_file=settings.broker_ca_file,
        pace=Pace(settings.intake_prefetch, settings.intake_linger),
        grace=settings.grace,
    )


if __name__ == "__main__":
    sys.exit(main())
