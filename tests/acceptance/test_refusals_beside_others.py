"""Refused mails beside those of others: password mails go out at once, and each refusal stays with its own mail."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from notifier.domain.delivery import Status
from tests.acceptance.place import Place, mail_folder, metric, place
from tests.acceptance.service import Process
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

BAD = 'from: "Bad Sender <someone@other.example>"'
FOLDERS = {
    "list": mail_folder("list", text="Hello\n"),
    "bugs": mail_folder("bugs", rule=BAD, text="Hello\n"),
    "password": mail_folder("password", rule="priority: high", text="Hello\n"),
}
REFUSED, URGENT = 200, 20


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("blame"), FOLDERS) as here:
        here.service.consumer()
        here.service.worker("-n", "one@%h")
        yield here


def worker(at: Place) -> Process:
    return at.service.processes[1]


@pytest.mark.parametrize(
    ("event", "step", "matching", "reply", "waits"),
    [
        ("list", "RCPT", "@refused.example", "554 5.7.1 Recipient address rejected: Access denied", False),
        ("list", "DOT", "@refused.example", "550 5.7.1 Spam is not welcome here", False),
        ("list", "DOT", "@refused.example", "451 4.7.1 Try again later", False),
        ("bugs", "MAIL", "@other.example", "550 5.7.60 Client does not have permissions to send as this sender", True),
    ],
)
def test_password_mails_go_out_at_their_first_try_beside_two_hundred_refused_ones(
    at: Place, event: str, step: str, matching: str, reply: str, waits: bool
) -> None:
    # Given a relay that refuses two hundred mails
    at.smtp.clear()
    at.smtp.reply(step, reply, matching=matching)
    refused = at.publish(event, {"to": [f"p{number}@refused.example" for number in range(REFUSED)]})
    told = at.delivery(refused, f"{event}/mail", "mailto:p0@refused.example")
    poll(lambda: (one := at.record(told)) is not None and one.status != Status.QUEUED, "they are refused")

    # When password mails come, one after the other
    wanted = []
    for number in range(URGENT):
        to = f"u{number}@example.org"
        wanted.append(at.delivery(at.publish("password", {"to": to}), "password/mail", f"mailto:{to}"))
        at.smtp.wait_for(number + 1)

    # Then each arrived once and at its first try, and the relay was used all the time
    assert Counter(mail.recipients[0] for mail in at.smtp.mails) == Counter(f"u{n}@example.org" for n in range(URGENT))
    assert [at.until(one, Status.SENT).tries for one in wanted] == [1] * URGENT
    assert '"message": "relay.paused"' not in worker(at).output()
    assert at.service.run("limits", "list", "--json").stdout.strip() == "[]"
    # And a sender that is refused waits alone, without a try, for people to see
    shown = json.loads(at.service.run("relays", "--json").stdout)
    assert [one["sender"] for one in shown[0]["senders"]] == (["someone@other.example"] if waits else [])
    assert metric(worker(at), "notifier_senders_paused") == waits
    if waits:
        people = [f"mailto:p{number}@refused.example" for number in range(REFUSED)]
        records = [at.record(at.delivery(refused, f"{event}/mail", one)) for one in people]
        assert sum(one.tries for one in records if one) < REFUSED / 4
        assert not {one.status for one in records if one} & {Status.REFUSED, Status.EXHAUSTED, Status.SUPPRESSED}
