"""What consumers and workers do in Redis for a delivery, without anybody sending: one client of a bench.

Of every 25 batches of 50, five are webhooks, one is items of digests, and the others are mails, half of them to people
who are known by an id, a quarter of them throttled; all mails have a limit for their relay and one for their domain.
"""

import time
from collections.abc import Sequence
from functools import cache

from notifier.domain.delivery import Attempt, Delivery, Destination, EndpointRef, Mailbox, RecipientRef, Status
from notifier.domain.event import Event
from notifier.domain.ids import delivery_id, recipient_key, suppression_keys
from notifier.domain.limit import Scope, ScopeKind, parse_rate
from notifier.domain.recipient import Recipient
from notifier.domain.rule import Channel, Collecting, Rule, Throttle, Window, WorkKind
from notifier.domain.suppression import unsubscribed
from notifier.storage.cipher import Cipher
from notifier.storage.connection import connect
from notifier.storage.digests import Digests, Item, WindowRef, lease
from notifier.storage.endpoints import Endpoints
from notifier.storage.ledger import Claimed, ClaimRequest, Ledger, Record, Registration
from notifier.storage.limits import Ask, Go, Limits
from notifier.storage.recipients import Recipients
from notifier.storage.suppressions import Suppressions
from notifier.storage.throttles import Question, Throttles

SECRET_KEY = "a-secret-key-for-benches-of-more-than-32-characters"
#: Deliveries of a task.
TOGETHER = 50
#: Batches after which it begins anew; the first are webhooks, then come items of a digest.
_ROUND, _WEBHOOKS = 25, 5
_DOMAINS, _TENANTS, _ITEMS = 10, 200, 5
_SOURCE, _OWNER = "/shop/orders", "celery@host/1"
_RATE, _WINDOW = parse_rate("100000/s burst 100000"), Window(after_first=1)
_THROTTLE = Throttle(at_most=1000, per=3600.0)


