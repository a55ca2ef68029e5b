"""A flood of events for one person: what the rule allows arrives, the rest is suppressed or comes as one digest."""

from collections.abc import Iterator

import pytest

from notifier.domain.delivery import Status
from tests.acceptance.place import Place, mail_folder, place
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

COLLECTED = {
    "digest.subject.j2": "{{ digest.total }} more",
    "digest.text.j2": "{% for item in digest.items %}item {{ item.data.number }}.\n{% endfor %}",
}
FOLDERS = {
    "flood.drop": mail_folder("flood.drop", rule="throttle: {at_most: 3, per: 1h, key: data.host}"),
    "flood.collect": mail_folder(
        "flood.collect", rule="throttle: {at_most: 2, per: 4s, then: digest}", text="{{ data.number }}", **COLLECTED
    ),
}


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("throttle"), FOLDERS) as here:
        here.service.consumer()
        here.service.worker("-n", "one@%h")
        here.service.worker("-n", "two@%h")
        here.service.beat()
        yield here


def flood(at: Place, event_type: str, number: int, **data: object) -> list[str]:
    """Events for one person; the ids of their deliveries."""
    to = f"{event_type}@example.org"
    made = []
    for i in range(number):
        event_id = at.publish(event_type, {"to": to, "number": i, **data})
        made.append(at.delivery(event_id, f"{event_type}/mail", f"mailto:{to}"))
    return made


def test_what_is_over_a_recipients_allowance_is_suppressed_as_throttled(at: Place) -> None:
    # When twelve events come for one person about one host, and one about another host
    ids = flood(at, "flood.drop", 12, host="web-1")
    other = flood(at, "flood.drop", 1, host="web-2")

    # Then two workers together let three through and say of the rest why not
    records = [at.until(one, Status.SENT, Status.SUPPRESSED) for one in ids]
    assert sorted(record.status for record in records) == [Status.SENT] * 3 + [Status.SUPPRESSED] * 9
    assert {record.reason for record in records if record.status is Status.SUPPRESSED} == {"throttled"}
    assert all(not record.attempts for record in records if record.status is Status.SUPPRESSED)
    # And the other host's mail has an allowance of its own
    at.until(other[0], Status.SENT)
    assert len(at.mails_to("flood.drop@example.org")) == 4
    # And a person who looks is told
    assert "throttled" in at.service.run("show", next(r.id for r in records if r.status is Status.SUPPRESSED)).stdout


def test_what_is_over_an_allowance_may_come_as_one_digest(at: Place) -> None:
    # When six events come for one person
    ids = flood(at, "flood.collect", 6)

    # Then two are mails of their own, and a moment later one mail holds the other four
    poll(lambda: len(at.mails_to("flood.collect@example.org")) == 3, "two mails and a digest")
    records = [at.until(one, Status.SENT) for one in ids]
    digest = next(mail for mail in at.mails_to("flood.collect@example.org") if b"Subject: 4 more" in mail)
    assert sum(b"item %d." % number in digest for number in range(6)) == 4
    assert sum(record.reason.startswith("in digest dlv_") for record in records) == 4
