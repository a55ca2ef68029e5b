"""Redis, RabbitMQ's disk and digests: what waits while something is away, and that it all goes on, once."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from notifier.client import Event, Publisher, PublishError
from notifier.domain.delivery import Status
from notifier.domain.outcome import Cause
from tests.acceptance.place import Place, mail_folder, metric, place, post_event
from tests.acceptance.service import Process, ask, is_ready
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

DIGEST = {
    "rules.yaml": "event: away.digest\ncategory: news\nrules:\n"
    "  - {id: mail, channel: digest, to: data.to, key: data.to, window: {after_first: 5s}}",
    "digest.subject.j2": "Digest",
    "digest.text.j2": "{% for item in digest.items %}item {{ item.data.number }}.\n{% endfor %}",
}
FOLDERS = {"away.mail": mail_folder("away.mail"), "away.digest": DIGEST}


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("away"), FOLDERS, NOTIFIER_EMAIL_RETRY="3") as here:
        here.service.consumer()
        here.service.api()
        here.service.worker("-n", "one@%h")
        yield here


def test_while_redis_is_away_events_and_mails_wait_and_no_try_is_spent(at: Place) -> None:
    # Given Redis away
    consumer = at.service.processes[0]
    at.redis.stop()
    try:
        # When events come
        for number in range(5):
            at.publish("away.mail", {"to": f"redis{number}@example.org"}, event_id=f"redis{number}")
        poll(lambda: metric(consumer, "notifier_intake_paused") == 1, "intake says that it waits")
        assert not any("redis" in mail.recipients[0] for mail in at.smtp.mails)
    finally:
        at.redis.start()

    # Then all are sent when it is back, each with one try
    for number in range(5):
        identity = at.delivery(f"redis{number}", "away.mail/mail", f"mailto:redis{number}@example.org")
        assert [attempt.number for attempt in at.until(identity, Status.SENT).attempts] == [1]
    poll(lambda: metric(consumer, "notifier_intake_paused") == 0, "intake goes on")


def test_an_emptied_redis_loses_no_delivery_that_waits_for_its_retry(at: Place) -> None:
    # Given a mail that was deferred
    at.smtp.reply("RCPT", "451 4.3.0 later", matching="flushed@", times=1)
    at.publish("away.mail", {"to": "flushed@example.org"}, event_id="flushed")
    identity = at.delivery("flushed", "away.mail/mail", "mailto:flushed@example.org")
    at.until(identity, Status.DEFERRED)

    # When Redis forgets everything
    at.redis.flush()

    # Then the mail is sent from what its message carries
    poll(lambda: at.mails_to("flushed@example.org"), "the mail")
    at.until(identity, Status.SENT)
    at.until_quiet()
    assert len(at.mails_to("flushed@example.org")) == 1


def problem_of(process: Process) -> str:
    """What /readyz says while it is 503."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{process.health_port}/readyz", timeout=PATIENCE_S)
    with refused.value as answer:
        return answer.read().decode()


def test_a_disk_alarm_of_the_broker_is_told_to_publishers_and_passes(at: Place) -> None:
    # Given a broker that takes nothing any more
    api = at.service.processes[1]
    event = {"specversion": "1.0", "id": "alarm", "source": "/tests", "type": "away.mail", "data": {"to": "al@arm.org"}}
    at.rabbit.set_disk_alarm()
    try:
        # When a client publishes and the API is asked to, both say no instead of waiting for ever
        with Publisher(at.publisher_url, source="/tests", timeout=2) as publisher, pytest.raises(PublishError):
            publisher.publish_many([Event(type="away.mail", data={"to": "al@arm.org"}, id="alarm-client")])
        status, problem = post_event(api, json.dumps(event).encode())
        assert status == 503, problem
        # And whoever looks at the API is told: a probe, and an alert
        assert "blocks publishers" in problem_of(api)
        assert metric(api, "notifier_broker_blocked") == 1
    finally:
        at.rabbit.clear_disk_alarm()
    poll(lambda: is_ready(api.health_port), "the API is ready again")
    assert metric(api, "notifier_broker_blocked") == 0

    # Then what is published after it gets through
    at.publish("away.mail", {"to": "after@example.org"}, event_id="after")
    at.until(at.delivery("after", "away.mail/mail", "mailto:after@example.org"), Status.SENT)


