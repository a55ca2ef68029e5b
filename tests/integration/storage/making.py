"""Values for storage tests, with sensible defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from notifier.domain import ids
from notifier.domain.delivery import Attempt, Delivery, EndpointRef, Mailbox, Status
from notifier.domain.event import Event
from notifier.domain.rule import Channel, Rule, Window
from notifier.storage.connection import connect
from notifier.storage.digests import Digests, Item, WindowRef, lease
from notifier.storage.ledger import Claimed, ClaimRequest, Ledger, Record, Registration
from tests.servers.redis import RedisServer

OWNER = "worker-1"
RULE = Rule("order.shipped/customer", "order.shipped", Channel.EMAIL, "order.shipped", "orders", transactional=False)


class Clock:
    """A clock that only moves when a test says so."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def event(number: int = 1, **fields: Any) -> Event:
    return Event(**{"id": f"order-{number}", "source": "/shop", "type": "order.shipped", **fields})


def delivery(of: Event | None = None, to: str = "jane@example.org", rule: Rule = RULE, **fields: Any) -> Delivery:
    of = of or event()
    place = EndpointRef(endpoint=to) if to.startswith("ep_") else Mailbox(address=to)
    made = ids.delivery_id(of.source, of.id, rule.id, place.identity)
    return Delivery(**{"id": made, "event": 0, "rule": rule.id, "to": place, "queued": 1_799_999_999.0, **fields})


def request(of: Event | None = None, *, recipient: bool = True, **fields: Any) -> ClaimRequest:
    of = of or event()
    made = delivery(of, **fields)
    person = ids.recipient_key(made.to.address) if recipient and isinstance(made.to, Mailbox) else None
    return ClaimRequest(made, Channel.EMAIL, of, person)


def registration(number: int = 1, people: int = 1) -> Registration:
    of = event(number)
    return Registration(of, tuple((delivery(of, f"p{i}@example.org"), RULE) for i in range(people)))


def attempt(number: int = 1, code: str = "smtp_250", outcome: str = "sent") -> Attempt:
    return Attempt(number, 1_800_000_000.0, 0.17, outcome, code, "2.0.0 Ok: queued", OWNER)


def deferred(number: int = 1) -> Attempt:
    return attempt(number, "smtp_451", "deferred")


def claim(ledger: Ledger, *requests: ClaimRequest, owner: str = OWNER, lease: float = 90) -> Claimed:
    """Claim and expect it to be ours."""
    ledger.heartbeat(owner, 30)
    (found,) = ledger.claim(requests, owner=owner, lease=lease)
    assert isinstance(found, Claimed), found
    return found


def bring_to(ledger: Ledger, wanted: ClaimRequest, status: Status) -> int:
    """Bring a delivery to a status by allowed moves only; returns its fence."""
    identity = wanted.delivery.id
    if status is Status.QUEUED:
        held = claim(ledger, wanted)
        ledger.release([(identity, held.fence)])
        return held.fence
    held = claim(ledger, wanted)
    if status is not Status.SENDING:
        assert ledger.record([Record(identity, held.fence, status, "because", claimed=wanted)]) == [True]
    return held.fence


def item(number: int, window: Window, to: str = "jane@example.org", key: str = "") -> Item:
    of = event(number, data={"note": f"confidential {number}"})
    return Item(delivery(of, to, key=key), of, window)


def raw_dump(server: RedisServer) -> str:
    """Every key and value as stored."""
    store = connect(server.url)
    found = []
    for name in store.client.scan_iter():
        kind = store.client.type(name)
        read: dict[Any, Callable[[Any], Any]] = {
            "string": store.client.get,
            "hash": store.client.hgetall,
            "list": lambda n: store.client.lrange(n, 0, -1),
            "zset": lambda n: store.client.zrange(n, 0, -1),
        }
        found.append(f"{name!r} {read[kind](name)!r}")
    store.close()
    return "\n".join(found)


def fail(_: object, error: Exception) -> None:
    """For windows of which none may be unreadable."""
    raise error


def take(digests: Digests, now: float) -> list[WindowRef]:
    """Windows that are due, as a sweep takes them."""
    return digests.take(now, lease(now))
