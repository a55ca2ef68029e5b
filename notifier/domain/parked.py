"""`Parked`: a delivery (or an event that never became one) in a failure queue, and the format it is parked in."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import orjson

from notifier.domain.batch import Batch
from notifier.domain.encoding import encode_batch
from notifier.domain.event_status import EventStatus, Unplanned
from notifier.domain.identity import Identity
from notifier.domain.json_text import NotJson, read_written
from notifier.domain.outcome import Cause
from notifier.domain.topology import shelf
from notifier.errors import InvalidBatch

#: Version of what `ParkedBatch.encode` and `ParkedEvent.encode` write into a failure queue.
PARKED_VERSION = 1
#: Says at a glance, in any AMQP tool, why a message is in the queue.
CAUSE_HEADER = "x-notifier-cause"
#: The entry of a message that is too large to be wrapped and was parked as it came, as JSON.
PARKED_HEADER = "x-notifier-parked"
#: Bytes above which a message is not wrapped: that makes it a third larger (base64), and RabbitMQ 4 refuses more than
#: 16 MiB.
COPY_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Parked:
    """What operators see of one entry of a failure queue."""

    id: str
    """The delivery id; for ``failed-intake`` the event key, or ``raw_…`` when there is not even an event."""
    queue: str
    cause: Cause
    reason: str
    """For people: the code and the start of the reply, or the error text."""
    parked_at: float
    """Unix seconds."""
    event: str = ""
    """`Event.key`."""
    event_type: str = ""
    tenant: str = ""
    rule: str = ""
    destination: str = ""
    """Masked."""
    code: str = ""
    attempts: int = 0
    template: str = ""
    event_id: str = ""
    """The CloudEvent's own id, as far as it could be read."""
    event_source: str = ""
    event_time: str = ""
    """As it was published."""
    shelf: str = ""
    """Which of its queue's shelves it lies on; empty: in the queue itself, where earlier releases parked it."""

    @property
    def place(self) -> str:
        """The queue on the broker that has it."""
        return self.shelf or self.queue

    def at(self, place: str) -> Parked:
        """The same, where somebody has found it."""
        return replace(self, shelf="" if place == self.queue else place)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what travels in the failure queue, the index and ``--json`` output."""
        # As an earlier release writes it where there is no shelf: the index compares entries by their text.
        return {name: getattr(self, name) for name in (self.__slots__ if self.shelf else _WITHOUT_SHELF)}

    @classmethod
    def from_dict(cls, wire: dict[str, Any]) -> Parked:
        """Raises ``KeyError``/``ValueError``/``TypeError`` for anything `as_dict` did not write.

        A later release may know more of it: during an upgrade both read the same entry.
        """
        names = set(wire)
        known = wire if names <= _NAMES else {name: wire[name] for name in names & _NAMES}
        return cls(**{**known, "cause": Cause(wire["cause"])})


_NAMES = frozenset(Parked.__slots__)
_WITHOUT_SHELF = tuple(name for name in Parked.__slots__ if name != "shelf")


def told(identity: Identity) -> dict[str, Any]:
    """The fields of `Parked` that say whose it is."""
    return {
        "event": identity.key,
        "event_type": identity.type,
        "tenant": identity.tenant,
        "event_id": identity.id,
        "event_source": identity.source,
        "event_time": identity.time,
    }


def unplanned_of(entry: Parked, fingerprint: str = "", note: str = "") -> Unplanned:
    """What the ledger is told of an event that is parked."""
    who = Identity(entry.event_id, entry.event_source, entry.event_type, entry.event_time, entry.tenant)
    return Unplanned(who, EventStatus.PARKED, f"{entry.cause}: {entry.reason}", entry.id, fingerprint, note)


@dataclass(frozen=True, slots=True)
class ParkedBatch:
    """A message of ``failed-email``, ``failed-webhook`` or ``failed-digest``: deliveries with why they are there."""

    batch: Batch
    parked: tuple[Parked, ...]

    def encode(self) -> bytes:
        """The body of the message."""
        return orjson.dumps(
            {
                "v": PARKED_VERSION,
                "parked": [p.as_dict() for p in self.parked],
                "batch": orjson.Fragment(encode_batch(self.batch).body),
            }
        )


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """A message of ``failed-intake``: the original AMQP message, kept byte for byte so that a replay is faithful."""

    parked: tuple[Parked, ...]
    body: bytes
    content_type: str
    headers: dict[str, Any]

    def encode(self) -> bytes:
        """The body of the message."""
        message = {
            "content_type": self.content_type,
            "headers": self.headers,
            "body_base64": base64.b64encode(self.body).decode("ascii"),
        }
        return orjson.dumps(
            {"v": PARKED_VERSION, "parked": [p.as_dict() for p in self.parked], "event_message": message},
            default=_as_text,
        )


_Message = TypeVar("_Message", bound="ParkedBatch | ParkedEvent")


def shelved(parked: _Message) -> _Message:
    """The same on its shelf: whose it is says on which, so that what one endpoint or person has lies together.

    A batch stays one message, and lies where its first delivery belongs; its entries say where that is.
    """
    name = parked.batch.deliveries[0].to.identity if isinstance(parked, ParkedBatch) else parked.parked[0].id
    place = shelf(parked.parked[0].queue, name)
    return replace(parked, parked=tuple(entry.at(place) for entry in parked.parked))


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """What is published for a `ParkedBatch` or `ParkedEvent`."""

    body: bytes
    content_type: str
    headers: dict[str, Any]


def causes_of(entries: Sequence[Parked]) -> str:
    """What `CAUSE_HEADER` says."""
    return ",".join(sorted({entry.cause.value for entry in entries}))


def as_message(parked: ParkedBatch | ParkedEvent) -> ParkedMessage:
    """The message that takes it to its failure queue: wrapped with its reasons, or as it came when it is too large."""
    causes = causes_of(parked.parked)
    if isinstance(parked, ParkedEvent) and len(parked.body) > COPY_LIMIT:
        entry = orjson.dumps(parked.parked[0].as_dict()).decode()
        headers = {**parked.headers, CAUSE_HEADER: causes, PARKED_HEADER: entry}
        return ParkedMessage(parked.body, parked.content_type, headers)
    return ParkedMessage(parked.encode(), "application/json", {CAUSE_HEADER: causes})


def _as_text(value: object) -> str:
    """A header of a stranger's client that JSON has no word for: intake reads its text as it reads the value."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)