def test_looking_and_replaying_twice_neither_loses_nor_doubles_anything(at: Place) -> None:
    # Given two parked deliveries
    api, people = at.service.processes[1], ("gone1@example.org", "gone2@example.org")
    at.smtp.reply("RCPT", "554 5.6.0 no", matching="gone")
    for person in people:
        at.publish("away.mail", {"to": person}, event_id=person)
    ids = [at.delivery(person, "away.mail/mail", f"mailto:{person}") for person in people]
    for identity in ids:
        assert at.until_parked(identity).cause is Cause.REFUSED

    # When an operator looks fifty times and rebuilds the index
    for _ in range(50):
        status, page = ask(api.health_port, "/v1/failures")
        assert (status, len(page["entries"])) == (200, 2)
    at.failures("reindex")

    # Then both are still there, and one that is replayed twice is sent once
    assert at.depths()["failed-email"] == 2
    at.smtp.behave()
    for _ in range(2):
        at.failures("replay", ids[0], "--yes", "--json")
    at.until(ids[0], Status.SENT)
    # And one that was sent meanwhile is dropped from the queue instead of being sent again
    entry = at.parked(ids[1])
    at.failures("replay", ids[1], "--yes", "--json")
    at.until(ids[1], Status.SENT)
    at.publish_raw("notifier.failures", "failed-email", _parked_copy(at, people[1], entry), "application/json")
    at.failures("reindex")
    told = at.failures("replay", ids[1], "--yes", "--json")
    assert (told["done"], told["already_sent"]) == (0, 1)
    at.until_quiet()
    assert at.depths()["failed-email"] == 0
    assert [len(at.mails_to(person)) for person in people] == [1, 1]


def _parked_copy(at: Place, person: str, entry: object) -> bytes:
    """A second copy of a parked message, as a crash between publishing and acknowledging leaves it."""
    from notifier.domain.batch import Batch
    from notifier.domain.delivery import Delivery, Mailbox
    from notifier.domain.event import Event as DomainEvent
    from notifier.domain.parked import Parked, ParkedBatch
    from notifier.domain.rule import Channel, Priority

    assert isinstance(entry, Parked)
    event = DomainEvent(id=person, source="/tests", type="away.mail", data={"to": person})
    delivery = Delivery(id=entry.id, event=0, rule="away.mail/mail", to=Mailbox(address=person))
    batch = Batch(channel=Channel.EMAIL, priority=Priority.NORMAL, events=[event], deliveries=[delivery])
    return ParkedBatch(batch, (entry,)).encode()


def test_a_digest_whose_worker_was_killed_between_closing_and_queueing_it_is_sent_once_by_two_beats(at: Place) -> None:
    # Given three items in a window
    for number in range(3):
        at.publish("away.digest", {"to": "digest@example.org", "number": number}, event_id=f"item{number}")
    ids = [
        at.delivery(f"item{number}", "away.digest/mail", "mailto:digest@example.org\x1fdigest@example.org")
        for number in range(3)
    ]
    for identity in ids:
        at.until(identity, Status.HELD)

    # When the worker that closes it cannot queue its mail, because that queue is full, and is killed
    at.service.processes[2].terminate()
    worker = at.service.worker("-n", "digests@%h", "-Q", "digest")
    at.rabbit.limit_queue(at.broker_url, "email-normal", 1)
    for number in range(4):
        at.publish("away.mail", {"to": f"filler{number}@example.org"})
    at.service.beat()
    at.service.beat()
    poll(lambda: at.store.client.keys("ntf:{digests}:c:*"), "the window is closed")
    worker.kill()
    at.service.worker("-n", "two@%h")
    # A window that was closed and not confirmed is due again after a minute; here the minute is over at once.
    due = at.store.client.zrange("ntf:{digests}:due", 0, -1)
    at.store.client.zadd("ntf:{digests}:due", dict.fromkeys(due, 0))

    # Then the next one sends the window once, with every item once
    for identity in ids:
        at.until(identity, Status.SENT)
    at.until_quiet()
    (mail,) = at.mails_to("digest@example.org")
    assert [mail.count(f"item {number}.".encode()) for number in range(3)] == [1, 1, 1]
