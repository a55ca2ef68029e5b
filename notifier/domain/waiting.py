"""`RawBatch` and `Waiting`: batches and deliveries as the JSON they came in, for those that only travel on.

Of a batch of webhooks many may have to wait for their endpoints. Each would be twenty objects that are made, lie about
until the broker has it again, are copied and written: as much work as sending it. As JSON it is looked at and passed
on.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeGuard

import orjson
from pydantic import Field, ValidationError

from notifier.domain.batch import MAX_BYTES, MAX_WAITING, SCHEMA_VERSION, Batch, Frame
from notifier.domain.delivery import Delivery
from notifier.domain.encoding import EncodedBatch, at_place, encode_unplaced, join_parts
from notifier.domain.event import Event
from notifier.domain.json_text import NotJson, read_written, write_json
from notifier.domain.mistakes import told
from notifier.domain.rule import Priority, WorkKind
from notifier.domain.value import value
from notifier.errors import InvalidBatch, MalformedEvent


class _Shape(Frame):
    events: list[Any]
    deliveries: Annotated[list[Any], Field(min_length=1)]


@value
class Waiting:
    """One delivery that waits, as the bytes its next message carries."""

    id: str
    attempt: int
    """Tries made when it came."""
    delivery: bytes
    """JSON for `encoding.at_place`."""
    event: bytes
    """JSON."""

    @classmethod
    def of(cls, delivery: Delivery, event: Event) -> Waiting:
        """One that has been read."""
        return cls(delivery.id, delivery.attempt, encode_unplaced(delivery), event.encoded)

    def read(self) -> tuple[Delivery, Event]:
        """What it is; its event is the first of none. Raises `InvalidBatch`."""
        try:
            delivery = Delivery.model_validate({**read_written(self.delivery), "event": 0})
            return delivery, Event.from_attributes(read_written(self.event))
        except (ValidationError, MalformedEvent, NotJson, AttributeError, TypeError) as error:
            raise _invalid(error) from error


def together(
    waiting: Iterable[Waiting], channel: WorkKind, priority: Priority, shard: int, *, most: int = MAX_WAITING
) -> list[EncodedBatch]:
    """As few batches as ``most`` deliveries and the bytes allow, each event once, for one queue."""
    batches: list[EncodedBatch] = []
    places: dict[bytes, int] = {}
    deliveries: list[orjson.Fragment] = []
    size = 0

    def close() -> None:
        nonlocal places, deliveries, size
        events = [orjson.Fragment(event) for event in places]
        batches.append(join_parts(channel, priority, shard, events, deliveries))
        places, deliveries, size = {}, [], 0

    for one in waiting:
        # By its bytes: of one event two rules may have left out different parts.
        place = places.get(one.event)
        more = len(one.delivery) + (len(one.event) if place is None else 0)
        if deliveries and (len(deliveries) >= most or size + more > MAX_BYTES):
            close()
            place, more = None, len(one.delivery) + len(one.event)
        if place is None:
            place = places[one.event] = len(places)
        deliveries.append(orjson.Fragment(at_place(one.delivery, place)))
        size += more
    if deliveries:
        close()
    return batches


class RawBatch:
    """A batch before its parts are read. `decode` and `split` give them out, once."""

    def __init__(self, shape: _Shape) -> None:
        self.channel: WorkKind = shape.channel
        self.priority: Priority = shape.priority
        self.shard: int = shape.shard
        self.queue: str = shape.queue
        """The work queue it travels in."""
        self.size = len(shape.deliveries)
        """How many deliveries it came with."""
        self.joined = False
        """Whether it came in several tasks (`join`)."""
        self._shape: _Shape | None = shape

    @classmethod
    def read(cls, wire: Any) -> RawBatch:
        """Of a task's argument. Raises `InvalidBatch` for what is no batch of this version; its parts are not read."""
        if not isinstance(wire, dict):
            raise InvalidBatch("a task's argument must be one Batch object")
        try:
            return cls(_Shape.model_validate(wire))
        except ValidationError as error:
            raise _invalid(error) from error

    @property
    def deliveries(self) -> Sequence[Any]:
        """As JSON objects, if they are what they should be."""
        return self._the_shape.deliveries

    def decode(self) -> Batch:
        """All of it. Raises `InvalidBatch`."""
        shape = self._the_shape
        batch = _read(shape, shape.events, shape.deliveries)
        self._shape = None
        return batch

    def unread(self) -> _Shape:
        """Its parts as they came; for `join`, which gives them out."""
        return self._the_shape

    def split(self, away: Mapping[int, bool]) -> tuple[Batch | None, list[Waiting]]:
        """Those that go, with the events they need, and those that wait. Raises `InvalidBatch`.

        ``away`` says of those that wait, by place, whether they must be readable. The others are passed on unread, for
        a third of the work: whoever sends them will see (`alone`).
        """
        shape = self._the_shape
        waiting = [
            (_checked if must_be_readable else _as_it_came)(shape.deliveries[place], shape.events)
            for place, must_be_readable in away.items()
        ]
        rest = [delivery for place, delivery in enumerate(shape.deliveries) if place not in away]
        batch = _read(shape, *_with_their_events(rest, shape.events)) if rest else None
        self._shape = None
        return batch, waiting

    def again(self, ids: Container[str]) -> list[Waiting] | None:
        """Those of these ids as if they had never been tried, unread as in `split`; may be asked for again.

        None where moving one into another batch takes more than that: of a digest's mail, and of what cannot be read.
        """
        shape = self._the_shape
        wanted = [one for one in shape.deliveries if isinstance(one, dict) and one.get("id") in ids]
        if any(one.get("digest") for one in wanted):
            return None
        try:
            return [_as_it_came({**one, "attempt": 0}, shape.events) for one in wanted]
        except InvalidBatch:
            return None

    def alone(self) -> list[EncodedBatch]:
        """Each delivery in a batch of its own: one that nobody can read must not take its neighbours with it."""
        shape = self._the_shape
        return [self._alone(*_with_their_events([delivery], shape.events)) for delivery in shape.deliveries]

    def _alone(self, events: list[Any], deliveries: list[Any]) -> EncodedBatch:
        fragments = [[orjson.Fragment(write_json(part)) for part in parts] for parts in (events, deliveries)]
        return join_parts(self.channel, self.priority, self.shard, *fragments)

    @property
    def _the_shape(self) -> _Shape:
        if self._shape is None:
            raise RuntimeError("the batch has been given out already")
        return self._shape


