"""Marked words in data and credentials, through every kind of text that is logged, stored or shown: none comes out."""

import base64
import html
import io
import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from celery.concurrency.solo import TaskPool
from celery.exceptions import Reject
from celery.worker.consumer.consumer import Consumer
from kombu.message import Message
from pydantic import BaseModel

import notifier.api.app  # noqa: F401 - every model is there to be looked at
from notifier import logs
from notifier.api.problems import ProblemBody
from notifier.channels.webhook.answers import Reply
from notifier.channels.webhook.outcomes import classify
from notifier.channels.webhook.scrubbing import scrubbed
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.event import Event
from notifier.domain.rule import Channel, Priority
from notifier.errors import InvalidBatch, MalformedEvent
from notifier.worker.admission import Admission
from notifier.worker.celery_side.guard import run_guarded
from notifier.worker.celery_side.receiving import RejectUnreadable

CANARY = "kanarienvogel"


def models() -> list[type[BaseModel]]:
    """Every pydantic model of ours."""
    found: list[type[BaseModel]] = []
    waiting: list[type[BaseModel]] = [BaseModel]
    while waiting:
        kinds = waiting.pop().__subclasses__()
        waiting.extend(kinds)
        found.extend(kind for kind in kinds if kind.__module__.partition(".")[0] in ("notifier", "consumers"))
    return found


def test_no_model_of_ours_tells_its_input() -> None:
    assert ProblemBody in models()
    assert [kind for kind in models() if not kind.model_config.get("hide_input_in_errors")] == []


def wire() -> dict[str, Any]:
    """A batch whose data is a canary in every place."""
    batch = Batch(
        channel=Channel.EMAIL,
        priority=Priority.NORMAL,
        events=[Event(id="1", source="/tests", type="a.b", data={CANARY: CANARY}, extensions={"note": CANARY})],
        deliveries=[Delivery(id="dlv_1", event=0, rule="a.b/mail", to=Mailbox(address=f"{CANARY}@example.org"))],
    )
    return batch.encode()


def broken() -> list[Any]:
    """Batches nobody can read, each in another place."""
    found: list[Any] = [CANARY, [CANARY], {CANARY: CANARY}, {"events": CANARY}]
    for key, wrong in (("v", CANARY), ("channel", CANARY), ("events", [CANARY]), ("events", [{CANARY: CANARY}])):
        found.append({**wire(), key: wrong})
    for key in ("id", "source", "type", "time", "tenant", "expirytime"):
        found += [{**wire(), "events": [{**wire()["events"][0], key: [CANARY]}]}]
    found.append({**wire(), "events": [{**wire()["events"][0], "data_base64": CANARY + "ä"}]})
    for key in (*wire()["deliveries"][0], CANARY, "digest", "priority", "attempt", "expires"):
        wrongs: list[Any] = [CANARY, [CANARY], {CANARY: CANARY}, {"kind": CANARY}]
        found += [{**wire(), "deliveries": [{**wire()["deliveries"][0], key: wrong}]} for wrong in wrongs]
    return found


def told_of(batch: Any) -> str:
    """Everything that is said of a batch nobody can read; empty when it can be."""
    stream = io.StringIO()
    logs.configure("json", "debug", stream)
    try:
        run_guarded(lambda raw, _: raw.decode(), batch, Admission(100))
    except Reject as error:
        return stream.getvalue() + repr(error) + str(error.__cause__) + repr(error.__cause__)
    return ""


@pytest.mark.parametrize("batch", broken(), ids=range(len(broken())))
def test_what_is_said_of_a_batch_nobody_can_read_has_nothing_of_its_data(batch: Any) -> None:
    assert CANARY not in told_of(batch)


def test_it_still_says_where_the_batch_is_wrong() -> None:
    batch = wire()
    del batch["deliveries"][0]["rule"]
    with pytest.raises(InvalidBatch, match=r"deliveries\.0\.rule: Field required"):
        Batch.decode(batch)


@pytest.mark.parametrize("data", [f"{CANARY}ä", CANARY + "=", 5])
def test_data_that_is_not_base64_is_not_quoted(data: Any) -> None:
    with pytest.raises(MalformedEvent) as caught:
        Event.from_attributes({"specversion": "1.0", "id": "1", "source": "/s", "type": "a", "data_base64": data})
    assert CANARY not in str(caught.value)


def test_a_task_that_begins_is_not_told_with_its_arguments() -> None:
    # Given logs of everything
    stream = io.StringIO()
    logs.configure("json", "debug", stream)
    pool, ran = TaskPool(), list[str | None]()

    # When Celery's pool is given a task
    pool.apply_async(ran.append, (CANARY,), callback=ran.append)

    # Then it ran, and nothing was said of what it was given
    assert CANARY in ran
    assert CANARY not in stream.getvalue()


