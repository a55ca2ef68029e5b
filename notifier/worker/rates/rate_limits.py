"""Rate limits in the worker: which deliveries of a claimed batch go now, after a moment, or come back later.

A moment is slept in the engine's loop, a timer for each delivery; anything longer is a delay in the broker. Neither is
a try. A batch without limits costs a look at each rule and no round trip; with limits one, whatever their number.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

from notifier import metrics
from notifier.channels.port import DeliveryChannel, Directory, Work
from notifier.domain.delivery import Delivery
from notifier.domain.limit import Rate, Scope, ScopeKind
from notifier.domain.look_again import NotNow, look_again
from notifier.domain.rule import Priority
from notifier.limits.table import LEARNED, LimitTable
from notifier.storage.limits import HORIZON_S, Ask, Go, Later, Limits
from notifier.worker.batch.preparer import gate
from notifier.worker.outage import retry_while_down
from notifier.worker.rates.limit_watch import LimitWatch

#: Share of the pool whose batches may sleep at the same time; the rest always serves what is not limited.
SLEEPING_SHARE = 0.75
#: Seconds that count as going at once.
AT_ONCE_S = 0.02
#: What the ledger says of a delivery that waits.
RATE_LIMITED = "rate_limited"


@dataclass(frozen=True, slots=True)
class Delayed:
    """A delivery that comes back later."""

    work: Work
    delivery: Delivery
    """As it is queued again, with the lines it has waited in."""
    seconds: int
    reason: str


class RateLimits:
    """Reserves for batches; one per worker process."""

    def __init__(self, limits: Limits, watch: LimitWatch, *, pool: int) -> None:
        """``pool`` says how many batches run at once."""
        self._limits = limits
        self._watch = watch
        self._sleepers = max(1, int(pool * SLEEPING_SHARE))
        self._asleep: list[float] = []
        """Until when the batches that sleep do so."""

    def pace(
        self, channel: DeliveryChannel, work: list[Work], directory: Directory, priority: Priority, now: float
    ) -> tuple[list[Work], list[Delayed]]:
        """What goes now or in a moment (`Work.start`), and what comes back later.

        One round trip when anything of the batch is limited; waits for Redis while it is away.
        """
        table = self._watch.table
        if not table.kinds and not _limits_itself(work, directory):
            return work, []
        places = _Places(table, directory, channel)
        asking = [(one, scopes) for one in work if gate(one, directory, now) is None and (scopes := places.of(one))]
        if not asking:
            return work, []
        urgent = priority is Priority.HIGH
        asks = [Ask(scopes, one.delivery.waited, urgent) for one, scopes in asking]
        sleeps = self._may_sleep(now)
        answers = retry_while_down(lambda: self._limits.reserve(asks, sleeps=sleeps), "reserve rates")
        return self._sort(work, [one for one, _ in asking], answers, now)

    def _may_sleep(self, now: float) -> bool:
        self._asleep = [until for until in self._asleep if until > now]
        return len(self._asleep) < self._sleepers

    def _sort(
        self, work: list[Work], asked: list[Work], answers: list[Go | Later], now: float
    ) -> tuple[list[Work], list[Delayed]]:
        started: dict[str, Work] = {}
        delayed: list[Delayed] = []
        # One for the batch, so that what has no place in line comes back together.
        spread = random.uniform(-1, 1)  # noqa: S311 - jitter, not a secret
        for one, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Later):
                delayed.append(_delayed(one, answer, spread, now))
            elif answer.wait > AT_ONCE_S:
                started[one.delivery.id] = replace(one, start=now + answer.wait)
        if started:
            self._asleep.append(max(one.start for one in started.values()))
            metrics.RATE_LIMITED.labels("slept").inc(len(started))
        if delayed:
            metrics.RATE_LIMITED.labels("delayed").inc(len(delayed))
        stopped = {one.work.delivery.id for one in delayed}
        going = [started.get(one.delivery.id, one) for one in work if one.delivery.id not in stopped]
        return going, delayed


def _delayed(one: Work, answer: Later, spread: float, now: float) -> Delayed:
    delivery, why = one.delivery, NotNow.BEYOND_LINE if answer.wait > HORIZON_S else NotNow.NO_PLACE
    if answer.placed:
        waited = "".join(sorted({*delivery.waited, answer.scope.kind.mark}))
        delivery, why = delivery.model_copy(update={"waited": waited}), NotNow.IN_LINE
    # It will not be sent after that, and should say so when it expires, not minutes later.
    at_most = math.inf if delivery.expires is None else delivery.expires - now + 1
    seconds = look_again(why, answer.wait, spread=spread, at_most=at_most)
    return Delayed(one, delivery, seconds, f"{RATE_LIMITED}: {answer.scope}")


def _limits_itself(work: list[Work], directory: Directory) -> bool:
    return any(
        one.rule.limit is not None or (one.rule.provider is not None and one.rule.provider.limit is not None)
        for one in work
    ) or any(endpoint.rate is not None for endpoint in directory.endpoints.values())


class _Places:
    """The limited scopes of each delivery of one batch; what repeats is found once."""

    def __init__(self, table: LimitTable, directory: Directory, channel: DeliveryChannel) -> None:
        self._table = table
        self._directory = directory
        self._channel = channel
        self._known: dict[tuple[ScopeKind, str], tuple[Scope, Rate | None] | None] = {}

    def of(self, one: Work) -> tuple[tuple[Scope, Rate | None], ...]:
        """Empty when nothing limits it, or when it is not going to be sent."""
        named = self._channel.places(one, self._directory, self._table.kinds)
        found = (self._find(kind, name, own) for kind, name, own in named)
        return tuple(place for place in found if place is not None)

    def _find(self, kind: ScopeKind, name: str, own: Rate | None) -> tuple[Scope, Rate | None] | None:
        key = (kind, name)
        if key not in self._known:
            rate, origin = self._table.find(kind, name, own) if own or kind in self._table.kinds else (None, "")
            # What is learned changes from second to second; Redis knows it better than the table.
            self._known[key] = (Scope(kind, name), None if origin == LEARNED else rate) if rate else None
        return self._known[key]
