"""Whatever is done in whatever order, packed records answer as records of their own do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.delivery import Attempt, Status
from notifier.domain.event import Event
from notifier.domain.event_status import EventStatus, Unplanned
from notifier.domain.identity import Identity
from notifier.storage import keys, registration
from notifier.storage.cipher import Cipher
from notifier.storage.connection import connect
from notifier.storage.forgetting import Traces
from notifier.storage.ledger import Claimed, ClaimRequest, Ledger, Record, Registration
from notifier.storage.packs import Packs
from notifier.storage.store import Store
from tests.integration.storage.making import RULE, Clock, event, request
from tests.servers.redis import RedisServer

OWNERS = ("worker-1", "worker-2")
EVENTS = tuple(event(number) for number in (1, 2))
OTHERS = tuple(event(number, data={"other": True}) for number in (1, 2))
REQUESTS = tuple(request(of, to=to) for of in EVENTS for to in ("jane@example.org", "joe@example.com"))
REPLIES = ("250 2.0.0 Ok: queued as 4XyZ1", "250 2.0.0 Ok", "250 " + "ü" * 90)


class Side:
    """Two processes, and what they need to do the same on either side."""

    def __init__(self, store: Store, *, packing: bool) -> None:
        self.store = store
        self.clock = Clock()
        self.ledgers = tuple(Ledger(store, clock=self.clock) for _ in OWNERS)
        self.traces = Traces(store, Cipher("k" * 32), self.clock)
        self.packs = Packs()
        self.packing = packing
        if not packing:
            for packs in (*(ledger._packs for ledger in self.ledgers), self.traces._packs, self.packs):
                packs.is_writing = packs._only.is_read = True
                packs._read_again = float("inf")
        self.state = ""
        self.begin()

    def begin(self) -> None:
        """Both processes meet the words of what follows."""
        for number, ledger in enumerate(self.ledgers):
            for fence, reply in enumerate((*REPLIES, *REPLIES)):
                met = request(
                    event(id=f"met-{number}-{fence}"), to="jane@example.com" if fence % 2 else "j@example.org"
                )
                ledger.register([Registration(met.event, ((met.delivery, RULE),))])
                for _ in range(1 + fence % 2):
                    (held,) = ledger.claim([met], owner=OWNERS[number], lease=90, nonce="begin")
                    if isinstance(held, Claimed) and fence % 2 and held.fence == 1:
                        ledger.release([(met.delivery.id, held.fence)])
                assert isinstance(held, Claimed)
                ledger.record([record_of(self, met, held.fence, reply, 1)])
        self.state = str(self.store.client.get(keys.packs()) or "")

    def empty(self) -> None:
        """Take out all but the words and the state, which is as it was."""
        if names := [name for kind in "deprc" for name in self.store.client.scan_iter(f"ntf:{kind}:*", count=10_000)]:
            self.store.client.delete(*names)
        if self.packing:
            self.store.client.set(keys.packs(), self.state)
            for ledger in self.ledgers:
                ledger._packs._only._packs_from = 0.0
        self.clock.now = Clock().now

    def look(self) -> tuple[Any, ...]:
        """All there is to know."""
        ledger = self.ledgers[0]
        return (
            ledger.deliveries([one.delivery.id for one in REQUESTS]),
            [ledger.event(of.key) for of in EVENTS],
        )


def record_of(side: Side, one: ClaimRequest, fence: int, reply: str, number: int) -> Record:
    tried = Attempt(number, side.clock.now, 0.25, "sent", "smtp_250", reply, "celery@host/1")
    return Record(one.delivery.id, fence, Status.SENT, "", tried, template="a1b2c3d4e5f6", claimed=one)


Step = Callable[[Side], Any]


def register(process: int, of: int, *, other: bool) -> Step:
    whose = (OTHERS if other else EVENTS)[of]
    made = () if other else tuple((one.delivery, RULE) for one in REQUESTS if one.event is EVENTS[of])
    return lambda side: side.ledgers[process].register([Registration(whose, made)])


def planned(process: int, of: int) -> Step:
    return lambda side: side.ledgers[process].planned([EVENTS[of].key])


def unplanned(process: int, of: int, *, other: bool) -> Step:
    whose: Event = (OTHERS if other else EVENTS)[of]
    one = Unplanned(Identity.of(whose), EventStatus.PARKED, "broken", "raw_1", whose.fingerprint)
    return lambda side: side.ledgers[process].unplanned([one])


def note(of: int) -> Step:
    return lambda side: side.store.run(registration.note(side.packs, EVENTS[of].key, "another came"))


def claim(process: int, one: int, tries: int) -> Step:
    asked = request(REQUESTS[one].event, to=REQUESTS[one].delivery.to.address, attempt=tries)  # type: ignore[union-attr]
    return lambda side: side.ledgers[process].claim([asked], owner=OWNERS[process], lease=90, nonce="n")


def send(process: int, one: int, fence: int, reply: int, number: int) -> Step:
    return lambda side: side.ledgers[process].record([record_of(side, REQUESTS[one], fence, REPLIES[reply], number)])


def deliver(process: int, one: int, reply: int) -> Step:
    """Claim it, and record that it was sent, if it was ours."""

    def step(side: Side) -> Any:
        (held,) = side.ledgers[process].claim([REQUESTS[one]], owner=OWNERS[process], lease=90, nonce="d")
        if not isinstance(held, Claimed):
            return held
        entry = record_of(side, REQUESTS[one], held.fence, REPLIES[reply], held.number)
        return held, side.ledgers[process].record([entry])

    return step


def fail(process: int, one: int, fence: int, status: Status) -> Step:
    def step(side: Side) -> Any:
        tried = Attempt(1, side.clock.now, 0.25, "deferred", "smtp_451", "451 later", "celery@host/1")
        entry = Record(REQUESTS[one].delivery.id, fence, status, "because", tried, claimed=REQUESTS[one])
        return side.ledgers[process].record([entry])

    return step


def release(process: int, one: int, fence: int) -> Step:
    return lambda side: side.ledgers[process].release([(REQUESTS[one].delivery.id, fence)])


def reopen(process: int, one: int) -> Step:
    return lambda side: side.ledgers[process].reopen([REQUESTS[one].delivery.id])


def rejoin(process: int, one: int) -> Step:
    return lambda side: side.ledgers[process].rejoin([REQUESTS[one].delivery.id])


def skip(process: int, one: int) -> Step:
    return lambda side: side.ledgers[process].skip([REQUESTS[one].delivery.id], "nobody wants it")


def forget(one: int) -> Step:
    return lambda side: side.traces.erase_deliveries([REQUESTS[one].delivery.id])


def later(seconds: int) -> Step:
    def step(side: Side) -> None:
        side.clock.now += seconds

    return step


def stop_packing(process: int, *, stopped: bool) -> Step:
    """As within the hour after the release before: records of both forms come about."""

    def step(side: Side) -> None:
        if side.packing:
            side.ledgers[process]._packs._only._packs_from = float("inf") if stopped else 0.0

    return step


def deepen() -> Step:
    """Another process finds the buckets full."""

    def step(side: Side) -> None:
        text = str(side.store.client.get(keys.packs()) or "")
        if side.packing and text:
            since, generation, begun, longest, level, *older = text.split(" ")
            depth = min(int(level) + 1, 7)
            over = [f"{level}:9999999999999", *older][:3] if depth > int(level) else older
            side.store.client.set(keys.packs(), " ".join([since, generation, begun, longest, str(depth), *over]))

    return step


process = st.integers(0, 1)
of = st.integers(0, 1)
one = st.integers(0, len(REQUESTS) - 1)
fence = st.integers(1, 3)
STEPS = st.lists(
    st.one_of(
        st.builds(register, process, of, other=st.booleans()),
        st.builds(planned, process, of),
        st.builds(unplanned, process, of, other=st.booleans()),
        st.builds(note, of),
        st.builds(claim, process, one, st.integers(0, 2)),
        st.builds(claim, process, one, st.just(0)),
        st.builds(deliver, process, one, st.integers(0, 2)),
        st.builds(deliver, process, one, st.integers(0, 2)),
        st.builds(send, process, one, st.just(1), st.integers(0, 2), st.just(1)),
        st.builds(send, process, one, fence, st.integers(0, 2), st.integers(1, 2)),
        st.builds(fail, process, one, fence, st.sampled_from([Status.DEFERRED, Status.REFUSED])),
        st.builds(release, process, one, fence),
        st.builds(reopen, process, one),
        st.builds(rejoin, process, one),
        st.builds(skip, process, one),
        st.builds(forget, one),
        st.builds(later, st.sampled_from([1, 60, 100])),
        st.builds(stop_packing, process, stopped=st.booleans()),
        st.builds(deepen),
    ),
    min_size=1,
    max_size=25,
)


@pytest.fixture(scope="module")
def sides(redis_server: RedisServer) -> Iterator[tuple[Side, Side]]:
    """Two processes that pack, and two that do not, in another database of the same server."""
    redis_server.flush()
    stores = connect(redis_server.url), connect(redis_server.url[:-1] + "1")
    yield Side(stores[0], packing=True), Side(stores[1], packing=False)
    for store in stores:
        store.close()


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_packed_and_plain_records_give_the_same_answers_to_any_steps(
    sides: tuple[Side, Side], steps: list[Step]
) -> None:
    # Given that nothing is known, but perhaps an event
    packed, plain = sides
    packed.empty()
    plain.empty()
    # When the same is done on either side
    for step in (register(0, 0, other=False), *steps):
        assert step(packed) == step(plain)
    # Then everybody knows the same
    assert packed.look() == plain.look()


def test_the_steps_pack_something_on_one_side_only(sides: tuple[Side, Side]) -> None:
    # Given the most usual steps of the test above
    for side in sides:
        side.empty()
        for step in (register(0, 0, other=False), planned(0, 0), claim(0, 0, 0), send(0, 0, 1, 0, 1)):
            step(side)
    # Then they leave no record of their own there
    places = keys.delivery(REQUESTS[0].delivery.id), keys.event(EVENTS[0].key)
    assert [side.store.client.exists(*places) for side in sides] == [0, 2]
