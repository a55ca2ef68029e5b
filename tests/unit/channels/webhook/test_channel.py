"""The channel: what is prepared once, what is signed anew for each try, and what comes of the answer."""

import asyncio
from dataclasses import dataclass, field

import pytest
from standardwebhooks import Webhook

from notifier import __version__
from notifier.channels.webhook.answers import Answer, Reply
from notifier.channels.webhook.channel import WebhookChannel
from notifier.channels.webhook.guard import AddressGuard, Target
from notifier.channels.webhook.signing import sign
from notifier.domain.delivery import Delivery, EndpointRef
from notifier.domain.endpoint import Endpoint
from notifier.domain.event import Event
from notifier.domain.message import WebhookMessage
from notifier.domain.outcome import Cause, Refused, Sent
from notifier.errors import ForbiddenTarget, InvalidDestination
from notifier.storage.endpoints import new_secret

SECRET = new_secret()
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOW = 1_780_000_000.75


@dataclass
class Recorder:
    """The other implementation of `Exchanges`: keeps what would have been posted."""

    answer: Answer = field(default_factory=lambda: Reply(204))
    posts: list[tuple[Target, dict[str, str], bytes]] = field(default_factory=list)

    async def post(
        self,
        target: Target,
        head: bytes,
        body: bytes,
        *,
        receiver: str = "",
        expires: float | None = None,
        again: bool = True,
    ) -> Answer:
        assert receiver == "ep_a"
        self.posts.append((target, read_head(head), body))
        return self.answer

    def is_slow(self, receiver: str) -> bool:
        return False

    def pending_for(self, receiver: str) -> float:
        return 0.0


def read_head(head: bytes) -> dict[str, str]:
    """The request line under ``""``, and every header."""
    first, *lines, empty, nothing = head.decode("ascii").split("\r\n")
    assert (empty, nothing) == ("", "")
    return {"": first, **dict(line.split(": ", 1) for line in lines)}


def delivery() -> Delivery:
    return Delivery(id="dlv_abc", event=0, rule="order.shipped/partners", to=EndpointRef(endpoint="ep_a"))


def event(traceparent: str | None = None) -> Event:
    return Event(id="1", source="/shop", type="order.shipped", traceparent=traceparent)


def endpoint(
    url: str = "https://partner.example/hook",
    secrets: tuple[str, ...] = (SECRET,),
    headers: tuple[tuple[str, str], ...] = (),
) -> Endpoint:
    return Endpoint("ep_a", "acme", url, secrets, headers=headers)


MESSAGE = WebhookMessage(b'{"type":"order.shipped"}', "application/cloudevents+json", "abc")


def test_a_webhook_carries_the_standard_headers_and_exactly_the_rendered_bytes() -> None:
    # Given a prepared webhook
    recorder = Recorder()
    channel = WebhookChannel(recorder, AddressGuard())
    outgoing = channel.prepare(delivery(), event(TRACE), endpoint(headers=(("X-Tenant", "acme"),)), MESSAGE)

    # When it is sent
    outcome = asyncio.run(channel.send(outgoing, NOW))

    # Then the request is complete
    target, headers, body = recorder.posts[0]
    assert outcome == Sent("http_204", "204 No Content")
    assert target.url == "https://partner.example/hook"
    assert body == MESSAGE.body
    assert headers == {
        "": "POST /hook HTTP/1.1",
        "host": "partner.example",
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-length": str(len(MESSAGE.body)),
        "x-tenant": "acme",
        "content-type": "application/cloudevents+json",
        "user-agent": f"Notifier/{__version__}",
        "webhook-id": "dlv_abc",
        "traceparent": TRACE,
        "webhook-timestamp": "1780000000",
        "webhook-signature": sign([SECRET], "dlv_abc", 1_780_000_000, MESSAGE.body),
    }


def test_each_try_has_a_new_timestamp_and_signature_under_the_same_id() -> None:
    recorder = Recorder()
    channel = WebhookChannel(recorder, AddressGuard())
    outgoing = channel.prepare(delivery(), event(), endpoint(), MESSAGE)

    asyncio.run(channel.send(outgoing, NOW))
    asyncio.run(channel.send(outgoing, NOW + 300))

    first, second = (headers for _, headers, _ in recorder.posts)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 300
    assert first["webhook-signature"] != second["webhook-signature"]


def test_the_present_time_is_signed_when_none_is_given() -> None:
    recorder = Recorder()
    channel = WebhookChannel(recorder, AddressGuard())

    asyncio.run(channel.send(channel.prepare(delivery(), event(), endpoint(), MESSAGE)))

    _, headers, body = recorder.posts[0]
    assert Webhook(SECRET).verify(body, dict(headers)) == {"type": "order.shipped"}


def test_every_secret_of_the_endpoint_signs_newest_first() -> None:
    recorder, new = Recorder(), new_secret()
    channel = WebhookChannel(recorder, AddressGuard())
    outgoing = channel.prepare(delivery(), event(), endpoint(secrets=(new, SECRET)), MESSAGE)

    asyncio.run(channel.send(outgoing, NOW))

    _, headers, body = recorder.posts[0]
    signatures = [sign([secret], "dlv_abc", int(NOW), body) for secret in (new, SECRET)]
    assert headers["webhook-signature"].split(" ") == signatures


def test_the_answer_becomes_the_outcome() -> None:
    channel = WebhookChannel(Recorder(Reply(410, body=b"moved out")), AddressGuard())

    outcome = asyncio.run(channel.send(channel.prepare(delivery(), event(), endpoint(), MESSAGE), NOW))

    assert outcome == Refused("http_410", "410 Gone\nmoved out", cause=Cause.ENDPOINT_GONE, disable_endpoint=True)


def test_an_endpoint_inside_is_refused_before_anything_is_sent() -> None:
    channel = WebhookChannel(Recorder(), AddressGuard())

    with pytest.raises(ForbiddenTarget, match="loopback"):
        channel.prepare(delivery(), event(), endpoint("https://127.0.0.1/"), MESSAGE)


@pytest.mark.parametrize(
    "broken",
    [endpoint(secrets=("nonsense",)), endpoint(secrets=()), endpoint(headers=(("Host", "other"),))],
    ids=["bad secret", "no secret", "forbidden header"],
)
def test_an_endpoint_nothing_can_be_sent_to_is_refused_before_anything_is_sent(broken: Endpoint) -> None:
    with pytest.raises(InvalidDestination):
        WebhookChannel(Recorder(), AddressGuard()).prepare(delivery(), event(), broken, MESSAGE)


def test_a_trace_that_is_no_header_value_is_left_out() -> None:
    channel = WebhookChannel(Recorder(), AddressGuard())

    outgoing = channel.prepare(delivery(), event("00-ä"), endpoint(), MESSAGE)

    assert b"traceparent" not in outgoing.head


def test_neither_secrets_nor_headers_nor_bodies_show_in_a_repr() -> None:
    channel = WebhookChannel(Recorder(), AddressGuard())

    shown = repr(channel.prepare(delivery(), event(), endpoint(headers=(("Authorization", "Bearer s3"),)), MESSAGE))

    assert SECRET not in shown
    assert "s3" not in shown
    assert "order.shipped" not in shown
