"""`Policy`: how a worker behaves towards whom a channel sends to, around what it does with every batch.

Gate (who may be sent to at all) → leave (who is slow to answer) → judge (what the answers say) → delay (where the
others wait). This one lets everything through; a channel whose receivers have a health of their own has another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from notifier.broker.publisher import Publishes
from notifier.channels.port import Ready
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, Status
from notifier.domain.endpoint import Endpoint
from notifier.domain.look_again import NotNow, look_again
from notifier.domain.waiting import RawBatch, Waiting
from notifier.errors import InvalidBatch, NotifierError
from notifier.worker.batch.sender import Leave, Settled
from notifier.worker.batch.separation import separate


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why deliveries to a receiver must wait."""

    reason: str
    why: NotNow | None
    """None: not to look again by themselves, but to be put aside until the receiver is resumed."""
    seconds: float = 0.0
    age: float = 0.0
    at_most: float = math.inf
    """See `look_again`."""

    def look_again(self, waiting: int, spread: float) -> int:
        """Whole seconds until another look, when so many are held; 0 for what is put aside."""
        if self.why is None:
            return 0
        return look_again(self.why, self.seconds, age=self.age, waiting=waiting, spread=spread, at_most=self.at_most)


@dataclass(slots=True)
class Gated:
    """A batch, sorted."""

    batch: Batch | None
    """What may be sent; None when nothing may."""
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    """Those it may be sent to."""
    blocked: list[tuple[Waiting, Blocked]] = field(default_factory=list)
    probes: dict[str, str] = field(default_factory=dict)
    """Endpoint → the token of the probe this batch may send."""
    judged: set[str] = field(default_factory=set)
    """Ids of those whose tries the breakers have heard of while others were under way."""


#: Deliveries that had ended when their batch came back, with the batch they travelled in.
Ended = tuple[Batch, Sequence[tuple[Delivery, Status]]]


class Policy:
    """Of channels whose receivers are all treated alike."""

    def __init__(self, publisher: Publishes) -> None:
        self._publisher = publisher

    def sort(self, batch: RawBatch) -> Gated:
        """What may be sent now, and what must wait. Raises `InvalidBatch` for a batch of one that nobody can read.

        Of a larger one each delivery is queued by itself, and then only those that are unreadable fail.
        """
        try:
            return self._sort(batch)
        except InvalidBatch as error:
            separate(batch, error, self._publisher)
            return Gated(None)

    def _sort(self, batch: RawBatch) -> Gated:
        return Gated(batch.decode())

    def delay(self, batch: RawBatch, gated: Gated) -> Callable[[], Iterable[Ended]]:  # noqa: ARG002
        """Begin to put away what must wait; what is given waits for that and tells what had ended."""
        return tuple

    def leaving(self, batch: Batch, gated: Gated) -> Leave:  # noqa: ARG002
        """What becomes of deliveries that the batch leaves behind."""
        raise NotifierError(f"{batch.channel} leaves no delivery behind, and so needs no policy for it")

    def copy_left_behind(self, batch: Batch, ready: Sequence[Ready], settled: Sequence[Settled]) -> None:
        """Publish copies of what was left behind, which from now on are its messages."""

    def judge(self, gated: Gated, ready: Sequence[Ready], settled: Sequence[Settled]) -> None:
        """Tell the receivers' health what was seen so far, each try once however often it is called."""

    def sent(self) -> None:
        """After a batch was sent, before its records are waited for."""

    def stop(self, seconds: float) -> None:
        """Wait for what was left behind, for so long at most."""
