"""What tests of a worker's steps share: a broker that only remembers, steps that fail or are the last one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent

from notifier.channels.port import Work
from notifier.domain.batch import Batch
from notifier.domain.delivery import Attempt, Delivery, DeliveryRecord, EndpointRef, Mailbox, Status
from notifier.domain.encoding import EncodedBatch
from notifier.domain.event import Event
from notifier.domain.json_text import read_written
from notifier.domain.parked import ParkedBatch
from notifier.domain.rule import Channel, Priority, WorkKind
from notifier.domain.topology import queue_of
from notifier.errors import InvalidBatch
from notifier.rules.content import Content
from notifier.storage.cipher import Cipher
from notifier.storage.digests import Digests
from notifier.storage.endpoints import Endpoints
from notifier.storage.ledger import Ledger, Record
from notifier.storage.parked import ParkedFilter, ParkedIndex
from notifier.storage.recipients import Recipients
from notifier.storage.store import Store
from notifier.storage.stores import Stores
from notifier.storage.suppressions import Suppressions
from notifier.worker.batch.claims import claim_all, work_of


class WorkerDied(gevent.GreenletExit):
    """Stands for SIGKILL: from now on nothing that the worker does has an effect."""


@dataclass
class Faults:
    """Counts calls, and fails at one of them: before it has done anything, or after it has done all."""

    at: int = -1
    error: BaseException | None = None
    after: bool = False
    calls: int = 0

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            number, self.calls = self.calls, self.calls + 1
            if isinstance(self.error, WorkerDied) and number > self.at:
                raise self.error
            if number != self.at or self.error is None:
                return call(*arguments, **options)
            if self.after:
                call(*arguments, **options)
            raise self.error

        return run

    def of(self, part: Any) -> Any:
        """The same part, each of whose methods counts."""
        return _Faulty(part, self)


class _Faulty:
    def __init__(self, part: Any, faults: Faults) -> None:
        self._part, self._faults = part, faults

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        return self._faults.around(found) if callable(found) else found


@dataclass
class Broker:
    """What was published."""

    queued: list[tuple[Batch, int]] = field(default_factory=list)
    parked: list[tuple[str, ParkedBatch]] = field(default_factory=list)
    events: list[Mapping[str, Any]] = field(default_factory=list)
    unreadable: list[bytes] = field(default_factory=list)
    """Batches that were queued as they came, in which there is something that nobody can read."""

    def send(self, batch: Batch | EncodedBatch, *, after: int = 0) -> None:
        try:
            read = batch if isinstance(batch, Batch) else Batch.decode(read_written(batch.body))
        except InvalidBatch:
            assert isinstance(batch, EncodedBatch)
            self.unreadable.append(batch.body)
        else:
            self.queued.append((read, after))

    def park(self, place: str, parked: ParkedBatch) -> None:
        assert {entry.place for entry in parked.parked} == {place}, "the index says where it lies"
        self.parked.append((queue_of(place), parked))

    def publish_event(self, event: Mapping[str, Any]) -> None:
        self.events.append(event)


EVENT = Event(id="1", source="/shop", type="order.shipped", tenant="acme")
RULES = """
event: order.shipped
category: orders
transactional: false
rules:
  - {id: mail, channel: email, to: data.to}
  - {id: hook, channel: webhook}
  - {id: once, channel: email, to: data.to, uncertain: park}
  - {id: news, channel: digest, to: data.to, key: data.to, window: {after_first: 60s}}
"""


def content_in(folder: Path) -> Content:
    """Rules of each kind, and templates for them."""
    order = folder / "order.shipped"
    order.mkdir(parents=True)
    (order / "rules.yaml").write_text(RULES)
    for kind in ("email", "digest"):
        (order / f"{kind}.subject.j2").write_text("Shipped")
        (order / f"{kind}.text.j2").write_text("On its way")
    return Content.load(folder, rules_only=True)


def batch_of(
    *ids: str, rule: str = "order.shipped/mail", kind: WorkKind = Channel.EMAIL, endpoint: str = "", **of_each: Any
) -> Batch:
    """Deliveries of one event, to an address each or all to one endpoint."""
    deliveries = [
        Delivery(
            id=one,
            event=0,
            rule=rule,
            to=EndpointRef(endpoint=endpoint) if endpoint else Mailbox(address=f"{one}@example.org"),
            **of_each,
        )
        for one in ids
    ]
    return Batch(channel=kind, priority=Priority.NORMAL, events=[EVENT], deliveries=deliveries)


class World:
    """A Redis with all that a worker keeps there, and a broker that remembers."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.broker = store, Broker()
        self.cipher = Cipher("k" * 32)
        self.ledger, self.parked = Ledger(store), ParkedIndex(store)
        self.endpoints, self.suppressions = Endpoints(store, self.cipher), Suppressions(store)
        self.digests = Digests(store, self.cipher)
        self.content = content_in(folder / "templates")

    def stores(self, faults: Faults | None = None) -> Stores:
        around = (faults or Faults()).of
        people = Recipients(self.store, self.cipher)
        return Stores(around(self.ledger), around(self.endpoints), people, self.suppressions, around(self.parked))

    def record(self, delivery: str) -> DeliveryRecord:
        (found,) = self.ledger.deliveries([delivery])
        assert found is not None
        return found

    def statuses(self, *ids: str) -> list[Status | None]:
        return [one and one.status for one in self.ledger.deliveries(ids)]

    def known_as_parked(self) -> list[str]:
        return sorted(one.id for one in self.parked.search(ParkedFilter(), limit=100).entries)

    def claimed(self, batch: Batch, owner: str = "w1") -> list[Work]:
        """All of a batch, claimed."""
        self.ledger.heartbeat(owner, 60.0)
        return claim_all(work_of(batch, self.content), self.ledger, owner, 60.0).work

    def ended(self, batch: Batch, status: Status, reason: str = "", attempt: Attempt | None = None) -> None:
        """All of a batch recorded like this, and nothing done of what follows."""
        records = [
            Record(one.delivery.id, one.claim.fence, status, reason, attempt=attempt) for one in self.claimed(batch)
        ]
        assert all(self.ledger.record(records))
