"""``python -m tests.bench.path``: which of our files and functions one mail passes in a warm worker, and how often.

A worker's own parts in this process: from the bytes of its task to the end of its batch, with a real Redis and a relay.
Celery around them is left out, and so are the timers of an idle worker. ``--calls`` lists every function.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from celery import Celery

from notifier.celery import from_settings
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.encoding import encode_batch
from notifier.domain.event import Event
from notifier.domain.ids import delivery_id
from notifier.domain.rule import Channel, Priority, Rule
from notifier.domain.task_message import BATCH_HEADER, TaskMessage, task_message
from notifier.process import settings
from notifier.storage.registration import Registration
from notifier.wiring.worker import build_worker
from notifier.worker.celery_side.guard import run_guarded
from notifier.worker.celery_side.lazy_batch import lazy_batch
from notifier.worker.celery_side.lifecycle import WorkerParts
from notifier.worker.celery_side.receiving import read_batch
from tests.bench import workload
from tests.bench.sinks import smtp_sink
from tests.bench.workload import EMAIL, TEMPLATES
from tests.servers.redis import RedisServer

ROOT = Path(__file__).parents[2]
#: Mails before the one that is looked at.
WARM = 5


RULE = Rule(EMAIL.rule, EMAIL.event_type, Channel.EMAIL, EMAIL.event_type, "bench", transactional=True)


class Calls:
    """What was called, by thread; to be installed in each thread that takes part."""

    def __init__(self) -> None:
        self.counts = Counter[tuple[str, str]]()
        self.threads = set[int]()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """A profile function (sys.setprofile)."""
        if event != "call":
            return
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT / "notifier"):
            self.counts[str(path.relative_to(ROOT)), frame.f_code.co_qualname] += 1
            self.threads.add(threading.get_ident())


def _measure(folder: Path) -> Calls:
    (folder / "redis").mkdir()
    mails, redis = smtp_sink(folder), RedisServer(folder / "redis")
    try:
        os.environ.update(
            {
                "NOTIFIER_REDIS_URL": redis.url,
                "NOTIFIER_SMTP_URL": f"smtp+plain://127.0.0.1:{mails.port}",
                "NOTIFIER_TEMPLATES": str(TEMPLATES),
                "NOTIFIER_EMAIL_FROM": "Bench <bench@example.org>",
                "NOTIFIER_SECRET_KEY": "k" * 32,
                "NOTIFIER_LOG_LEVEL": "warning",
            }
        )
        app = Celery("path", set_as_current=False)
        app.conf.update(from_settings(settings()))
        parts = build_worker(app, "path")
        parts.engine.start()
        parts.ledger.heartbeat(parts.owner, 60.0)
        for number in range(WARM):
            _run(parts, _task(parts, number))
        calls, task = Calls(), _task(parts, WARM)
        parts.engine.run(lambda: _profiled(calls), 1.0)
        sys.setprofile(calls)
        _run(parts, task)
        sys.setprofile(None)
        parts.engine.run(lambda: _profiled(None), 1.0)
        parts.engine.stop(grace=1.0)
        return calls
    finally:
        mails.close()
        redis.close()


async def _profiled(calls: Calls | None) -> None:
    sys.setprofile(calls)


def _task(parts: WorkerParts, number: int) -> TaskMessage:
    """A task with one mail, which intake has registered."""
    event = Event.from_attributes(json.loads(workload.event(EMAIL, number, "path")))
    to = Mailbox(address=workload.address(number, "path"))
    identity = delivery_id(event.source, event.id, EMAIL.rule, to.identity)
    delivery = Delivery(id=identity, event=0, rule=EMAIL.rule, to=to)
    parts.ledger.register([Registration(event, ((delivery, RULE),))])
    batch = Batch(channel=Channel.EMAIL, priority=Priority.NORMAL, events=[event], deliveries=[delivery])
    return task_message(encode_batch(batch), "path")


def _run(parts: WorkerParts, task: TaskMessage) -> None:
    """From the bytes to the end of the batch."""
    shaped = lazy_batch(task.headers[BATCH_HEADER], task.body, read_batch)
    run_guarded(parts.dispatch.run, shaped and shaped[0][0], parts.coalescer)


def main() -> None:
    """Print the numbers."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.path", description="The path of one mail.")
    parser.add_argument("--calls", action="store_true", help="list every function with its calls")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="notifier-path-") as folder:
        calls = _measure(Path(folder))
    files, functions = {file for file, _ in calls.counts}, len(calls.counts)
    if options.calls:
        for (file, name), count in sorted(calls.counts.items()):
            print(f"{count:4} {file} {name}")
    print(f"{len(files)} files, {functions} functions, {calls.counts.total()} calls, {len(calls.threads)} threads")


if __name__ == "__main__":
    main()