def peek(body: bytes) -> tuple[Parked, ...] | None:
    """The entries of a message that `ParkedBatch.encode` wrote, its batch unread: that is most of the work.

    None for every other message.
    """
    try:
        wire = orjson.loads(body)
        if wire["v"] != PARKED_VERSION or "batch" not in wire:
            return None
        return tuple(Parked.from_dict(entry) for entry in wire["parked"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def read_batch(body: bytes, entries: Sequence[Parked]) -> ParkedBatch:
    """The whole of what `peek` gave the entries of. Raises `InvalidBatch`."""
    try:
        return ParkedBatch(Batch.decode(read_written(body)["batch"]), tuple(entries))
    except NotJson as error:
        raise InvalidBatch(f"not a parked message: {error}") from error


def decode_parked(body: bytes) -> ParkedBatch | ParkedEvent:
    """Read what `encode` wrote. Raises `InvalidBatch` for anything else, such as a message the broker dead-lettered."""
    try:
        wire = read_written(body)
        if wire["v"] != PARKED_VERSION:
            raise InvalidBatch(f"parked message of version {wire['v']!r}; this release reads {PARKED_VERSION}")
        parked = tuple(Parked.from_dict(entry) for entry in wire["parked"])
        if "batch" in wire:
            return ParkedBatch(Batch.decode(wire["batch"]), parked)
        message = wire["event_message"]
        return ParkedEvent(
            parked, base64.b64decode(message["body_base64"]), str(message["content_type"]), dict(message["headers"])
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidBatch(f"not a parked message: {error}") from error
