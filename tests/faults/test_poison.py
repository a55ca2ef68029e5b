"""Task messages nobody can run: they end where operators see them, and good batches go on beside them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, Mailbox, Status
from notifier.domain.event import Event
from notifier.domain.ids import delivery_id, raw_id
from notifier.domain.outcome import Cause
from notifier.domain.rule import Channel, Collecting, Priority
from notifier.domain.task_message import BATCH_HEADER
from notifier.domain.topology import PARKED_EXCHANGE, TASKS_EXCHANGE
from tests.acceptance.place import SOURCE, Place, mail_folder, place
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

JSON = "application/json"
TASK: dict[str, Any] = {"lang": "py", "task": "notifier.email", "id": "poison", "root_id": "poison", "retries": 0}
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


#: Shape → what `Place.publish_raw` takes after the routing key: what ends a stock worker or vanishes in it (T6, T7).
SHAPES: dict[str, dict[str, Any]] = {
    "right headers, body of one": {"body": body([1]), "content_type": JSON, "headers": TASK, "encoding": "utf-8"},
    "right headers, body an object": {
        "body": body({"a": 1}),
        "content_type": JSON,
        "headers": TASK,
        "encoding": "utf-8",
    },
    "right headers, body a number": {"body": body(7), "content_type": JSON, "headers": TASK, "encoding": "utf-8"},
    "right headers, body not JSON": {"body": b"{", "content_type": JSON, "headers": TASK, "encoding": "utf-8"},
    "right headers, body not UTF-8": {"body": b'["\xff"]', "content_type": JSON, "headers": TASK, "encoding": "utf-8"},
    "right shape, no batch inside": {
        "body": body([[{"v": 1}], {}, EMBED]),
        "content_type": JSON,
        "headers": TASK,
        "encoding": "utf-8",
    },
    "right shape, no arguments": {
        "body": body([[], {}, EMBED]),
        "content_type": JSON,
        "headers": TASK,
        "encoding": "utf-8",
    },
    "a batch of a later version": {
        "body": body([[{"v": 2, "events": []}], {}, EMBED]),
        "content_type": JSON,
        "headers": TASK,
        "encoding": "utf-8",
    },
    "arguments of the wrong kind": {
        "body": body([5, 5, 5]),
        "content_type": JSON,
        "headers": TASK,
        "encoding": "utf-8",
    },
    "pickle": {
        "body": b"\x80\x04N.",
        "content_type": "application/x-python-serialize",
        "headers": TASK,
        "encoding": "binary",
    },
    "unknown task": {
        "body": body([[], {}, EMBED]),
        "content_type": JSON,
        "headers": {**TASK, "task": "notifier.fax"},
        "encoding": "utf-8",
    },
    "the header of a batch, and none in it": {
        "body": body([[{"v": 3}], {}, EMBED]),
        "content_type": JSON,
        "headers": {**TASK, BATCH_HEADER: "email-normal 2"},
        "encoding": "utf-8",
    },
    "the header of a batch, and pickle": {
        "body": b"\x80\x04K\x01.",
        "content_type": "application/x-python-serialize",
        "headers": {**TASK, BATCH_HEADER: "email-normal 2"},
        "encoding": "binary",
    },
    "no headers": {"body": body([1, 2, 3]), "content_type": JSON, "encoding": "utf-8"},
    "no headers, not JSON": {"body": b"\x00\x01", "content_type": JSON, "encoding": "utf-8"},
    "nothing at all": {"body": b""},
    "a time that is none": {
        "body": body([[{}], {}, EMBED]),
        "content_type": JSON,
        "headers": {**TASK, "eta": "tomorrow"},
        "encoding": "utf-8",
    },
    "compressed, but it is not": {
        "body": b"plain",
        "content_type": JSON,
        "headers": {**TASK, "compression": "application/x-gzip"},
        "encoding": "utf-8",
    },
}


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folders = {
        "poison.good": mail_folder("poison.good"),
        "poison.digest": {
            "rules.yaml": "event: poison.digest\ncategory: news\nrules:\n"
            "  - {id: mail, channel: digest, to: data.to, key: data.to, window: {after_first: 1h}}",
            "digest.subject.j2": "Digest of {{ digest.total }}",
            "digest.text.j2": "{% for item in digest['items'] %}{{ item.id }}\n{% endfor %}",
        },
    }
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("poison"), folders) as here:
        here.service.consumer()
        here.service.worker("-n", "one@%h")
        yield here


@pytest.mark.parametrize("shape", SHAPES)
def test_a_task_message_nobody_can_run_ends_in_a_failure_queue_and_harms_nobody(at: Place, shape: str) -> None:
    # Given a running worker
    worker = at.service.processes[-1]
    before = at.depths()["failed-email"]

    # When a malformed message comes
    at.publish_raw(TASKS_EXCHANGE, "email-normal", **SHAPES[shape])

    # Then it is dead-lettered, and operators see it without asking for a reindex
    poll(lambda: at.depths()["failed-email"] == before + 1, f"{shape} is in failed-email; {at.depths()}")
    poll(lambda: at.parked(raw_id(SHAPES[shape]["body"])) is not None, f"{shape} is listed")
    # And the same worker sends the next mail
    event = at.publish("poison.good", {"to": "good@example.org"})
    at.until(at.delivery(event, "poison.good/mail", "mailto:good@example.org"), Status.SENT)
    assert worker.popen.poll() is None


@pytest.mark.parametrize(
    ("channel", "rule", "ends"),
    [(Channel.EMAIL, "poison.good/mail", Status.SENT), (Collecting.DIGEST, "poison.digest/mail", Status.HELD)],
)
def test_a_delivery_nobody_can_read_takes_none_of_its_batch_with_it(
    at: Place, channel: Channel, rule: str, ends: Status
) -> None:
    # Given a batch of three, the middle one of which says something this release does not know
    addresses = [f"{name}.{channel}@beside.example" for name in ("first", "second", "third")]
    events = [
        Event(id=name, source=SOURCE, type=rule.partition("/")[0], data={"to": name}, tenant="beside")
        for name in addresses
    ]
    deliveries = [
        Delivery(
            id=delivery_id(SOURCE, event.id, rule, f"mailto:{event.id}"),
            event=place,
            rule=rule,
            to=Mailbox(address=event.id),
        )
        for place, event in enumerate(events)
    ]
    batch = Batch(channel=channel, priority=Priority.NORMAL, events=events, deliveries=deliveries).encode()
    batch["deliveries"][1]["colour"] = "red"
    failures = f"failed-{channel}"
    before = at.depths()[failures]

    # When it comes as a task
    at.publish_raw(
        TASKS_EXCHANGE,
        "digest" if channel is Collecting.DIGEST else f"{channel}-normal",
        body=body([[batch], {}, EMBED]),
        content_type=JSON,
        headers={**TASK, "task": f"notifier.{channel}"},
        encoding="utf-8",
    )

    # Then what is beside it goes its way, once, and it alone is in a failure queue
    for beside in (deliveries[0], deliveries[2]):
        at.until(beside.id, ends)
    poll(lambda: at.depths()[failures] == before + 1, f"one is in {failures}; {at.depths()}")
    assert [len(at.mails_to(address)) for address in addresses] == ([1, 0, 1] if ends is Status.SENT else [0, 0, 0])


def test_operators_see_poison_after_a_reindex_and_can_discard_it_but_not_send_it(at: Place) -> None:
    # Given the shapes in failed-email as the broker puts them, by an earlier release's binding
    for number, message in enumerate(SHAPES.values(), start=1):
        at.publish_raw(PARKED_EXCHANGE, "failed-email", **{**message, "body": message["body"] + b" " * number})
    before = at.depths()["failed-email"]

    # When the index is rebuilt
    at.failures("reindex")

    # Then every message is listed with its reason
    listed = at.failures("list", "--json", "--limit", "100")["entries"]
    assert {entry["cause"] for entry in listed} == {Cause.POISON}
    assert all(entry["reason"] for entry in listed)
    # And a replay leaves them where they are, still listed
    at.failures("replay", "--channel", "email", "--yes", "--json")
    assert at.depths()["failed-email"] == before
    assert len(at.failures("list", "--json", "--limit", "100")["entries"]) == len(listed)
    # And they can be dropped
    at.failures("discard", "--channel", "email", "--yes", "--json")
    assert at.depths()["failed-email"] == 0
