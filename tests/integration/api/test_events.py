"""POST /v1/events against a real broker: what is accepted is in the intake queue, what is not is explained."""

from __future__ import annotations

import json
from typing import Any

import pika
import pytest
from starlette.testclient import TestClient

from notifier.domain.cloudevents import decode_structured
from notifier.domain.event import Event
from notifier.domain.ids import event_key
from notifier.domain.topology import INTAKE_QUEUE, URGENT_QUEUE
from notifier.settings import Settings
from notifier.wiring.api import build_api
from tests.integration.api.conftest import TOKENS
from tests.servers.rabbitmq import RabbitMQ

_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_PUBLISH = {"Authorization": f"Bearer {TOKENS['publish']}"}
_EVENT: dict[str, Any] = {"specversion": "1.0", "type": "nobody.listens", "source": "/t", "id": "1", "data": {"a": 1}}


def _post(client: TestClient, body: Any, content_type: str = _STRUCTURED, query: str = "", **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(f"/v1/events{query}", content=raw, headers={**_PUBLISH, "Content-Type": content_type, **headers})


def _taken_in(settings: Settings, queue: str = INTAKE_QUEUE) -> list[Event]:
    """Empties an intake queue."""
    connection = pika.BlockingConnection(pika.URLParameters(settings.broker_url))
    events = []
    try:
        channel = connection.channel()
        while True:
            method, _, body = channel.basic_get(queue, auto_ack=True)
            if method is None:
                return events
            events.append(decode_structured(body))
    finally:
        connection.close()


@pytest.fixture(autouse=True)
def _empty_queue(api_settings: Settings) -> None:
    for queue in (INTAKE_QUEUE, URGENT_QUEUE):
        _taken_in(api_settings, queue)


def test_an_accepted_event_is_in_the_intake_queue_before_the_answer(client: TestClient, api_settings: Settings) -> None:
    # When
    answer = _post(client, _EVENT)

    # Then
    assert answer.status_code == 202
    assert answer.json() == {"accepted": [{"id": "1", "source": "/t", "key": event_key("/t", "1")}]}
    assert [event.attributes() for event in _taken_in(api_settings)] == [_EVENT]


def test_urgent_events_have_a_way_in_of_their_own(client: TestClient, api_settings: Settings) -> None:
    # When
    answer = _post(client, [_EVENT, {**_EVENT, "id": "2"}], _BATCH, query="?urgent=true")

    # Then
    assert answer.status_code == 202
    assert [event.id for event in _taken_in(api_settings, URGENT_QUEUE)] == ["1", "2"]
    assert _taken_in(api_settings) == []


def test_an_urgency_that_is_none_is_refused_by_name(client: TestClient, api_settings: Settings) -> None:
    answer = _post(client, _EVENT, query="?urgent=very")

    assert answer.status_code == 422
    assert "urgent" in answer.text
    assert _taken_in(api_settings) == _taken_in(api_settings, URGENT_QUEUE) == []


def test_binary_mode_reads_percent_encoded_attributes(client: TestClient, api_settings: Settings) -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-type": "nobody.listens",
        "ce-source": "/caf%C3%A9",
        "ce-id": '"quoted%20id"',
        "ce-tenant": "acme",
        "ce-custom": "x",
    }
    answer = _post(client, {"total": 3}, "application/json; charset=utf-8", **headers)

    assert answer.status_code == 202, answer.text
    (event,) = _taken_in(api_settings)
    assert (event.source, event.id, event.tenant) == ("/café", "quoted id", "acme")
    assert (event.data, event.extensions) == ({"total": 3}, {"custom": "x"})


def test_binary_mode_carries_data_that_is_not_json(client: TestClient, api_settings: Settings) -> None:
    headers = {"ce-specversion": "1.0", "ce-type": "nobody.listens", "ce-source": "/t", "ce-id": "2"}

    assert _post(client, b"\x00\xff", "application/octet-stream", **headers).status_code == 202

    (event,) = _taken_in(api_settings)
    assert event.data_base64 == "AP8="
    assert event.datacontenttype == "application/octet-stream"


def test_a_batch_is_accepted_in_its_order(client: TestClient, api_settings: Settings) -> None:
    batch = [{**_EVENT, "id": str(number)} for number in range(300)]

    answer = _post(client, batch, _BATCH)

    assert answer.status_code == 202
    assert [entry["id"] for entry in answer.json()["accepted"]] == [str(number) for number in range(300)]
    assert [event.id for event in _taken_in(api_settings)] == [str(number) for number in range(300)]


def test_an_empty_batch_is_accepted_and_publishes_nothing(client: TestClient, api_settings: Settings) -> None:
    assert _post(client, [], _BATCH).json() == {"accepted": []}
    assert _taken_in(api_settings) == []


def test_one_wrong_event_refuses_its_whole_batch(client: TestClient, api_settings: Settings) -> None:
    answer = _post(client, [_EVENT, {**_EVENT, "id": ""}], _BATCH)

    assert answer.status_code == 400
    assert "event 1 of the batch" in answer.json()["detail"]
    assert answer.json()["where"] == "id"
    assert _taken_in(api_settings) == []


def test_data_that_breaks_the_schema_of_its_type_is_422_naming_the_field(
    client: TestClient, api_settings: Settings
) -> None:
    answer = _post(client, {**_EVENT, "type": "order.shipped", "data": {"order": 5}})

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:notifier:problem:schema"
    assert answer.json()["detail"]
    assert _taken_in(api_settings) == []