def join(batches: Sequence[RawBatch]) -> RawBatch:
    """Batches of one queue as one, which is given out in their stead.

    Raises `InvalidBatch` when that takes more than moving their events: of a digest's mail, of what cannot be read, of
    another queue, and of a delivery that is in two of them, whose second claim would look like a repeated first one.
    """
    if len(batches) == 1:
        return batches[0]
    if len({batch.queue for batch in batches}) > 1:
        raise InvalidBatch("batches of different queues")
    events, deliveries = list[Any](), list[Any]()
    for shape in (batch.unread() for batch in batches):
        for delivery in shape.deliveries:
            place = delivery.get("event") if isinstance(delivery, dict) and not delivery.get("digest") else None
            if not _is_place(place, shape.events):
                raise InvalidBatch("a delivery that cannot be moved into another batch")
            deliveries.append({**delivery, "event": place + len(events)})
        events += shape.events
    if len({str(delivery.get("id")) for delivery in deliveries}) < len(deliveries):
        raise InvalidBatch("a delivery is in two batches")
    joined = RawBatch(shape.model_copy(update={"events": events, "deliveries": deliveries}))
    joined.joined = True
    return joined


def _invalid(error: Exception) -> InvalidBatch:
    return InvalidBatch(f"not a Batch of version {SCHEMA_VERSION}: {told(error)}")


def _read(shape: _Shape, events: list[Any], deliveries: list[Any]) -> Batch:
    frame = {name: getattr(shape, name) for name in Frame.model_fields}
    return Batch.decode({**frame, "events": events, "deliveries": deliveries})


def _with_their_events(deliveries: list[Any], events: list[Any]) -> tuple[list[Any], list[Any]]:
    """Only the events these deliveries name, which they name by their new places."""
    places: dict[int, int] = {}
    moved = []
    for delivery in deliveries:
        place = delivery.get("event") if isinstance(delivery, dict) and not delivery.get("digest") else None
        if not _is_place(place, events):
            # A digest, which names more than one; or nothing at all, of which reading it will say what is wrong.
            return events, deliveries
        moved.append({**delivery, "event": places.setdefault(place, len(places))})
    return [events[place] for place in places], moved


def _is_place(place: object, events: list[Any]) -> TypeGuard[int]:
    return isinstance(place, int) and 0 <= place < len(events)


def _checked(delivery: Any, events: list[Any]) -> Waiting:
    try:
        read = Delivery.model_validate(delivery)
        if not _is_place(read.event, events):
            raise InvalidBatch(f"delivery {read.id} names an event the batch does not carry")
        return Waiting.of(read, Event.from_attributes(events[read.event]))
    except (ValidationError, MalformedEvent, AttributeError, TypeError) as error:
        raise _invalid(error) from error


def _as_it_came(delivery: Any, events: list[Any]) -> Waiting:
    """Only what is used of it is looked at."""
    if isinstance(delivery, dict):
        unplaced = {**delivery}
        place, identity, attempt = unplaced.pop("event", None), delivery.get("id"), delivery.get("attempt", 0)
        if isinstance(identity, str) and isinstance(attempt, int) and _is_place(place, events):
            return Waiting(identity, attempt, write_json(unplaced), write_json(events[place]))
    raise InvalidBatch("a delivery has no id, or names an event the batch does not carry")
