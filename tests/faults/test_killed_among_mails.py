"""kill -9 while hundreds of mails are under way: to a Postfix, and to a relay that hangs up at the final dot."""

import os
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from notifier.domain.delivery import Status
from notifier.domain.outcome import Cause
from tests.acceptance.place import Place, mail_folder, place
from tests.servers.faults import DROP
from tests.servers.mail.machines import ThisMachine
from tests.servers.mail.postfix import Postfix
from tests.servers.patience import poll
from tests.servers.processes import ServerMissing
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.servers.smtp import SmtpSink
from tests.servers.smtp_session import Mail

FOLDERS = {
    "kill.resend": mail_folder("kill.resend", text="Hello\n"),
    "kill.park": mail_folder("kill.park", rule="uncertain: park", text="Hello\n"),
}
MAILS = 400
#: Retries come soon, there are enough of them, and what a dead worker held is free soon.
QUICK = {"NOTIFIER_EMAIL_RETRY": " ".join(["1"] * 20), "NOTIFIER_SEND_TIMEOUT": "8"}
#: Mails whose reply is lost.
CUT = 20
Deliveries = dict[str, str]
"""Recipient → delivery."""


@pytest.fixture
def postfix() -> Iterator[Postfix]:
    try:
        server = Postfix(machine=ThisMachine())
    except ServerMissing as missing:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(missing))
    yield server
    server.close()


def killed_in_the_middle(at: Place, sink: SmtpSink, names: dict[str, str]) -> tuple[Deliveries, set[str]]:
    """Publishes mails (event → how its recipients begin), kills the worker when a third has come, starts another one.

    Returns all deliveries, and the recipients whose mails were recorded as sent when the worker was dead.
    """
    at.service.consumer()
    worker = at.service.worker("-n", "first@%h")
    deliveries: Deliveries = {}
    for event, name in names.items():
        recipients = [f"{name}{number}@example.org" for number in range(MAILS)]
        at.publish(event, {"to": recipients}, event_id=name)
        deliveries |= {to: at.delivery(name, f"{event}/mail", f"mailto:{to}") for to in recipients}
    sink.wait_for(len(deliveries) // 3)
    worker.kill()
    recorded = set(of_status(at, deliveries, Status.SENT))
    assert len(recorded) < len(deliveries), "it was killed too late to show anything"
    at.service.worker("-n", "second@%h")
    return deliveries, recorded


def of_status(at: Place, deliveries: Deliveries, *wanted: Status) -> list[str]:
    """Recipients whose records say so."""
    records = at.ledger.deliveries(list(deliveries.values()))
    return [to for to, record in zip(deliveries, records, strict=True) if record and record.status in wanted]


def counted(mails: list[Mail]) -> Counter[str]:
    return Counter(recipient for mail in mails for recipient in mail.recipients)


def until(condition: Callable[[], object], what: str, at: Place) -> None:
    try:
        poll(condition, what)
    except AssertionError as error:
        raise AssertionError(f"{error}; queues: {at.depths()}") from None


def test_a_worker_that_is_killed_among_mails_to_a_postfix_loses_none_and_sends_none_again_that_was_recorded(
    postfix: Postfix, rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Given mails of a rule that sends again what is uncertain, and of one that parks it, on their way to a Postfix
    directory = tmp_path_factory.mktemp("killed")
    with place(rabbitmq, redis_server, directory, FOLDERS, relays=postfix.url, **QUICK) as at:
        # When the only worker is killed, and another one takes over
        names = {"kill.resend": "again", "kill.park": "park"}
        deliveries, recorded = killed_in_the_middle(at, postfix.sink, names)
        ends = (Status.SENT, Status.REFUSED)
        until(lambda: len(of_status(at, deliveries, *ends)) == len(deliveries), "every mail has ended", at)
        parked = set(of_status(at, deliveries, Status.REFUSED))
        until(lambda: counted(postfix.sink.mails).keys() >= deliveries.keys() - parked, "Postfix passed all on", at)

        # Then each has arrived, or is parked because nobody can know whether it did
        assert all(to.startswith("park") for to in parked)
        assert {at.until_parked(deliveries[to]).cause for to in parked} <= {Cause.UNCERTAIN}

        # and only what had left without being recorded has come twice, where the rule says so
        twice = {to for to, count in counted(postfix.sink.mails).items() if count > 1}
        assert not twice & recorded
        assert not [to for to in twice if to.startswith("park")]


def test_a_worker_that_is_killed_while_its_relay_hangs_up_at_the_final_dot_loses_no_mail(
    rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("killed")
    with place(rabbitmq, redis_server, directory, FOLDERS, **QUICK) as at:
        # Given a relay that hangs up at the final dot of some mails, and has taken others when it does
        at.smtp.reply("DOT", DROP, matching=r"again\d*[37]@", times=CUT)
        at.smtp.reply("ACCEPTED", DROP, matching=r"again\d*[59]@", times=CUT)

        # When the only worker is killed, and another one takes over
        deliveries, recorded = killed_in_the_middle(at, at.smtp, {"kill.resend": "again"})
        until(lambda: len(of_status(at, deliveries, Status.SENT)) == len(deliveries), "every mail is sent", at)

        # Then each has arrived, and nothing twice but what was taken without a word, and what nobody had recorded
        came = counted(at.smtp.mails)
        assert came.keys() == deliveries.keys()
        lost_replies = {to for to in came if to.split("@")[0][-1] in "59"}
        assert {to for to, count in came.items() if count > 1} <= lost_replies | (came.keys() - recorded)
        assert sum(came[to] - 1 for to in lost_replies & recorded) <= CUT
