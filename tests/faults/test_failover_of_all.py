"""A failover under the whole service at work: every mail arrives, every role is ready again, the ledger is whole.

`make test` has the hardest of the three, the killed primary that comes back; NOTIFIER_TEST_FAILOVERS='planned killed
back' has all, and NOTIFIER_TEST_REDIS names another server (`tests.servers.redis`). With `-s` each tells its times.
"""

import itertools
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from notifier.domain.delivery import Status
from notifier.storage.connection import connect
from notifier.storage.ledger import Ledger
from tests.acceptance import shop
from tests.acceptance.place import post_event
from tests.acceptance.service import Process, Service, is_ready
from tests.faults.missing import missing_mails, saying_what_is_known
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.sentinel import ReplicatedRedis
from tests.servers.smtp import SmtpSink

KINDS = os.environ.get("NOTIFIER_TEST_FAILOVERS", "back").split()
#: Events that are published at once, and the pause until the next: a rate that no machine is too slow for.
TOGETHER, PAUSE_S = 10, 0.5
#: A client of the API asks so often, and again with the same event until it is taken.
POST_EVERY_S = 0.25


@pytest.fixture
def replicated(service: Service, tmp_path: Path) -> Iterator[ReplicatedRedis]:
    servers = ReplicatedRedis(tmp_path / "replicated")
    service.environment["NOTIFIER_REDIS_URL"] = servers.url
    yield servers
    servers.close()


@dataclass
class Load:
    """Events by RabbitMQ and by the API, until it is stopped."""

    broker_url: str
    api: Process
    published: list[dict[str, Any]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._threads = [threading.Thread(target=run) for run in (self._publish, self._post)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join()

    def _publish(self) -> None:
        for number in itertools.count(1000):
            made = shop.events(TOGETHER, seed=number)
            shop.publish(self.broker_url, made)
            self.published += made
            if self.stopping.wait(PAUSE_S):
                return

    def _post(self) -> None:
        for number in itertools.count(1_000_000):
            made = shop.events(1, seed=number)
            while self._is_refused(made[0]):
                time.sleep(POST_EVERY_S)
            self.published += made
            if self.stopping.wait(POST_EVERY_S):
                return

    def _is_refused(self, event: dict[str, Any]) -> bool:
        try:
            status, _ = post_event(self.api, json.dumps(event).encode())
        except OSError:
            return True
        return status >= 500


@dataclass(frozen=True)
class Times:
    """Unix times of one failover."""

    begun: float
    named: float
    """Sentinel named the new primary."""
    settled: float
    """The only primary is the one that is named: until then another one may have taken writes, and lose them."""


def fail_over(servers: ReplicatedRedis, kind: str) -> Times:
    before, begun = servers.primary, time.time()
    if kind == "planned":
        servers.fail_over()
    else:
        servers.kill(before)
    poll(lambda: servers.primary != before, "Sentinel names another primary")
    named = time.time()
    if kind == "back":
        servers.start(before)
    if kind != "killed":
        poll(servers.is_settled, "the old primary is the replica")
    return Times(begun, named, time.time())


@pytest.mark.parametrize("kind", KINDS)
def test_a_failover_under_the_whole_service_loses_nothing_that_the_documents_do_not_name(
    kind: str, service: Service, broker_url: str, rabbitmq: RabbitMQ, smtp_sink: SmtpSink, replicated: ReplicatedRedis
) -> None:
    # Given every role at work
    api = service.api()
    roles = [api, service.consumer(), service.worker("-n", "one@%h"), service.worker("-n", "two@%h"), service.beat()]
    load = Load(broker_url, api)
    try:
        smtp_sink.wait_for(10 * TOGETHER)

        # When another server becomes the primary
        times = fail_over(replicated, kind)
        smtp_sink.wait_for(len(smtp_sink.mails) + 10 * TOGETHER)
    finally:
        load.stop()

    # Then every mail arrives, and every role can work
    wanted = shop.expected(load.published, [])
    with saying_what_is_known(service, rabbitmq, broker_url, lambda: missing_mails(wanted, smtp_sink)):
        poll(lambda: not missing_mails(wanted, smtp_sink), "every mail arrived")
    for role in roles:
        poll(lambda role=role: is_ready(role.health_port), f"{role.role} is ready")

    # And the ledger knows all of them, but for what the old primary took shortly before and until it was one no more
    poll(lambda: not any(rabbitmq.queue_depths(broker_url).values()), "all queues empty")
    forgotten, arrived = unknown(replicated.url, wanted.mails), arrivals(smtp_sink)
    assert [one for one in forgotten if not times.begun - 2 < arrived[one] < times.settled + 1] == []
    tell(kind, times, smtp_sink, len(wanted.mails), [arrived[one] - times.named for one in forgotten])


def unknown(url: str, ids: set[str]) -> list[str]:
    """Deliveries that the ledger does not have as sent."""
    store, asked = connect(url), sorted(ids)
    found = Ledger(store).deliveries(asked)
    store.close()
    return [one for one, record in zip(asked, found, strict=True) if record is None or record.status is not Status.SENT]


def arrivals(sink: SmtpSink) -> dict[str, float]:
    """When each mail came last."""
    return {mail.delivery: mail.received_at for mail in sink.mails}


def tell(kind: str, times: Times, sink: SmtpSink, wanted: int, forgotten: list[float]) -> None:
    """What happened, for whoever compares servers: nothing of it is asserted, because a busy machine is slower."""
    came = sorted(mail.received_at for mail in sink.mails)
    silence, after = max((later - before, later) for before, later in itertools.pairwise(came) if later > times.begun)
    each = [sum(after + second <= one < after + second + 1 for one in came) for second in range(10)]
    print(
        f"\n{kind}: {wanted} mails, {len(came) - wanted} twice, {len(forgotten)} not in the ledger"
        + (f" (from {min(forgotten):+.1f} to {max(forgotten):+.1f} s around the naming)" if forgotten else "")
        + f"; named after {times.named - times.begun:.1f} s, settled after {times.settled - times.begun:.1f} s; "
        f"silent for {silence:.1f} s, until {after - times.begun:.1f} s after the failover began "
        f"({after - times.named:+.1f} s after the naming); mails in each second from then: {each}"
    )
