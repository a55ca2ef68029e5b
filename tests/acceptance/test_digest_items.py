"""What became of a digest became of its items: whoever asks for an event is told what its reader got."""

from collections.abc import Iterator

import pytest

from notifier.domain.delivery import Status
from notifier.domain.outcome import Cause
from tests.acceptance.place import Place, place
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

FOLDER = {
    "rules.yaml": "event: item.made\ncategory: news\nrules:\n"
    "  - {id: mail, channel: digest, to: data.to, key: data.to, window: {after_first: 1h, at_most: 2}}\n",
    "digest.subject.j2": "Digest of {{ digest.total }}",
    "digest.text.j2": "{% for item in digest['items'] %}{{ item.data.say }}\n{% endfor %}",
}


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("items")
    with place(rabbitmq, redis_server, directory, {"item.made": FOLDER}, NOTIFIER_EMAIL_RETRY="1") as found:
        found.service.consumer()
        found.service.worker("-n", "one@%h")
        found.service.beat()
        yield found


def full_window(at: Place, to: str, say: str | None = "news") -> list[str]:
    """Two items, which is as many as a window takes: ids of their deliveries."""
    data = {"to": to, **({} if say is None else {"say": say})}
    events = [at.publish("item.made", data) for _ in range(2)]
    return [at.delivery(event, "item.made/mail", f"mailto:{to}\x1f{to}") for event in events]


def digest_of(at: Place, item: str) -> str:
    """The id of the digest that an item ended with, as its reason names it."""
    record = at.record(item)
    assert record is not None
    return record.reason.removeprefix("in digest ").partition(":")[0]


@pytest.mark.parametrize(
    ("reply", "status"),
    [("550 5.6.0 not this one", Status.REFUSED), ("450 4.2.1 try later", Status.EXHAUSTED)],
)
def test_items_end_with_their_digest_and_are_sent_when_it_is_replayed(at: Place, reply: str, status: Status) -> None:
    # Given a reader whom the relay refuses, for good or until every try is spent
    to = f"{status.value}@example.org"
    at.smtp.reply("RCPT", reply, matching=to)

    # When a digest for them has failed
    items = full_window(at, to)
    records = [at.until(item, status) for item in items]

    # Then each item says so, and names the digest that operators find in its failure queue
    digest = digest_of(at, items[0])
    assert [record.reason.startswith(f"in digest {digest}: ") for record in records] == [True, True]
    assert at.until_parked(digest).queue == "failed-digest"
    # And no item is parked beside it
    assert [at.parked(item) for item in items] == [None, None]

    # When the relay takes the address, and the digest is replayed
    at.smtp.behave()
    at.failures("replay", "--yes", digest)

    # Then the items were sent with it
    assert [at.until(item, Status.SENT).reason for item in items] == [f"in digest {digest}"] * 2


def test_items_of_a_digest_that_cannot_be_rendered_are_refused_and_wait_again_when_it_is_replayed(at: Place) -> None:
    # Given items that lack what the template names
    items = full_window(at, "lacking@example.org", say=None)

    # When their digest cannot be rendered
    records = [at.until(item, Status.REFUSED) for item in items]

    # Then they are refused for the same reason, and still are when a replay meets the same template
    assert [Cause.RENDER_FAILED in record.reason for record in records] == [True, True]
    digest, before = digest_of(at, items[0]), records[0].updated
    at.until_parked(digest)
    at.failures("replay", "--yes", digest)
    at.until_parked(digest)
    assert at.until(items[0], Status.REFUSED).updated > before
