"""Platforms' own examples of what they send, through the running service: what was published arrives, to the byte.

GitHub's webhooks come with the npm package `@octokit/webhooks-examples` (MIT), events of Amazon's services and of Alexa
with `@serverless/event-mocks` (Apache-2.0); the lock in `foreign/npm/` pins both.
"""

from pathlib import Path
from uuid import uuid4

import pika

from notifier.domain.json_spans import elements
from tests.acceptance.foreign.runner import packages
from tests.acceptance.place import SOURCE, STRUCTURED, hook_folder, place
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

EVENT = "payload.hook"
GITHUB = "node_modules/@octokit/webhooks-examples/api.github.com/index.json"
AMAZON = "node_modules/@serverless/event-mocks/dist/events/aws"


def payloads() -> list[bytes]:
    """Each example as the file spells it: with its spaces, its line ends and its order."""
    amazon = [file.read_bytes().strip() for file in sorted((packages() / AMAZON).glob("*.json"))]
    assert len(amazon) == 12
    return _github() + amazon


def _github() -> list[bytes]:
    found: list[bytes] = []
    for kind in elements((packages() / GITHUB).read_bytes()):
        start = kind.index(b'"examples": [') + len(b'"examples": ')
        found += elements(kind[start : kind.rindex(b"]") + 1])
    return found


def test_what_platforms_send_arrives_byte_for_byte_in_either_mode(
    rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path: Path
) -> None:
    # Given the service with an endpoint, and some 340 payloads as GitHub and Amazon send them
    published = {uuid4().hex: payload for payload in payloads() for _ in ("structured", "binary")}
    assert len(published) > 2 * 300
    with place(rabbitmq, redis_server, tmp_path, {EVENT: hook_folder(EVENT)}) as at:
        at.endpoints.add("default", at.http.url)
        at.service.consumer()
        at.service.worker("-n", "one@%h")

        # When each is published twice, as a structured and as a binary event
        with pika.BlockingConnection(pika.URLParameters(at.broker_url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for number, (identity, payload) in enumerate(published.items()):
                properties, body = binary(identity, payload) if number % 2 else structured(identity, payload)
                channel.basic_publish("notifier.events", EVENT, body, properties, mandatory=True)
        poll(lambda: len(at.http.requests) >= len(published), "all of them have arrived")

        # Then the webhook of each carries its data as it was published
        arrived = {identity_of(request.body): request.body for request in at.http.requests}
        wrong = [i for i, payload in published.items() if not arrived[i].endswith(b',"data":' + payload + b"}")]
        assert wrong == []
        assert len(at.http.requests) == len(published)


def structured(identity: str, payload: bytes) -> tuple[pika.BasicProperties, bytes]:
    head = f'{{"specversion":"1.0","id":"{identity}","source":"{SOURCE}","type":"{EVENT}","data":'
    return pika.BasicProperties(content_type=STRUCTURED, delivery_mode=2), head.encode() + payload + b"}"


def binary(identity: str, payload: bytes) -> tuple[pika.BasicProperties, bytes]:
    attributes = {"specversion": "1.0", "id": identity, "source": SOURCE, "type": EVENT}
    headers = {f"cloudEvents:{name}": value for name, value in attributes.items()}
    return pika.BasicProperties(content_type="application/json", headers=headers, delivery_mode=2), payload


def identity_of(body: bytes) -> str:
    """The event's id, which stands before its data."""
    start = body.index(b'"id":"') + 6
    return body[start : body.index(b'"', start)].decode()
