"""kill -9 of an operator's replay in the middle: nothing is lost, nothing is sent twice, and another one may go on."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from notifier.domain.delivery import Status
from tests.acceptance.place import Place, mail_folder, place
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.servers.rights import OPERATOR

EVENT = "walk.mail"
MAILS = 60


@pytest.fixture
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folders = {EVENT: mail_folder(EVENT, text="Hello\n")}
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("walk"), folders) as here:
        here.service.consumer()
        here.service.worker("-n", "one@%h")
        yield here


def test_a_replay_that_is_killed_loses_nothing_and_the_next_one_sends_nothing_twice(at: Place) -> None:
    # Given mails that their relay refused, on all shelves
    at.smtp.reply("RCPT", "554 5.6.0 no", matching="walk")
    people = [f"walk{number}@example.org" for number in range(MAILS)]
    for person in people:
        at.publish(EVENT, {"to": person}, event_id=person)
    ids = {at.delivery(person, f"{EVENT}/mail", f"mailto:{person}"): person for person in people}
    for identity in ids:
        at.until_parked(identity)
    at.smtp.behave()

    # When a replay of all of them is killed after it has sent some
    command = [sys.executable, "-m", "notifier.cli", "failures", "replay", "--all", "--yes", "--rate", "10"]
    replay = subprocess.Popen(command, env=at.service.as_(OPERATOR), cwd=at.service.directory)
    try:
        poll(lambda: len(at.smtp.mails) >= MAILS // 4, "some have arrived")
    finally:
        replay.kill()
        replay.wait()
    assert len(at.smtp.mails) < MAILS, "it was killed too late to show anything"

    # Then another one, which begins while the killed one's turn is not over, sends the rest
    at.failures("replay", "--all", "--yes", "--json")
    for identity in ids:
        at.until(identity, Status.SENT)
    at.until_quiet()

    # And each has arrived once, and nothing lies anywhere
    assert Counter(to for mail in at.smtp.mails for to in mail.recipients) == Counter(people)
    listed = at.failures("list", "--json")
    assert (listed["entries"], listed["unindexed"]) == ([], {})
    assert at.depths()["failed-email"] == 0