@pytest.mark.parametrize("missing", ["specversion", "type", "source", "id"])
def test_a_missing_attribute_is_400_naming_it(client: TestClient, missing: str) -> None:
    answer = _post(client, {name: value for name, value in _EVENT.items() if name != missing})

    assert answer.status_code == 400
    assert answer.json()["where"] == missing
    assert answer.json()["do"]


_DEEP = b'{"specversion":"1.0","type":"t","source":"/t","id":"1","data":' + b"[" * 20_000 + b"]" * 20_000 + b"}"


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (400, b"not json", _STRUCTURED),
        (400, b"", _STRUCTURED),
        (400, b"[]", _STRUCTURED),
        (400, b"{}", _BATCH),
        (400, b"\xff\xfe", _STRUCTURED),
        (400, b'{"specversion":"1.0","type":"t","source":"/t","id":"a\\u0000b"}', _STRUCTURED),
        (400, b'{"specversion":"1.0","type":"t","source":"/t","id":"a\\ud800"}', _STRUCTURED),
        (400, _DEEP, _STRUCTURED),
        (400, b"[" * 60_000, _BATCH),
        (400, b"{}", _STRUCTURED + "; charset=utf-16"),
        (413, b"x" * 70_000, _STRUCTURED),
        (413, b"x" * 10_000_000, _STRUCTURED),
        (413, b"x" * 10_000_000, _BATCH),
        (415, b"{}", "application/json"),
        (415, b"{}", "text/html"),
        (415, b"{}", ""),
    ],
)
def test_hostile_bodies_are_explained_and_the_next_request_is_served(
    client: TestClient, status: int, body: bytes, content_type: str
) -> None:
    answer = _post(client, body, content_type)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("value", ["%00", "%0d%0aX-Injected: 1", "%ff", "a\tb", "%C2%85"])
def test_control_characters_in_attribute_headers_are_refused(client: TestClient, value: str) -> None:
    headers = {"ce-specversion": "1.0", "ce-type": "t", "ce-source": "/t", "ce-id": value}

    answer = _post(client, {}, "application/json", **headers)

    assert answer.status_code == 400
    assert "x-injected" not in answer.headers


def test_an_attribute_header_given_twice_is_refused(client: TestClient) -> None:
    headers = [
        ("Authorization", f"Bearer {TOKENS['publish']}"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-id", "2"),
    ]
    answer = client.post("/v1/events", content=b"{}", headers=headers)

    assert answer.status_code == 400
    assert "twice" in answer.json()["detail"]


def test_without_a_queue_for_it_an_event_is_not_accepted(rabbitmq: RabbitMQ, api_settings: Settings) -> None:
    # Given a broker on which nothing was declared
    url = rabbitmq.new_vhost()
    app, close = build_api(api_settings.model_copy(update={"broker_url": url}))

    # When
    answer = _post(TestClient(app), _EVENT)

    # Then
    close()
    rabbitmq.delete_vhost(url)
    assert answer.status_code == 503
    assert "topology apply" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) > 0


def test_a_broker_that_is_away_is_503_with_retry_after_and_readyz_says_so(api_settings: Settings) -> None:
    # Given a port where nobody listens
    away = api_settings.model_copy(update={"broker_url": "amqp://guest:guest@127.0.0.1:1/"})
    app, close = build_api(away)
    client = TestClient(app)

    # When
    answer = _post(client, _EVENT)
    readiness = client.get("/readyz")

    # Then
    close()
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:notifier:problem:broker_away"
    assert int(answer.headers["retry-after"]) > 0
    assert readiness.status_code == 503
    assert "cannot be reached" in readiness.json()["checks"]["broker"]


def test_an_event_under_another_content_type_is_taken_and_its_publisher_is_told(
    client: TestClient, api_settings: Settings
) -> None:
    # Given an event and a batch as a library sends them that only knows application/json
    event, batch = _post(client, _EVENT, "application/json"), _post(client, [{**_EVENT, "id": "2"}], "application/json")

    # Then both are taken, with a note, and go on as they should have been sent
    assert (event.status_code, batch.status_code) == (202, 202)
    for answer in (event, batch):
        assert "application/json" in answer.json()["accepted"][0]["note"]
    assert [taken.id for taken in _taken_in(api_settings)] == ["1", "2"]


def test_what_was_published_goes_on_byte_for_byte(client: TestClient, api_settings: Settings) -> None:
    data = b'{ "wei": 1000000000000000000001, "price": 1.10, "text": "gr\\u00fcn" }'
    head = b'{"specversion":"1.0","id":"1","source":"/t","type":"nobody.listens","time":"2016-12-31T23:59:60Z"'

    assert _post(client, head + b', "data": ' + data + b"}").status_code == 202

    (event,) = _taken_in(api_settings)
    assert event.published == head + b',"data":' + data + b"}"


def test_an_event_that_is_too_large_for_intake_is_413_and_not_parked_later(
    client: TestClient, api_settings: Settings
) -> None:
    # Given data that is below the limit, and above it in base64, which it travels in
    headers = {"ce-specversion": "1.0", "ce-type": "nobody.listens", "ce-source": "/t", "ce-id": "2"}

    answer = _post(client, b"\xff" * 60_000, "image/png", **headers)

    assert answer.status_code == 413
    assert _taken_in(api_settings) == []
