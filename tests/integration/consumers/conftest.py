"""The real intake process, `python -m consumers`, against real servers."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import pika
import pytest

from notifier.domain.batch import Batch
from notifier.domain.parked import ParkedEvent, decode_parked
from notifier.domain.rule import lane_queues
from notifier.domain.topology import FAILURE_QUEUES, places
from tests.servers.patience import PATIENCE_S
from tests.servers.ports import free_port
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.service_vhost import ServiceVhost
from tests.servers.shelves import with_shelves

RULES = """\
event: order.placed
category: orders
rules:
  - id: customer
    channel: email
    to: data.customer
"""
SCHEMA = {"type": "object", "properties": {"total": {"type": "number"}}}
ROOT = Path(__file__).parents[3]


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    folder = tmp_path / "templates" / "order.placed"
    folder.mkdir(parents=True)
    (folder / "rules.yaml").write_text(RULES)
    (folder / "schema.json").write_bytes(orjson.dumps(SCHEMA))
    (folder / "email.subject.j2").write_text("Your order")
    (folder / "email.text.j2").write_text("Thank you.")
    return folder.parent


@dataclass
class Broker:
    """The service's side of one virtual host, as a test looks at it."""

    url: str
    server: RabbitMQ
    altered: bool = False
    """Said by a test that changes the queues themselves."""

    def connect(self) -> pika.BlockingConnection:
        return pika.BlockingConnection(pika.URLParameters(self.url))

    def depths(self) -> dict[str, int]:
        found = with_shelves(self.server.queue_depths(self.url))
        return {name: count for name, count in found.items() if count and not name.startswith("celery_delayed")}

    def until(self, is_so: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """The depths, as soon as they are as wanted; each look is a round trip to the queues themselves."""
        end = time.monotonic() + PATIENCE_S
        while not is_so(depths := self.depths()):
            assert time.monotonic() < end, f"still {depths} after {PATIENCE_S} s"
            # The node that is asked shares its processors with those whose work is waited for.
            time.sleep(0.02)
        return depths

    def until_taken_in(self) -> dict[str, int]:
        """Depths of a look that was begun after the last event was acknowledged: one look asks queue after queue."""
        self.until(lambda depths: "notifier.intake" not in depths)
        return self.depths()

    def bodies(self, queue: str) -> Iterator[bytes]:
        """Everything in a queue and on its shelves, which are empty afterwards."""
        with self.connect() as connection:
            channel = connection.channel()
            for place in places(queue) if queue in FAILURE_QUEUES else [queue]:
                while (got := channel.basic_get(place, auto_ack=True))[0] is not None:
                    yield got[2]

    def delivered(self, lane: str = "email-normal") -> list[str]:
        """``<event id>/<address>`` of every delivery in a lane, copies included."""
        return [
            f"{batch.events[d.event].id}/{d.to.address}"  # type: ignore[union-attr]
            for batch in self.batches(lane)
            for d in batch.deliveries
        ]

    def batches(self, lane: str = "email-normal") -> Iterator[Batch]:
        """What the tasks of a lane carry: of its own queue and of its shards."""
        for body in chain.from_iterable(map(self.bodies, lane_queues(lane))):
            plain = body if body.startswith(b"[") else zlib.decompress(body)
            yield Batch.decode(orjson.loads(plain)[0][0])

    def parked(self) -> list[ParkedEvent]:
        found = [decode_parked(body) for body in self.bodies("failed-intake")]
        assert all(isinstance(entry, ParkedEvent) for entry in found)
        return found  # type: ignore[return-value]

    def publish(self, *messages: tuple[pika.BasicProperties, bytes]) -> None:
        with self.connect() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for properties, body in messages:
                channel.basic_publish("notifier.events", "order.placed", body, properties, mandatory=True)


class Process:
    """One `python -m consumers`."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.port = free_port()
        self.log = log
        # Without those that choose the tests' servers, which are no settings.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
        environment = {**inherited, **environment, "NOTIFIER_HTTP_PORT": str(self.port)}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "consumers"], cwd=ROOT, env=environment, stderr=output, stdout=output
            )

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        self._process.send_signal(with_signal)
        return self._process.wait(PATIENCE_S)

    def wait(self) -> int:
        return self._process.wait(PATIENCE_S)

    def metric(self, name: str) -> float:
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics").read().decode()
        return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name))

    def readiness(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz") as answer:
                found: dict[str, Any] = orjson.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                found = orjson.loads(error.read())
        return found

    def until(self, is_so: Callable[["Process"], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                if is_so(self):
                    return
            except urllib.error.URLError:
                assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


StartConsumer = Callable[..., Process]


@pytest.fixture
def broker(service_vhost: ServiceVhost, rabbitmq: RabbitMQ) -> Iterator[Broker]:
    """A virtual host where the topology was applied, with nothing in it."""
    lent = Broker(service_vhost.lend(), rabbitmq)
    yield lent
    if lent.altered:
        service_vhost.renew()


@pytest.fixture
def start_consumer(broker: Broker, redis_url: str, templates: Path, tmp_path: Path) -> Iterator[StartConsumer]:
    """Starts intake processes that are gone after the test."""
    started: list[Process] = []

    def start(**settings: str) -> Process:
        environment = {
            "NOTIFIER_BROKER_URL": broker.url,
            "NOTIFIER_REDIS_URL": redis_url,
            "NOTIFIER_TEMPLATES": str(templates),
            # So that one tenant's thousands stay in one queue, where tests look for them.
            "NOTIFIER_TENANT_BURST": "50000",
            **settings,
        }
        started.append(Process(environment, tmp_path / "consumer.log"))
        return started[-1]

    yield start
    for process in started:
        process.close()
