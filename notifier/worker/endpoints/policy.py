"""`EndpointPolicy`: how a worker behaves towards endpoints, in the order in which a batch of webhooks meets it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from notifier import metrics
from notifier.broker.publisher import Publishes
from notifier.channels.port import Ready, Work
from notifier.domain.batch import Batch
from notifier.domain.delivery import EndpointRef, Status
from notifier.domain.waiting import RawBatch, Waiting
from notifier.worker.batch.follow_ups import FollowUps
from notifier.worker.batch.report import report_late
from notifier.worker.batch.sender import PATIENCE_S, Leave, Settled
from notifier.worker.endpoints.delay_buffer import DelayBuffer, read_ended
from notifier.worker.endpoints.gate import Gate
from notifier.worker.endpoints.health import EndpointHealth
from notifier.worker.endpoints.stragglers import COPY_SLACK_S, Stragglers
from notifier.worker.in_flight import InFlight
from notifier.worker.policy import Ended, Gated, Policy


class EndpointPolicy(Policy):
    """One per worker process, shared by all greenlets."""

    def __init__(
        self,
        *,
        gate: Gate,
        delay_buffer: DelayBuffer,
        health: EndpointHealth,
        stragglers: Stragglers,
        follow_ups: FollowUps,
        publisher: Publishes,
        in_flight: InFlight,
        longest_exchange: float,
    ) -> None:
        super().__init__(publisher)
        self._gate = gate
        self._delay_buffer = delay_buffer
        self._health = health
        self._stragglers = stragglers
        self._follow_ups = follow_ups
        self._copy_after = math.ceil(PATIENCE_S + longest_exchange) + COPY_SLACK_S
        self._in_flight = in_flight

    def _sort(self, batch: RawBatch) -> Gated:
        return self._gate.sort(batch, busy=self._in_flight.busy)

    def leaving(self, batch: Batch, gated: Gated) -> Leave:
        """What becomes of deliveries that the batch leaves behind."""

        def follow(settled: Settled) -> None:
            self._follow_ups.follow(batch, [settled], [], [])
            self._judge([settled], gated, _only(gated.probes, [settled.work]))
            report_late(batch, settled)

        return self._stragglers.leaving(follow)

    def copy_left_behind(self, batch: Batch, ready: Sequence[Ready], settled: Sequence[Settled]) -> None:
        """Publish copies of what was left behind, which from now on are its messages."""
        if len(settled) == len(ready):
            return
        ended = {one.work.delivery.id for one in settled}
        left = [Waiting.of(one.work.delivery, one.work.event) for one in ready if one.work.delivery.id not in ended]
        self._stragglers.add(len(left))
        metrics.STRAGGLERS.inc(len(left))
        self._delay_buffer.send_later(batch.priority, batch.shard, left, self._copy_after)

    def judge(self, gated: Gated, ready: Sequence[Ready], settled: Sequence[Settled]) -> None:
        """Tell the breakers what was seen so far, each try and each probe once however often it is called.

        Probes that could not even be sent are somebody else's turn; those still under way are judged later.
        """
        new = [one for one in settled if one.work.delivery.id not in gated.judged] if gated.judged else settled
        probes = gated.probes
        if len(settled) < len(ready):
            ended = {one.work.delivery.id for one in settled}
            gated.judged |= ended
            if probes:
                probes = _except(probes, [one.work for one in ready if one.work.delivery.id not in ended])
                gated.probes = {endpoint: token for endpoint, token in gated.probes.items() if endpoint not in probes}
        self._judge(new, gated, probes)

    def delay(self, batch: RawBatch, gated: Gated) -> Callable[[], Iterable[Ended]]:
        """Begin to put away what must wait, while the rest of the batch is sent."""
        priority, shard = batch.priority, batch.shard
        wait = self._delay_buffer.put(priority, shard, gated.blocked)
        return lambda: read_ended(wait(), priority, shard)

    def stop(self, seconds: float) -> None:
        """Wait for those that were left behind, for so long at most."""
        self._stragglers.wait(seconds)
        self._delay_buffer.stop()

    def _judge(self, settled: Sequence[Settled], gated: Gated, probes: Mapping[str, str]) -> None:
        failing = self._health.judge(settled, gated.endpoints, probes)
        failed = [one.work for one in settled if one.decision.status is not Status.SENT]
        self._gate.forget({*probes, *_endpoints(failed)})
        for one in failing:
            self._follow_ups.disable_failing(gated.endpoints[one.endpoint], one.since, one.code)


def _only(probes: Mapping[str, str], work: Sequence[Work]) -> dict[str, str]:
    ids = _endpoints(work)
    return {endpoint: token for endpoint, token in probes.items() if endpoint in ids}


def _except(probes: Mapping[str, str], work: Sequence[Work]) -> dict[str, str]:
    ids = _endpoints(work)
    return {endpoint: token for endpoint, token in probes.items() if endpoint not in ids}


def _endpoints(work: Sequence[Work]) -> set[str]:
    return {one.delivery.to.endpoint for one in work if isinstance(one.delivery.to, EndpointRef)}