class Worker(SimpleNamespace):
    """As much of a Celery worker's consumer as reads messages; what reads them is Celery's own."""

    create_task_handler = Consumer.create_task_handler
    on_unknown_message = Consumer.on_unknown_message
    on_unknown_task = Consumer.on_unknown_task
    on_invalid_task = Consumer.on_invalid_task
    on_decode_error = Consumer.on_decode_error


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"task": "other.task", "id": "1", "argsrepr": CANARY}, [[{CANARY: CANARY}], {}, {}]),
        ({"task": CANARY, "id": "1"}, [[], {}, {}]),
        ({"task": "notifier.email", "id": "1"}, {CANARY: CANARY}),
        ({"other": CANARY}, {"task": CANARY, "args": [CANARY]}),
        ({"other": CANARY}, CANARY),
        ({}, {"__type__": CANARY, "__value__": CANARY}),
        ({}, {"__type__": "uuid", "__value__": CANARY}),
        (None, {"id": CANARY}),
    ],
)
def test_a_message_that_is_no_task_of_ours_is_rejected_without_a_word_of_it(headers: Any, body: Any) -> None:
    # Given a worker that knows no task
    stream = io.StringIO()
    logs.configure("json", "debug", stream)
    rejected: list[bool] = []
    worker = Worker(
        strategies={}, on_task_message=[], call_soon_ack=None, connection_errors=(), channel_errors=(), app=None
    )
    RejectUnreadable(worker)
    message = Message(
        json.dumps(body).encode(),
        channel=SimpleNamespace(basic_reject=lambda *_, **__: rejected.append(True)),
        delivery_tag=1,
        content_type="application/json",
        content_encoding="utf-8",
        headers=headers,
        properties={"correlation_id": CANARY},
        accept={"application/json"},
    )

    # When it comes
    worker.create_task_handler()(message)

    # Then
    assert rejected == [True]
    assert "message.unreadable" in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_keywords_reach_no_task_because_python_would_name_them_in_its_error() -> None:
    # Given a worker that knows a task
    stream = io.StringIO()
    logs.configure("json", "debug", stream)
    began: list[Any] = []
    worker = Worker(
        strategies={"notifier.email": lambda *message: began.append(message)},
        on_task_message=[], call_soon_ack=None, connection_errors=(), channel_errors=(), app=None,
        _restore_prefetch_count_after_connection_restart=None, _maximum_prefetch_restored=True,
    )  # fmt: skip
    RejectUnreadable(worker)
    rejected: list[bool] = []
    message = Message(
        json.dumps([[{}], {CANARY: CANARY}, {}]).encode(),
        channel=SimpleNamespace(basic_reject=lambda *_, **__: rejected.append(True)),
        delivery_tag=1,
        content_type="application/json",
        content_encoding="utf-8",
        headers={"task": "notifier.email", "id": "1"},
        accept={"application/json"},
    )

    # When a message comes that gives it keywords
    worker.create_task_handler()(message)

    # Then it is rejected, and nothing of it is said
    assert (began, rejected) == ([], [True])
    assert "keywords" in stream.getvalue()
    assert CANARY not in stream.getvalue()


TOKEN = f"{CANARY}/Zm9v+YmFy\"<&'=="
SIGNATURE = f"v1,{base64.b64encode(CANARY.encode()).decode()}/+="
HEAD = (
    f"POST /hook HTTP/1.1\r\nhost: example.org\r\ncontent-type: application/json\r\nauthorization: Bearer {TOKEN}\r\n"
    f"x-api-key: {CANARY}-key\r\nwebhook-id: dlv_1\r\nwebhook-signature: {SIGNATURE}\r\n\r\n"
).encode()


@pytest.mark.parametrize("status", [200, 302, 400, 410, 500])
@pytest.mark.parametrize(
    "spelled",
    [
        lambda text: text,
        html.escape,
        lambda text: quote(text, safe=""),
        lambda text: json.dumps({"seen": text}),
        lambda text: json.dumps({"seen": text}).replace("/", "\\/"),
    ],
    ids=["as sent", "HTML", "URL", "JSON", "JSON of PHP"],
)
def test_a_receiver_that_echoes_our_headers_gets_no_credential_into_the_ledger(status: int, spelled: Any) -> None:
    # Given
    words = (f"Bearer {TOKEN}", TOKEN, f"{CANARY}-key", SIGNATURE, SIGNATURE.partition(",")[2])

    for word in words:
        reply = Reply(
            status, reason=word, location=f"https://x/{quote(word)}", body=f"got {spelled(word)} here".encode()
        )

        # When
        outcome: Any = classify(scrubbed(reply, HEAD), 0.0)

        # Then
        assert CANARY not in outcome.reply
        assert SIGNATURE[8:20] not in outcome.reply
        assert "got" in outcome.reply
        assert "here" in outcome.reply


def test_a_reply_without_our_credentials_stays_as_it_is() -> None:
    reply = Reply(500, body=b"example.org has no dlv_1: POST is not allowed for application/json, user 1")
    assert scrubbed(reply, HEAD) is reply


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_names_the_place_and_quotes_no_value(form: Any) -> None:
    # Given errors whose words Python and libraries make of a value, one raised from the other
    stream = io.StringIO()
    logs.configure(form, "info", stream)
    try:
        try:
            int(CANARY)
        except ValueError as error:
            {}[CANARY]  # type: ignore[index]
            raise OSError("never") from error
    except KeyError:
        logs.get("test").exception("failed")

    # Then
    assert "KeyError" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "test_canary.py" in stream.getvalue()
    assert f"'{CANARY}'" not in stream.getvalue()
    assert CANARY not in stream.getvalue()
