"""What has expired is never sent, wherever it waited: in front of intake, in a work queue, for a rate, in a digest."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pika
import pytest

from notifier.domain.delivery import DeliveryRecord, Status
from tests.acceptance.place import SOURCE, STRUCTURED, Place, mail_folder, place
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

FOLDERS = {
    "late.mail": mail_folder("late.mail"),
    "late.reset": mail_folder("late.reset", rule="expires: 15m"),
    "late.digest": {
        "rules.yaml": "event: late.digest\ncategory: news\nrules:\n"
        "  - {id: mail, channel: digest, to: data.to, key: data.to, window: {after_first: 4s}}",
        "digest.subject.j2": "Digest of {{ digest.total }}",
        "digest.text.j2": "{% for item in digest['items'] %}{{ item.data.say }}\n{% endfor %}",
    },
}
#: Seconds after which an event of these tests expires; enough for a process to start on a busy machine would be too
#: long to wait for, so processes start before, or after it has passed.
SOON = 2.0


@pytest.fixture
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path: Path) -> Iterator[Place]:
    with place(rabbitmq, redis_server, tmp_path, FOLDERS, NOTIFIER_LIMITS="relay=1/s burst 1") as found:
        yield found


def publish(at: Place, event_type: str, to: str, *, ends: float | None = None, **data: Any) -> str:
    """An event that ends at a Unix time; returns the id of its delivery."""
    more = {} if ends is None else {"expirytime": datetime.fromtimestamp(ends, UTC).isoformat()}
    event = at.publish(event_type, {"to": to, **data}, **more)
    key = f"\x1f{to}" if event_type == "late.digest" else ""
    return at.delivery(event, f"{event_type}/mail", f"mailto:{to}{key}")


def passed(moment: float) -> None:
    poll(lambda: time.time() > moment, "it has expired")


def test_what_expired_in_front_of_intake_is_recorded_and_not_sent(at: Place) -> None:
    # Given events that waited while no consumer ran: one ended by itself, one by its rule's quarter of an hour
    ended = publish(at, "late.mail", "a@example.org", ends=time.time() - 1)
    body = f'{{"specversion":"1.0","id":"old","source":"{SOURCE}","type":"late.reset","data":{{"to":"b@example.org"}}}}'
    _publish_at(at, "late.reset", body.encode(), time.time() - 3600)
    old = at.delivery("old", "late.reset/mail", "mailto:b@example.org")
    young = publish(at, "late.reset", "c@example.org")

    # When the service runs
    at.service.consumer()
    at.service.worker("-n", "one@%h")

    # Then both are recorded as expired, and only what is of use is sent
    assert [at.until(delivery, Status.EXPIRED).attempts for delivery in (ended, old)] == [(), ()]
    at.until(young, Status.SENT)
    assert [mail.recipients for mail in at.smtp.mails] == [("c@example.org",)]


def test_what_expired_in_a_work_queue_is_not_sent(at: Place) -> None:
    # Given a delivery that is planned while no worker runs
    at.service.consumer()
    ends = time.time() + SOON
    delivery = publish(at, "late.mail", "a@example.org", ends=ends)
    # On a very busy machine it has expired before it is planned; its end is the same.
    at.until(delivery, Status.QUEUED, Status.EXPIRED)

    # When it has expired before one starts
    passed(ends)
    at.service.worker("-n", "one@%h")

    # Then it is recorded and not sent
    assert at.until(delivery, Status.EXPIRED).attempts == ()
    assert at.smtp.mails == []


def test_no_mail_that_waits_for_a_rate_leaves_after_its_end(at: Place) -> None:
    # Given a relay that is given one mail a second
    at.service.consumer()
    at.service.worker("-n", "one@%h")
    at.until(publish(at, "late.mail", "first@example.org"), Status.SENT)

    # When ten come that are of use for a few seconds
    ends = time.time() + 2 * SOON
    mails = [publish(at, "late.mail", f"r{number}@example.org", ends=ends) for number in range(10)]
    ended: list[DeliveryRecord] = [at.until(delivery, Status.SENT, Status.EXPIRED) for delivery in mails]

    # Then none arrives late, and what did not arrive is recorded as expired
    sent = [record for record in ended if record.status is Status.SENT]
    assert 1 <= len(sent) < 10
    assert len(at.smtp.mails) == 1 + len(sent)
    assert all(attempt.started < ends for record in sent for attempt in record.attempts)


def test_a_replay_does_not_send_what_has_expired_meanwhile(at: Place) -> None:
    # Given a delivery that the relay refused
    at.smtp.reply("RCPT", "550 5.6.0 not this one", matching="a@example.org", times=1)
    at.service.consumer()
    at.service.worker("-n", "one@%h")
    ends = time.time() + 4 * SOON
    delivery = publish(at, "late.mail", "a@example.org", ends=ends)
    at.until_parked(delivery)

    # When it is replayed after its end
    passed(ends)
    at.failures("replay", "--yes", delivery)

    # Then it is recorded as expired and not sent
    at.until(delivery, Status.EXPIRED)
    assert at.smtp.mails == []


def test_an_item_that_expired_while_its_digest_waited_is_not_in_it(at: Place) -> None:
    # Given a window of four seconds with three items: one that lasts, one that does not, and one that came too late
    at.service.consumer()
    at.service.worker("-n", "one@%h")
    at.service.beat()
    soon = time.time() + SOON
    lasting = publish(at, "late.digest", "a@example.org", say="lasting")
    brief = publish(at, "late.digest", "a@example.org", ends=soon, say="brief")
    dead = publish(at, "late.digest", "a@example.org", ends=soon - SOON - 1, say="dead")
    alone = publish(at, "late.digest", "b@example.org", ends=soon, say="alone")

    # When the window closes
    (mail,) = at.smtp.wait_for(1)

    # Then the digest holds what is of use, and the ledger says what became of each
    assert b"lasting" in mail.data
    assert b"Digest of 1" in mail.data
    assert not any(word in mail.data for word in (b"brief", b"dead"))
    at.until(lasting, Status.SENT)
    for delivery in (brief, dead, alone):
        at.until(delivery, Status.EXPIRED)
    assert len(at.smtp.mails) == 1


def _publish_at(at: Place, event_type: str, body: bytes, published: float) -> None:
    """As the client does, whose messages say when they were published."""
    with pika.BlockingConnection(pika.URLParameters(at.broker_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        properties = pika.BasicProperties(content_type=STRUCTURED, delivery_mode=2, timestamp=int(published))
        channel.basic_publish("notifier.events", event_type, body, properties, mandatory=True)
