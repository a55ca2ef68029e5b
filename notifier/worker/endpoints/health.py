"""What a batch's tries say about their endpoints: breakers open and close, and who fails for days is switched off.

A batch whose tries all succeeded, at endpoints of which nothing is remembered, costs no round trip.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from notifier import metrics
from notifier.domain.breaker import Breaker, Observed
from notifier.domain.delivery import EndpointRef, Status
from notifier.domain.endpoint import Endpoint
from notifier.logs import get, wide
from notifier.storage.breakers import Breakers, Changed
from notifier.storage.held import HeldIndex
from notifier.worker.batch.recorder import now
from notifier.worker.batch.sender import Settled
from notifier.worker.endpoints.gate import breakers_of
from notifier.worker.outage import retry_while_down

#: Seconds between writes of successes of an endpoint that failed lately: only failures are urgent.
SUCCESSES_EVERY_S = 1.0
SHORTEST_WAIT_S = 0.001
#: Failures that are ours, or say nothing about the endpoint.
_NOT_THEIRS = frozenset({"claim_lost", "internal_error"})
_TOO_MUCH = frozenset({"http_429", "http_503"})

_log = get("endpoint")


@dataclass(frozen=True, slots=True)
class _Failing:
    """An endpoint that has failed for so long that it is switched off."""

    endpoint: str
    since: float
    code: str


@dataclass(slots=True)
class _Tally:
    ok: int = 0
    failed: int = 0
    wait: float = 0.0
    codes: list[str] = field(default_factory=list)


class EndpointHealth:
    """Writes what batches saw; one per worker process."""

    def __init__(self, breakers: Breakers, held: HeldIndex, *, disable_after: float) -> None:
        self._breakers = breakers
        self._held = held
        self._disable_after = disable_after
        self._unwritten: Counter[str] = Counter()
        self._written: dict[str, float] = {}

    def judge(
        self, settled: Sequence[Settled], endpoints: Mapping[str, Endpoint], probes: Mapping[str, str]
    ) -> list[_Failing]:
        """Tell the breakers; returns the endpoints to switch off."""
        troubled = {i for i, endpoint in endpoints.items() if endpoint.breaker is not None}
        failures = [one for one in settled if one.decision.status is not Status.SENT]
        if not (troubled or failures or probes):
            return []
        seen = self._observed(settled, troubled, probes)
        if not seen:
            return []
        known = breakers_of(endpoints, list(seen))
        changed = retry_while_down(lambda: self._breakers.observe(seen, known), "tell the breakers")
        for endpoint, change in changed.items():
            self._tell(endpoint, change)
        return [f for e, c in changed.items() if (f := self._failing(e, c.after)) is not None]

    def _observed(
        self, settled: Sequence[Settled], troubled: set[str], probes: Mapping[str, str]
    ) -> dict[str, Observed]:
        moment = now()
        tallies = _tally(settled, moment)
        seen: dict[str, Observed] = {}
        for endpoint in {*tallies, *probes}:
            tally = tallies.get(endpoint, _Tally())
            urgent = tally.failed or endpoint in probes
            if not urgent and (endpoint not in troubled or not self._is_due(endpoint, tally.ok, moment)):
                continue
            seen[endpoint] = Observed(
                ok=tally.ok + self._unwritten.pop(endpoint, 0),
                failed=tally.failed,
                wait=tally.wait,
                too_much=any(code in _TOO_MUCH for code in tally.codes),
                code=tally.codes[-1] if tally.codes else "",
                probe=probes.get(endpoint, ""),
            )
        return seen

    def _is_due(self, endpoint: str, ok: int, moment: float) -> bool:
        if moment - self._written.get(endpoint, 0.0) < SUCCESSES_EVERY_S:
            self._unwritten[endpoint] += ok
            return False
        if len(self._written) > 10_000:  # those that failed once and are well
            self._written.clear()
        self._written[endpoint] = moment
        return True

    def _tell(self, endpoint: str, change: Changed) -> None:
        if change.opened and change.after is not None:
            metrics.ENDPOINT_BREAKERS.labels("opened").inc()
            wide(
                _log,
                "endpoint.breaker_opened",
                level=logging.WARNING,
                endpoint=endpoint,
                code=change.after.code,
                failed=change.after.failed,
                ok=change.after.ok,
                seconds=round(change.after.until - now(), 1),
            )
        elif change.closed and change.before is not None:
            metrics.ENDPOINT_BREAKERS.labels("closed").inc()
            wide(_log, "endpoint.breaker_closed", endpoint=endpoint, open_s=round(now() - change.before.opened, 1))
            retry_while_down(lambda: self._held.look([endpoint], now()), "look for held deliveries")

    def _failing(self, endpoint: str, breaker: Breaker | None) -> _Failing | None:
        if breaker is None or not breaker.failing_since or not self._disable_after:
            return None
        if now() - breaker.failing_since < self._disable_after:
            return None
        return _Failing(endpoint, breaker.failing_since, breaker.code)


def _tally(settled: Sequence[Settled], moment: float) -> dict[str, _Tally]:
    tallies: dict[str, _Tally] = {}
    for one in settled:
        to, attempt = one.work.delivery.to, one.decision.attempt
        if attempt is None or not isinstance(to, EndpointRef):
            continue
        tally = tallies.setdefault(to.endpoint, _Tally())
        code = attempt.code.removeprefix("uncertain:")
        if attempt.outcome == "sent":
            tally.ok += 1
        elif attempt.outcome == "deferred" and code not in _NOT_THEIRS:
            tally.failed += 1
            tally.codes.append(code)
            if one.decision.pause_until is not None:
                # Also when its time has passed meanwhile: whoever says how long is not given longer.
                tally.wait = max(tally.wait, one.decision.pause_until - moment, SHORTEST_WAIT_S)
    return tallies
