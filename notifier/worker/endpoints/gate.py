"""Which deliveries of a batch may be sent now: looked at before anything is claimed, so that waiting costs little.

A batch's endpoints are read once, with their breakers, in the round trip that fetches where they are; of a busy worker
the batches of a moment share it. A healthy one costs a look. Deliveries to an endpoint that is paused, open or has too
many pending responses are taken out of the batch; of those to an endpoint whose time is up, one goes as its probe.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from notifier.channels.webhook.channel import WebhookChannel
from notifier.domain.breaker import PROBE_SLACK_S, Breaker
from notifier.domain.endpoint import Endpoint, EndpointState
from notifier.domain.look_again import NotNow
from notifier.domain.value import value
from notifier.domain.waiting import RawBatch
from notifier.storage.breakers import Breakers
from notifier.storage.endpoints import Endpoints
from notifier.worker.batch.recorder import now
from notifier.worker.outage import retry_while_down
from notifier.worker.policy import Blocked, Gated

#: Seconds what was read of endpoints may be used by the batches that follow at once. A fan-out has the same endpoints
#: in a hundred batches a second.
FRESH_S = 0.1
#: Deliveries to an endpoint with pending responses which look again as soon as its exchanges have ended; what more
#: there is waits as everything does that is held. As many as one takes meanwhile that needs four seconds for each: more
#: would find them pending again, and twenty that hang would be looked at hundreds of times a second.
SOON = 100
#: Endpoints of which is counted how many look again soon; 200 bytes each.
_COUNTED = 10_000


@value
class _Seen:
    """What was read of an endpoint."""

    endpoint: Endpoint
    blocked: Blocked | None


class Gate:
    """Sorts batches; one per worker process."""

    def __init__(
        self, endpoints: Endpoints, breakers: Breakers, webhook: WebhookChannel, longest_exchange: float
    ) -> None:
        self._endpoints = endpoints
        self._breakers = breakers
        self._webhook = webhook
        self._longest_exchange = longest_exchange
        self._lease = longest_exchange + PROBE_SLACK_S
        self._seen: dict[str, _Seen] = {}
        self._seen_until = 0.0
        # Endpoint → until when, and how many.
        self._soon: dict[str, tuple[float, int]] = {}

    def sort(self, batch: RawBatch, *, busy: bool = False) -> Gated:
        """One round trip, one more for each probe. Raises `InvalidBatch`.

        A ``busy`` worker uses what it has read in the last `FRESH_S`.
        """
        wanted = [_endpoint(delivery) for delivery in batch.deliveries]
        seen = self._look(set(wanted) - {""}, busy)
        known = {i: one.endpoint for i, one in seen.items()}
        reasons = {i: why for i, one in seen.items() if (why := one.blocked or self._pending(i)) is not None}
        if not reasons:
            return Gated(batch.decode(), known)
        return self._split(batch, wanted, known, reasons, now())

    def forget(self, ids: Iterable[str]) -> None:
        """What was read of them is no longer so: their breakers have heard of failures or probes."""
        for endpoint in ids:
            self._seen.pop(endpoint, None)

    def _look(self, ids: set[str], busy: bool) -> dict[str, _Seen]:
        if not busy:
            return self._read(ids)
        if now() >= self._seen_until:
            self._seen.clear()
            self._seen_until = now() + FRESH_S
        seen = {i: one for i in ids if (one := self._seen.get(i)) is not None}
        if len(seen) < len(ids):
            read = self._read(ids - seen.keys())
            seen |= read
            # Who is not there, or not sent to, ends a delivery: that is never an old answer.
            self._seen |= {i: one for i, one in read.items() if one.endpoint.state is EndpointState.ENABLED}
        return seen

    def _read(self, ids: set[str]) -> dict[str, _Seen]:
        known = retry_while_down(lambda: self._endpoints.get_many(sorted(ids)), "read endpoints")
        moment = now()
        return {i: _Seen(endpoint, _why_blocked(endpoint, moment)) for i, endpoint in known.items()}

    def _pending(self, endpoint: str) -> Blocked | None:
        age = self._webhook.pending_for(endpoint)
        if not age:
            return None
        # Each exchange has ended by then: one that is slow but well is not to wait for those that are ill.
        at_most = max(age, self._longest_exchange)
        return Blocked("the endpoint has too many pending responses", NotNow.PENDING, age=age, at_most=at_most)

    def _split(
        self,
        batch: RawBatch,
        wanted: Sequence[str],
        known: Mapping[str, Endpoint],
        reasons: dict[str, Blocked],
        moment: float,
    ) -> Gated:
        gated = Gated(None)
        away: dict[int, Blocked] = {}
        for place, endpoint in enumerate(wanted):
            why = reasons.get(endpoint)
            # What has expired meanwhile waits for nobody: it ends.
            if why is None or _has_expired(batch.deliveries[place], moment):
                continue
            if self._probes(known[endpoint], gated, moment):
                reasons[endpoint] = why if why.why is None else Blocked(why.reason, NotNow.PROBED)
            else:
                away[place] = self._in_turn(endpoint, why, moment)
        # What is put aside is read by whoever lists or resumes it, many in one message.
        gated.batch, waiting = batch.split({place: why.why is None for place, why in away.items()})
        # Verdicts look at all answers of a batch that has an endpoint in trouble.
        sent = {endpoint for place, endpoint in enumerate(wanted) if place not in away}
        gated.endpoints = {endpoint: one for endpoint, one in known.items() if endpoint in sent}
        gated.blocked = list(zip(waiting, away.values(), strict=True))
        return gated

    def _in_turn(self, endpoint: str, why: Blocked, moment: float) -> Blocked:
        if math.isinf(why.at_most):
            return why
        until, count = self._soon.get(endpoint, (0.0, 0))
        if moment >= until:
            until, count = moment + why.at_most, 0
            if len(self._soon) >= _COUNTED:
                self._soon.clear()
        if count >= SOON:
            return replace(why, at_most=math.inf)
        self._soon[endpoint] = until, count + 1
        return why

    def _probes(self, endpoint: Endpoint, gated: Gated, moment: float) -> bool:
        """Whether this delivery is the endpoint's probe: one in the whole service."""
        breaker = endpoint.breaker
        if endpoint.state is not EndpointState.ENABLED or breaker is None or endpoint.id in gated.probes:
            return False
        if not breaker.probe_is_due(moment) or self._webhook.pending_for(endpoint.id):
            return False
        token = secrets.token_hex(6)
        if not retry_while_down(
            lambda: self._breakers.begin_probe(endpoint.id, breaker, token, self._lease), "begin a probe"
        ):
            return False
        gated.probes[endpoint.id] = token
        return True


def _why_blocked(endpoint: Endpoint, moment: float) -> Blocked | None:
    if endpoint.state is not EndpointState.ENABLED and (why := endpoint.held_because):
        return Blocked(why, None)
    breaker = endpoint.breaker
    if breaker is not None and breaker.is_open and endpoint.state is EndpointState.ENABLED:
        left, age = breaker.left(moment), moment - breaker.opened
        return Blocked(endpoint.held_because, None if breaker.is_long(moment) else NotNow.OPEN, left, age)
    return None


def _endpoint(delivery: Any) -> str:
    """Of a delivery's JSON; empty for what is none, which reading it will say."""
    to = delivery.get("to") if isinstance(delivery, dict) else None
    endpoint = to.get("endpoint") if isinstance(to, dict) else None
    return endpoint if isinstance(endpoint, str) else ""


def _has_expired(delivery: dict[str, Any], moment: float) -> bool:
    expires = delivery.get("expires")
    return isinstance(expires, int | float) and expires <= moment


def breakers_of(endpoints: Mapping[str, Endpoint], ids: Sequence[str]) -> dict[str, Breaker | None]:
    """What was read of their breakers, which is where a change of them begins."""
    return {i: endpoints[i].breaker if i in endpoints else None for i in ids}
