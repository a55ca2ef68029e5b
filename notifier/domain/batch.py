"""`Batch`: deliveries that travel in one Celery task, with the events they need, once each."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from notifier.domain.delivery import Delivery
from notifier.domain.event import Event
from notifier.domain.mistakes import told
from notifier.domain.rule import SHARDS, Priority, WorkKind, queue_name
from notifier.errors import InvalidBatch, MalformedEvent

#: Deliveries in one task: 50 amortise the 1.3 ms a Celery task costs to 0.03 ms each; more gained nothing (DESIGN §7).
MAX_DELIVERIES = 50
#: Deliveries that wait for their endpoints in one task. More than are sent in one: a message with a delay
#: costs worker and broker about 2 ms however many it carries, and when it comes back, most only look and wait on.
MAX_WAITING = 200
#: Bytes of one task message before it is split (RabbitMQ 4 refuses 16 MiB; a worker holds prefetch × this).
MAX_BYTES = 256 * 1024
#: Version of the layout below; a worker reads this one and refuses later ones, so old workers never guess.
SCHEMA_VERSION: Final = 1


class Frame(BaseModel):
    """What a batch says of itself, before its events and deliveries."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    v: Literal[1] = SCHEMA_VERSION
    channel: WorkKind
    priority: Priority
    shard: Annotated[int, Field(ge=0, le=SHARDS)] = 0
    """Which queue of its lane it travels in; 0 is the lane's own. Retries and replays come back to it."""

    @property
    def queue(self) -> str:
        """The work queue it travels in."""
        return queue_name(self.channel, self.priority, self.shard)

    @property
    def task(self) -> str:
        """The Celery task that runs it."""
        return task_name(self.channel)


class Batch(Frame):
    """What a ``notifier.email``, ``notifier.webhook`` or ``notifier.digest`` task takes as its only argument."""

    events: list[Event]
    deliveries: Annotated[list[Delivery], Field(min_length=1)]

    @model_validator(mode="after")
    def _events_are_there(self) -> Batch:
        count = len(self.events)
        for delivery in self.deliveries:
            wanted = (delivery.event, *delivery.digest.items) if delivery.digest is not None else (delivery.event,)
            for index in wanted:
                if not 0 <= index < count:
                    raise ValueError(f"delivery {delivery.id} names an event the batch does not carry")
        return self

    def encode(self) -> dict[str, Any]:
        """The JSON object that travels; `decode` reads it back."""
        return {
            "v": self.v,
            "channel": self.channel.value,
            "priority": self.priority.value,
            **({"shard": self.shard} if self.shard else {}),
            "events": [event.carried() for event in self.events],
            "deliveries": [d.model_dump(mode="json", exclude_defaults=True) for d in self.deliveries],
        }

    @classmethod
    def decode(cls, wire: Any) -> Batch:
        """Raises `InvalidBatch` for anything that `encode` of this version did not write."""
        if not isinstance(wire, dict) or not isinstance(wire.get("events"), list):
            raise InvalidBatch("a task's argument must be one Batch object")
        try:
            return cls.model_validate({**wire, "events": [Event.from_attributes(e) for e in wire["events"]]})
        except (ValidationError, MalformedEvent, AttributeError, TypeError) as error:
            raise InvalidBatch(f"not a Batch of version {SCHEMA_VERSION}: {told(error)}") from error

    def narrowed(self, deliveries: list[Delivery]) -> Batch:
        """The same batch with only these deliveries, and only the events they need."""
        wanted = sorted({i for d in deliveries for i in (d.event, *(d.digest.items if d.digest else ()))})
        place = {old: new for new, old in enumerate(wanted)}
        moved = [
            d.model_copy(
                update={
                    "event": place[d.event],
                    "digest": d.digest and d.digest.model_copy(update={"items": [place[i] for i in d.digest.items]}),
                }
            )
            for d in deliveries
        ]
        return self.model_copy(update={"events": [self.events[i] for i in wanted], "deliveries": moved})


def task_name(channel: WorkKind) -> str:
    """``notifier.email``, ``notifier.webhook`` or ``notifier.digest``."""
    return f"notifier.{channel}"
