"""Held deliveries: what waits in ``held-webhook`` is sent, thinned out or dropped when its endpoint is resumed.

An operator resumes an endpoint, or it recovers by itself; then `sweep`, which every worker runs every two seconds, does
the same with the endpoint's own policy. An endpoint that has been away for long, and that nothing new arrives for, is
probed with the oldest of what it holds. One walk at a time, for all endpoints that are due.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from celery import Celery

from notifier import metrics
from notifier.domain import topology
from notifier.domain.delivery import Delivery, EndpointRef
from notifier.domain.endpoint import Endpoint, EndpointState, OnResume
from notifier.domain.parked import Parked, ParkedBatch, ParkedEvent
from notifier.errors import BrokerUnavailable
from notifier.failures.gathering import gathered
from notifier.failures.publishing import Publishing
from notifier.failures.redrive import Redrive
from notifier.logs import get, wide
from notifier.storage.breakers import Breakers
from notifier.storage.endpoints import Endpoints
from notifier.storage.held import HeldDelivery, HeldIndex, newest
from notifier.storage.ledger import Ledger

#: Seconds one walk is ours before others may think that we died; renewed on the way.
WALK_LEASE_S = 60.0
#: Seconds after an endpoint's time is up until one of its held deliveries probes it: new ones come first.
PROBE_PATIENCE_S = 3.0
#: Seconds between looks at endpoints that cannot be sent to yet.
LOOK_AGAIN_S = 30.0
#: Endpoints one sweep looks at.
SWEEP_MOST = 1000

_log = get("endpoint")


@dataclass(frozen=True, slots=True)
class Resumed:
    """What became of the held deliveries of some endpoints."""

    delivered: int = 0
    dropped: int = 0
    """Those the policy did not want; the ledger says *skipped*."""
    waiting: int = 0
    """Somebody else walks the queue, the broker is away, or time was up: a worker resumes these when it can."""


@dataclass(frozen=True, slots=True)
class _Stores:
    ledger: Ledger
    endpoints: Endpoints
    breakers: Breakers
    index: HeldIndex


class HeldDeliveries:
    """One per worker, API process or CLI command."""

    def __init__(
        self,
        app: Celery,
        *,
        ledger: Ledger,
        endpoints: Endpoints,
        breakers: Breakers,
        index: HeldIndex,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._stores = _Stores(ledger, endpoints, breakers, index)
        self._clock = clock

    def counts(self, endpoint_ids: Sequence[str]) -> dict[str, int]:
        """How many wait for each endpoint; only what is not zero."""
        return self._stores.index.counts(endpoint_ids)

    def pause(self, endpoint_id: str, reason: str) -> Endpoint:
        """Hold everything for an endpoint until it is resumed. Raises `NotFound`."""
        return self._stores.endpoints.set_state(endpoint_id, EndpointState.PAUSED, reason)

    def resume(
        self, endpoint_id: str, chosen: OnResume | None = None, *, seconds: float = math.inf
    ) -> tuple[Endpoint, Resumed]:
        """Send to an endpoint again, whatever it failed at, and to what it holds do as chosen or as it is set to.

        What is not reached in about ``seconds`` a worker's sweep does. Raises `NotFound`.
        """
        endpoint = self._stores.endpoints.set_state(endpoint_id, EndpointState.ENABLED)
        self._stores.breakers.clear([endpoint_id])
        policy = chosen or endpoint.on_resume
        # Kept in Redis, so that a worker's sweep does the rest if this process is gone before it has.
        self._stores.index.look([endpoint_id], self._clock(), policy)
        try:
            return endpoint, self._walk({endpoint_id: _Action(policy)}, seconds)
        except BrokerUnavailable as error:
            wide(_log, "endpoint.resumed_later", level=logging.WARNING, endpoint=endpoint_id, error=str(error))
            return endpoint, Resumed(waiting=self.counts([endpoint_id]).get(endpoint_id, 0))

    def sweep(self) -> Resumed:
        """What the endpoints that are due have come to; safe to run anywhere, any number of times."""
        due = self._stores.index.due(SWEEP_MOST)
        return self._walk(self._actions(due)) if due else Resumed()

    def _actions(self, due: Sequence[str]) -> dict[str, _Action]:
        endpoints = self._stores.endpoints.get_many(due)
        chosen = self._stores.index.chosen(due)
        actions: dict[str, _Action] = {}
        for identity in due:
            endpoint = endpoints.get(identity)
            if endpoint is None:
                actions[identity] = _Action(OnResume.DISCARD, "the endpoint was removed")
            elif endpoint.state is not EndpointState.ENABLED:
                self._stores.index.look([identity], self._clock() + LOOK_AGAIN_S)
            elif endpoint.breaker is None or not endpoint.breaker.is_open:
                actions[identity] = _Action(chosen.get(identity, endpoint.on_resume))
            elif endpoint.breaker.probe_is_due(self._clock() - PROBE_PATIENCE_S):
                actions[identity] = _Action(OnResume.DELIVER, most=1)
                self._stores.index.look([identity], self._clock() + LOOK_AGAIN_S)
            else:
                until = max(endpoint.breaker.until, self._clock()) + PROBE_PATIENCE_S
                self._stores.index.look([identity], min(until, self._clock() + LOOK_AGAIN_S))
        return actions

    def _walk(self, actions: Mapping[str, _Action], seconds: float = math.inf) -> Resumed:
        ends = time.monotonic() + seconds
        index = self._stores.index
        before = {endpoint: index.of(endpoint) for endpoint in actions}
        if not actions:
            return Resumed()
        token = secrets.token_hex(8)
        if not index.begin_walk(token, WALK_LEASE_S):
            return Resumed(waiting=sum(len(held) for held in before.values()))
        try:
            visitor = _Resume(self._stores, actions, before)
            walk = Redrive(self._app, progress=lambda _done, _total: _renew(index, token))
            walked = walk.walk(
                topology.HELD_QUEUE, visitor, enough=lambda: visitor.is_done() or time.monotonic() > ends
            )
        finally:
            index.end_walk(token)
        for endpoint, held in before.items():
            if actions[endpoint].most is None and walked.whole:
                # Whatever the queue did not have any more was taken before, by a walk that could not say so.
                index.drop(endpoint, held)
        if visitor.resumed.delivered or visitor.resumed.dropped:
            wide(_log, "endpoint.held_resumed", endpoints=sorted(actions)[:20], **_as_fields(visitor.resumed))
        if walked.whole or visitor.is_done():
            return visitor.resumed
        return replace(visitor.resumed, waiting=sum(self.counts(list(actions)).values()))


@dataclass(frozen=True, slots=True)
class _Action:
    policy: OnResume
    why: str = "not wanted when the endpoint was resumed"
    most: int | None = None
    """Take no more than so many."""


class _Resume:
    """The visitor of one walk."""

    def __init__(
        self,
        stores: _Stores,
        actions: Mapping[str, _Action],
        before: Mapping[str, Sequence[HeldDelivery]],
    ) -> None:
        self.resumed = Resumed()
        self._stores = stores
        self._actions = actions
        self._left = {endpoint: action.most for endpoint, action in actions.items()}
        self._newest = newest(one for held in before.values() for one in held)
        self._held = {one.id: one for held in before.values() for one in held}

    def visit(self, parked: Parked) -> bool:
        """Whether its endpoint is resumed."""
        if parked.destination not in self._actions:
            return False
        left = self._left[parked.destination]
        if left is not None:
            if left <= 0:
                return False
            self._left[parked.destination] = left - 1
        return True

    def is_done(self) -> bool:
        """Whether nobody needs the rest of the queue: only probes were wanted, and all are found."""
        return all(left == 0 for left in self._left.values())

    def take(self, channel: Publishing, messages: Sequence[ParkedBatch | ParkedEvent]) -> None:
        """Send what is wanted, confirmed; the rest ends in the ledger."""
        # What nobody can read nobody wants: `visit` never chooses it, it has no destination.
        batches = [message.batch for message in messages if isinstance(message, ParkedBatch)]
        deliveries = [delivery for batch in batches for delivery in batch.deliveries]
        kept = {delivery.id for delivery in deliveries if self._is_wanted(delivery)}
        unwanted = [delivery for delivery in deliveries if delivery.id not in kept]
        wanted = [batch.narrowed(ones) for batch in batches if (ones := [d for d in batch.deliveries if d.id in kept])]
        for batch in gathered(wanted):
            channel.send(batch)
        channel.confirm()
        for why in {self._action(delivery).why for delivery in unwanted}:
            self._stores.ledger.skip([d.id for d in unwanted if self._action(d).why == why], why)
        self._forget(deliveries)
        self._count(len(deliveries) - len(unwanted), len(unwanted))

    def _count(self, delivered: int, dropped: int) -> None:
        before = self.resumed
        self.resumed = replace(before, delivered=before.delivered + delivered, dropped=before.dropped + dropped)
        metrics.HELD_RESUMED.labels("delivered").inc(delivered)
        metrics.HELD_RESUMED.labels("dropped").inc(dropped)

    def _is_wanted(self, delivery: Delivery) -> bool:
        policy = self._action(delivery).policy
        # What came after the index was read is newer than all that was in it.
        is_newest = delivery.id in self._newest or delivery.id not in self._held
        return policy is OnResume.DELIVER or (policy is OnResume.LATEST and is_newest)

    def _action(self, delivery: Delivery) -> _Action:
        assert isinstance(delivery.to, EndpointRef)  # noqa: S101 - nothing else is held
        return self._actions[delivery.to.endpoint]

    def _forget(self, deliveries: Sequence[Delivery]) -> None:
        """After the publish and before the message is acknowledged, so that nothing is held without being counted."""
        by_endpoint: dict[str, list[HeldDelivery]] = {}
        for delivery in deliveries:
            if (held := self._held.get(delivery.id)) is not None:
                by_endpoint.setdefault(held.endpoint, []).append(held)
        for endpoint, held_ones in by_endpoint.items():
            self._stores.index.drop(endpoint, held_ones)


def _renew(index: HeldIndex, token: str) -> None:
    index.begin_walk(token, WALK_LEASE_S)


def _as_fields(resumed: Resumed) -> dict[str, int]:
    return {"delivered": resumed.delivered, "dropped": resumed.dropped}
