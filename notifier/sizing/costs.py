"""What one event and one delivery cost, as ``python -m tests.bench.costs --write`` has measured it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["consumer", "worker", "broker", "redis"]
_Positive = Annotated[float, Field(gt=0)]


class Cpu(BaseModel):
    """Milliseconds of CPU, by who spends them; tasks were of ten deliveries."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    event: dict[Role, _Positive]
    """An event with one delivery, until its task is confirmed."""
    recipient: dict[Role, _Positive]
    """Each further recipient of an event."""
    email: dict[Role, _Positive]
    """A mail, from its task to its record."""
    webhook: dict[Role, _Positive]


class Costs(BaseModel):
    """Everything measured, and where."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    date: str
    machine: str
    cpu_ms: Cpu
    sent_bytes: _Positive
    """Of Redis, for an event with one sent delivery; ids are UUIDs, and replies have an id of a queue."""
    failed_bytes: _Positive
    """Of Redis, for one whose delivery failed."""
    message_bytes: _Positive
    """Of a task in a queue of the broker, for each delivery and beside the event's own bytes."""
    worker_mib: _Positive
    """Most memory of a process."""
    consumer_mib: _Positive


@cache
def measured() -> Costs:
    """Those of this release."""
    return Costs.model_validate_json((files("notifier.sizing") / "costs.json").read_bytes())
