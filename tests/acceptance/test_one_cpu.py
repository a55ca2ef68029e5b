"""A busy worker's two threads are on one CPU, and on any again when it is idle."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from notifier.client import Event, Publisher
from tests.acceptance.place import Place, place
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs Linux and two CPUs"
)

FOLDERS = {
    "news.mail": {
        "rules.yaml": "event: news.mail\ncategory: news\nrules:\n  - {id: news, channel: email, to: data.to}\n",
        "email.subject.j2": "News",
        "email.text.j2": "Hello {{ data.to }}\n",
    }
}
#: A second of work on a fast machine; more is published for as long as it takes.
MAILS = 3000


@pytest.fixture
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path: Path) -> Iterator[Place]:
    with place(rabbitmq, redis_server, tmp_path, FOLDERS) as found:
        yield found


def publish_mails(at: Place, run: int) -> None:
    with Publisher(at.publisher_url, source=f"/news/{run}", tenant="acme") as publisher:
        publisher.publish_many(Event(type="news.mail", data={"to": f"m{n}.{run}@example.org"}) for n in range(MAILS))


def on_one_cpu(pid: int) -> list[bool]:
    """For each thread of a process, whether it is bound to a single CPU."""
    bound = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):  # it has ended since it was listed
            bound.append(len(os.sched_getaffinity(int(thread.name))) == 1)
    return bound


def test_a_worker_keeps_to_one_cpu_while_it_is_busy(at: Place) -> None:
    # Given a worker that has started, which is work too, and has nothing to do
    at.service.consumer()
    worker = at.service.worker().popen.pid
    poll(lambda: not any(on_one_cpu(worker)), "the kernel places its threads")

    # When it has much to send
    published = 0

    def is_kept_together() -> bool:
        nonlocal published
        if len(at.smtp.mails) >= published * MAILS:
            publish_mails(at, published)
            published += 1
        return sum(on_one_cpu(worker)) >= 2

    # Then the hub's thread and the engine's are on one CPU
    poll(is_kept_together, "both threads are bound to one CPU")

    # And when all has left, then they may run anywhere
    poll(lambda: len(at.smtp.mails) >= published * MAILS, "all mails arrived")
    poll(lambda: not any(on_one_cpu(worker)), "the kernel places them again")
