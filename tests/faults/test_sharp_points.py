"""kill -9 at the points where it hurts most, each held still by a relay or a broker that waits."""

from collections.abc import Iterator

import pytest

from notifier.domain.delivery import Status
from notifier.domain.outcome import Cause
from tests.acceptance.place import Place, mail_folder, message_id, place
from tests.servers.faults import HANG
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

FOLDERS = {
    "point.resend": mail_folder("point.resend"),
    "point.park": mail_folder("point.park", rule="uncertain: park"),
}


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A worker was killed while its relay kept three mails waiting, and another one runs."""
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("points"), FOLDERS, NOTIFIER_SEND_TIMEOUT="8") as here:
        here.service.consumer()
        worker = here.service.worker("-n", "first@%h")
        here.smtp.reply("ACCEPTED", HANG, matching="resend@", times=1)
        here.smtp.reply("ACCEPTED", HANG, matching="park@", times=1)
        here.smtp.reply("RCPT", HANG, matching="early@", times=1)
        for event, name in (("point.resend", "resend"), ("point.park", "park"), ("point.park", "early")):
            here.publish(event, {"to": f"{name}@example.org"}, event_id=name)
            # One batch each, so that each is held still by itself.
            here.until(_id(here, event, name), Status.SENDING)
        here.smtp.wait_for(2)
        poll(lambda: here.smtp.counters.commands["RCPT"] == 3, "the third recipient was said")
        worker.kill()
        here.service.worker("-n", "second@%h")
        yield here


def _id(at: Place, event: str, name: str) -> str:
    return at.delivery(name, f"{event}/mail", f"mailto:{name}@example.org")


def test_a_mail_whose_sender_was_killed_after_the_final_dot_arrives_again_with_the_same_id(at: Place) -> None:
    # Then the mail is sent again, as the same mail, and no try was spent on the first one
    record = at.until(_id(at, "point.resend", "resend"), Status.SENT)
    assert [attempt.number for attempt in record.attempts] == [1]
    first, second = at.mails_to("resend@example.org")
    assert message_id(first) == message_id(second)


def test_a_mail_whose_sender_was_killed_after_the_final_dot_is_left_to_a_person_if_the_rule_says_so(at: Place) -> None:
    # Then it is parked as uncertain and was not sent again
    at.until(_id(at, "point.park", "park"), Status.REFUSED)
    assert at.until_parked(_id(at, "point.park", "park")).cause is Cause.UNCERTAIN
    assert len(at.mails_to("park@example.org")) == 1


def test_a_mail_whose_sender_was_killed_before_the_final_dot_is_certain_to_be_unsent(at: Place) -> None:
    # Then another worker sends it, although the rule parks what is uncertain
    at.until(_id(at, "point.park", "early"), Status.SENT)
    assert len(at.mails_to("early@example.org")) == 1


def test_a_worker_killed_between_recording_an_end_and_parking_it_leaves_it_to_the_next(at: Place) -> None:
    # Given a mail whose relay has it and says nothing, and a rule that parks what is uncertain
    at.until_quiet()
    at.smtp.reply("ACCEPTED", HANG, matching="late@", times=1)
    worker = at.service.processes[-1]
    taken = len(at.smtp.mails)
    at.publish("point.park", {"to": "late@example.org"}, event_id="late")
    delivery = _id(at, "point.park", "late")
    at.smtp.wait_for(taken + 1)

    # When the broker takes no publishes any more, the end is recorded but cannot be parked, and the worker dies
    at.rabbit.set_disk_alarm()
    try:
        at.until(delivery, Status.REFUSED)
        worker.kill()
    finally:
        at.rabbit.clear_disk_alarm()
    assert at.parked(delivery) is None
    at.service.worker("-n", "third@%h")

    # Then the next worker parks it, with what the ledger knows, and does not send it again
    entry = at.until_parked(delivery)
    assert (entry.cause, entry.code, entry.queue) == (Cause.UNCERTAIN, "uncertain:timeout", "failed-email")
    at.until_quiet()
    assert len(at.mails_to("late@example.org")) == 1
