"""Held deliveries: what waits in ``held-webhook`` is sent, thinned out or dropped when its endpoint is resumed.

An operator resumes an endpoint, or it recovers by itself; then `sweep`, which every worker runs every two seconds, does
the same with the endpoint's own policy. An endpoint that has been away for long, and that nothing new arrives for, is
probed with the oldest of what it holds. One walk at a time over each shelf, for all endpoints there that are due.
"""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from celery import Celery

from notifier.domain.endpoint import Endpoint, EndpointState, OnResume
from notifier.domain.topology import HELD_QUEUE, held_shelf
from notifier.errors import BrokerUnavailable
from notifier.failures.redrive import Redrive
from notifier.failures.resuming import Action, Resuming
from notifier.failures.turns import turn_at
from notifier.logs import get, wide
from notifier.storage.breakers import Breakers
from notifier.storage.endpoints import Endpoints
from notifier.storage.held import HeldIndex
from notifier.storage.ledger import Ledger

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
            return endpoint, self._walk({endpoint_id: Action(policy)}, seconds)
        except BrokerUnavailable as error:
            wide(_log, "endpoint.resumed_later", level=logging.WARNING, endpoint=endpoint_id, error=str(error))
            return endpoint, Resumed(waiting=self.counts([endpoint_id]).get(endpoint_id, 0))

    def sweep(self) -> Resumed:
        """What the endpoints that are due have come to; safe to run anywhere, any number of times."""
        due = self._stores.index.due(SWEEP_MOST)
        return self._walk(self._actions(due)) if due else Resumed()

    def _actions(self, due: Sequence[str]) -> dict[str, Action]:
        endpoints = self._stores.endpoints.get_many(due)
        chosen = self._stores.index.chosen(due)
        actions: dict[str, Action] = {}
        for identity in due:
            endpoint = endpoints.get(identity)
            if endpoint is None:
                actions[identity] = Action(OnResume.DISCARD, "the endpoint was removed")
            elif endpoint.state is not EndpointState.ENABLED:
                self._stores.index.look([identity], self._clock() + LOOK_AGAIN_S)
            elif endpoint.breaker is None or not endpoint.breaker.is_open:
                actions[identity] = Action(chosen.get(identity, endpoint.on_resume))
            elif endpoint.breaker.probe_is_due(self._clock() - PROBE_PATIENCE_S):
                actions[identity] = Action(OnResume.DELIVER, most=1)
                self._stores.index.look([identity], self._clock() + LOOK_AGAIN_S)
            else:
                until = max(endpoint.breaker.until, self._clock()) + PROBE_PATIENCE_S
                self._stores.index.look([identity], min(until, self._clock() + LOOK_AGAIN_S))
        return actions

    def _walk(self, actions: Mapping[str, Action], seconds: float = math.inf) -> Resumed:
        ends = time.monotonic() + seconds
        resuming = Resuming(self._stores.ledger, self._stores.index, actions)
        whole = {place for place, mine in self._places(actions).items() if self._walk_over(place, mine, resuming, ends)}
        for endpoint, action in actions.items():
            if action.most is None and {held_shelf(endpoint), HELD_QUEUE} <= whole:
                # What lies nowhere any more was taken before, by a walk that could not say so.
                resuming.forget_rest(endpoint)
        if resuming.delivered or resuming.dropped:
            became = {"delivered": resuming.delivered, "dropped": resuming.dropped}
            wide(_log, "endpoint.held_resumed", endpoints=sorted(actions)[:20], **became)
        left = [e for e in actions if resuming.wants_more(e) and not {held_shelf(e), HELD_QUEUE} <= whole]
        return Resumed(resuming.delivered, resuming.dropped, sum(self.counts(left).values()))

    def _places(self, actions: Mapping[str, Action]) -> dict[str, list[str]]:
        """Shelf → its endpoints; and where earlier releases put what they held, all of them."""
        found: dict[str, list[str]] = defaultdict(list)
        for endpoint in actions:
            found[held_shelf(endpoint)].append(endpoint)
        return {**found, HELD_QUEUE: list(actions)}

    def _walk_over(self, place: str, endpoints: Sequence[str], resuming: Resuming, ends: float) -> bool:
        """Whether all that lies there for these endpoints was looked at."""

        def is_done() -> bool:
            return not any(map(resuming.wants_more, endpoints))

        if is_done():
            return True
        # No time to wait for a turn: whoever has it now is walking for others, and a sweep comes back in two seconds.
        with turn_at(self._stores.index, place, 0.0) as turn:
            if turn is None:
                return False
            walked = Redrive(self._app).walk(
                place, resuming, enough=lambda: is_done() or time.monotonic() > ends or turn.is_lost
            )
            # A probe that is found is all that was wanted of what lies there.
            return walked.whole or is_done()


@dataclass(frozen=True, slots=True)
class _Stores:
    ledger: Ledger
    endpoints: Endpoints
    breakers: Breakers
    index: HeldIndex