class Client:
    """A process's stores, and what it does to a range of deliveries."""

    def __init__(self, url: str) -> None:
        cipher, self.store = Cipher(SECRET_KEY), connect(url)
        self._ledger, self._digests = Ledger(self.store), Digests(self.store, cipher)
        self._limits, self._throttles = Limits(self.store), Throttles(self.store)
        self._recipients, self._suppressions = Recipients(self.store, cipher), Suppressions(self.store)
        self._endpoints = Endpoints(self.store, cipher)
        self._known = [one.id for one in self._endpoints.list()]
        self._people = 0

    def prepare(self, people: int) -> None:
        """What is there before anything is delivered: people, of whom a tenth switched something off, and endpoints."""
        for start in range(0, people, 500):
            some = range(start, min(start + 500, people))
            self._recipients.put([Recipient(f"user-{n}", _address(n), "Kim", "de", "Europe/Vienna") for n in some])
        for number in range(0, people, 10):
            self._suppressions.add(recipient_key(_address(number)), unsubscribed("news", 1_800_000_000.0))
        for number in range(_TENANTS):
            self._endpoints.add(f"tenant-{number}", f"https://example.org/{number}")

    def deliver(self, first: int, count: int, people: int) -> int:
        """Deliveries from one number on; returns how many."""
        self._people = people
        self._ledger.heartbeat(_OWNER, 600)
        for start in range(first, first + count, TOGETHER):
            place = start // TOGETHER % _ROUND
            numbers = range(start, start + TOGETHER)
            if place < _WEBHOOKS:
                self._webhooks(numbers)
            elif place == _WEBHOOKS:
                self._items(numbers)
            else:
                self._mails(numbers, throttled=place % 4 == 0)
        return count

    def _webhooks(self, numbers: Sequence[int]) -> None:
        places = [self._known[number % len(self._known)] for number in numbers]
        asked = self._plan(numbers, [EndpointRef(endpoint=one) for one in places], Channel.WEBHOOK)
        if len(self._endpoints.get_many(sorted(set(places)))) != len(set(places)):
            raise AssertionError("an endpoint is missing")
        self._end(asked, Status.SENT)

    def _mails(self, numbers: Sequence[int], *, throttled: bool) -> None:
        people = [f"user-{number % self._people}" if number % 2 else "" for number in numbers]
        to = [
            RecipientRef(recipient=one) if one else Mailbox(address=_address(number))
            for number, one in zip(numbers, people, strict=True)
        ]
        asked = self._plan(numbers, to, Channel.EMAIL)
        if throttled:
            self._throttles.admit([Question(one.delivery, _THROTTLE) for one in asked])
        named = [one for one in people if one]
        known = self._recipients.get_many(named)
        self._suppressions.get_many([key for one in known.values() for key in suppression_keys(one.email)])
        if len(known) != len(set(named)):
            raise AssertionError("somebody is missing")
        scopes = [(Scope(ScopeKind.RELAY, "main"), _RATE)]
        granted = self._limits.reserve([Ask((*scopes, (_domain(number), _RATE))) for number in numbers])
        if not all(isinstance(answer, Go) for answer in granted):
            raise AssertionError("a limit that nobody can reach held something up")
        self._end(asked, Status.SENT)

    def _items(self, numbers: Sequence[int]) -> None:
        to = [Mailbox(address=_address(number // _ITEMS)) for number in numbers]
        asked = self._plan(numbers, to, Collecting.DIGEST)
        # Recorded first: other clients take windows as soon as they are there.
        self._end(asked, Status.HELD)
        moment = time.time()
        self._digests.collect([Item(one.delivery, one.event, _WINDOW) for one in asked], moment)
        later = moment + 2 * (_WINDOW.after_first or 0)
        while due := self._digests.take(later, lease(later), TOGETHER):
            self._close(due, later)

    def _close(self, due: Sequence[WindowRef], moment: float) -> None:
        for ref, window in self._digests.close(due, moment, _fail):
            of = window.events[0]
            kind = Collecting.DIGEST
            asked = [ClaimRequest(_delivery(one, window.to, kind), kind, of) for one in window.deliveries]
            self._end(asked, Status.SENT)
            self._digests.forget([ref])

    def _plan(self, numbers: Sequence[int], to: Sequence[Destination], kind: WorkKind) -> list[ClaimRequest]:
        """As a consumer does: registered, published by others, planned."""
        rule = _rule(kind)
        events = [_event(number) for number in numbers]
        asked = [_asked(event, one, kind) for event, one in zip(events, to, strict=True)]
        known = self._ledger.register([Registration(one.event, ((one.delivery, rule),)) for one in asked])
        if any(one.done for one in known):
            raise AssertionError("a delivery was done before it was planned")
        self._ledger.planned([event.key for event in events])
        return asked

    def _end(self, asked: Sequence[ClaimRequest], status: Status) -> None:
        """As a worker does: claimed and, when it has been sent, recorded."""
        held = self._ledger.claim(asked, owner=_OWNER, lease=90)
        moment = time.time()
        records = [_record(one, found, status, moment) for one, found in zip(asked, held, strict=True)]
        if not all(self._ledger.record(records)):
            raise AssertionError("a delivery was not ours to record")


def _record(one: ClaimRequest, found: object, status: Status, moment: float) -> Record:
    if not isinstance(found, Claimed):
        raise TypeError(f"{one.delivery.id}: {found}")
    if status is not Status.SENT:
        return Record(one.delivery.id, found.fence, status, "waits for its digest")
    reply = f"250 2.0.0 Ok: queued as {one.delivery.id[4:14].upper()}"
    attempt = Attempt(1, moment, 0.17, "sent", "smtp_250", reply, _OWNER)
    return Record(one.delivery.id, found.fence, status, "", attempt, template="a1b2c3d4e5f6", claimed=one)


def _asked(event: Event, to: Destination, kind: WorkKind) -> ClaimRequest:
    person = None if isinstance(to, EndpointRef) else recipient_key(_who(to))
    made = delivery_id(event.source, event.id, _rule(kind).id, to.identity)
    return ClaimRequest(_delivery(made, to, kind), kind, event, person)


def _delivery(identity: str, to: Destination, kind: WorkKind) -> Delivery:
    return Delivery(id=identity, event=0, rule=_rule(kind).id, to=to, queued=time.time())


def _who(to: Destination) -> str:
    return to.address if isinstance(to, Mailbox) else to.identity


@cache
def _rule(kind: WorkKind) -> Rule:
    channel = kind if isinstance(kind, Channel) else Channel.EMAIL
    window = None if isinstance(kind, Channel) else _WINDOW
    return Rule(f"order.shipped/{kind}", "order.shipped", channel, "order.shipped", "orders", False, window=window)


def _event(number: int) -> Event:
    identity = f"0192f0c1-7c1e-7d3a-9b2a-{number:012x}"
    return Event(id=identity, source=_SOURCE, type="order.shipped", data={"order": number, "note": "x" * 100})


def _address(number: int) -> str:
    return f"customer{number}@example{number % _DOMAINS}.org"


def _domain(number: int) -> Scope:
    return Scope(ScopeKind.DOMAIN, f"example{number % _DOMAINS}.org")


def _fail(_: WindowRef, error: Exception) -> None:
    raise error
