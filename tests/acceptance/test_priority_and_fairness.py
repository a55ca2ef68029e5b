"""Who goes first: high before all others, and no tenant behind another one's flood. In order, not in milliseconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.client import Event, Publisher
from notifier.domain.fairness import shard_of
from tests.acceptance.place import Place, place
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

FOLDERS = {
    "lane.mail": {
        "rules.yaml": "event: lane.mail\ncategory: news\nrules:\n"
        + "".join(
            f"  - {{id: {lane}, channel: email, to: data.to, priority: {lane}, when: data.lane == '{lane}'}}\n"
            for lane in ("high", "normal", "low")
        ),
        "email.subject.j2": "News",
        "email.text.j2": "Hello {{ data.to }}\n",
    }
}
#: Enough that a mail behind all of them would come last by far, and few enough to wait for on a busy machine.
FLOOD = 4000
#: Part of the flood that may have arrived before what overtakes it: what is under way when it comes, and what leaves
#: while it is planned.
OVERTAKEN = 0.6


@pytest.fixture
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path: Path) -> Iterator[Place]:
    with place(rabbitmq, redis_server, tmp_path, FOLDERS, NOTIFIER_TENANT_BURST="100") as found:
        yield found


def flood(at: Place, tenant: str, lane: str = "low") -> None:
    """So many mails of one tenant."""
    with Publisher(at.publisher_url, source="/flood", tenant=tenant) as publisher:
        publisher.publish_many(Event(type="lane.mail", data=_data(f"f{n}", lane)) for n in range(FLOOD))


def one(at: Place, name: str, lane: str, tenant: str, *, urgent: bool = False) -> None:
    """A single mail."""
    with Publisher(at.publisher_url, source="/single", tenant=tenant) as publisher:
        publisher.publish("lane.mail", _data(name, lane), urgent=urgent)


def _data(name: str, lane: str) -> dict[str, str]:
    return {"to": f"{name}@example.org", "lane": lane}


def arrived(at: Place) -> list[str]:
    return [mail.recipients[0].split("@")[0] for mail in at.smtp.mails]


def until_arrived(at: Place, *names: str) -> None:
    poll(lambda: set(names) <= set(arrived(at)), f"{names} arrived")


def planned(at: Place) -> None:
    poll(lambda: at.depths().get("notifier.intake", 0) == 0, "everything is planned")


@pytest.mark.parametrize("queues", [("-Q", "email-low,email-high"), ()], ids=["named", "all"])
def test_a_flood_of_one_tenant_holds_up_neither_a_high_mail_nor_another_tenants_low_one(
    at: Place, queues: tuple[str, ...]
) -> None:
    # Given a tenant with many low mails that wait, most of them in its shard
    at.service.consumer()
    flood(at, "acme")
    planned(at)
    assert at.depths()[f"email-low-shard{shard_of('acme')}"] > at.depths().get("email-low", 0)

    # When one worker reads the lanes, and a high and a low mail of another tenant come
    at.service.worker("-n", "one@%h", *queues)
    until_arrived(at, "f0")
    one(at, "high", "high", "beta")
    one(at, "low", "low", "beta")

    # Then both arrive long before the flood has, also when the queues of the worker are named without their shards
    until_arrived(at, "high", "low")
    assert len(at.smtp.mails) < OVERTAKEN * FLOOD
    poll(lambda: len(at.smtp.mails) == FLOOD + 2, "the flood has arrived")


def test_an_urgent_event_is_taken_in_before_a_flood_that_waits_in_front_of_intake(at: Place) -> None:
    # Given many events that wait while no consumer runs, and an urgent one after them
    at.service.worker("-n", "one@%h", "-Q", "email-high")
    flood(at, "acme", "low")
    one(at, "urgent", "high", "acme", urgent=True)

    # When a consumer starts
    at.service.consumer()
    until_arrived(at, "urgent")

    # Then its mail is there while most of the flood is not even planned
    assert at.depths()["notifier.intake"] > 0


def test_a_retry_of_a_crowded_tenant_comes_back_to_its_shard(at: Place) -> None:
    # Given a crowded tenant one of whose mails is deferred
    at.smtp.reply("RCPT", "450 4.2.1 mailbox busy", matching="f999@", times=1)
    at.service.environment["NOTIFIER_EMAIL_RETRY"] = "2"
    at.service.consumer()
    flood(at, "acme")
    planned(at)
    shard = f"email-low-shard{shard_of('acme')}"
    worker = at.service.worker("-n", "one@%h", "-l", "info")

    # When all of it has arrived
    poll(lambda: len(at.smtp.mails) == FLOOD, "the flood has arrived")

    # Then the one that came twice ran in the shard's queue both times
    poll(lambda: not any(n for q, n in at.depths().items() if q.startswith("email-")), "every batch has ended")
    singles = [
        line for line in worker.output().splitlines() if f'"queue": "{shard}"' in line and '"deliveries": 1' in line
    ]
    assert singles
    assert "f999" in arrived(at)


def test_what_waits_its_turn_when_a_worker_stops_is_sent_by_the_next(at: Place) -> None:
    # Given a worker with more batches at hand than it works on at once
    at.service.environment["NOTIFIER_WORKER_IN_FLIGHT"] = "100"
    at.service.consumer()
    flood(at, "acme")
    planned(at)
    first = at.service.worker("-n", "one@%h")
    until_arrived(at, "f0")

    # When it is told to stop, and another one starts
    assert first.terminate() == 0
    at.service.worker("-n", "two@%h")

    # Then nothing is lost or sent twice
    assert len(at.smtp.mails) < FLOOD
    poll(lambda: len(at.smtp.mails) >= FLOOD, "the flood has arrived")
    assert sorted(arrived(at)) == sorted(f"f{n}" for n in range(FLOOD))
