"""One event for very many people, larger than a task may be: everybody gets one mail, and reads what the event says."""

from collections.abc import Iterator

import pytest

from notifier.domain.delivery import Status
from tests.acceptance.place import Place, mail_folder, place
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

PEOPLE = [f"person-{number:05}@a-domain-with-a-long-name-{number % 7}.example.org" for number in range(6000)]
FOLDERS = {
    "spring.news": mail_folder("spring.news", rule="omit: data.to", text="{{ data.title }} for {{ recipient.email }}\n")
}


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    large = {"NOTIFIER_EVENT_MAX_BYTES": str(1024 * 1024), "NOTIFIER_BATCH_BYTES": str(64 * 1024)}
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("fan-out"), FOLDERS, **large) as here:
        here.service.consumer()
        here.service.worker("-n", "one@%h")
        yield here


def test_everybody_whom_a_large_event_names_gets_one_mail(at: Place) -> None:
    # Given an event of about 350 kB, where a task may have 64
    at.publish("spring.news", {"title": "Linen", "to": PEOPLE}, event_id="spring")

    # When its deliveries are sent
    poll(lambda: len(at.smtp.mails) >= len(PEOPLE), "all mails arrived")
    at.until_quiet()

    # Then everybody has one, with what the event says
    assert sorted(mail.recipients[0] for mail in at.smtp.mails) == sorted(PEOPLE)
    assert all(b"Linen for person-" in mail.data for mail in at.smtp.mails)
    last = at.delivery("spring", "spring.news/mail", f"mailto:{PEOPLE[-1]}")
    at.until(last, Status.SENT)
