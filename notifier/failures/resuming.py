"""`Resuming`: the visitor of what is held: it sends what is wanted of some endpoints, and drops the rest of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from notifier import metrics
from notifier.domain.delivery import Delivery, EndpointRef
from notifier.domain.endpoint import OnResume
from notifier.domain.parked import Parked, ParkedBatch, ParkedEvent
from notifier.failures.gathering import gathered
from notifier.failures.publishing import Publishing
from notifier.storage.held import HeldDelivery, HeldIndex, newest
from notifier.storage.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Action:
    """What is to become of what an endpoint holds."""

    policy: OnResume
    why: str = "not wanted when the endpoint was resumed"
    most: int | None = None
    """Take no more than so many."""


class Resuming:
    """One for all the walks of a resume or a sweep."""

    def __init__(self, ledger: Ledger, index: HeldIndex, actions: Mapping[str, Action]) -> None:
        self.delivered = 0
        self.dropped = 0
        """Those the policy did not want; the ledger says *skipped*."""
        self._ledger = ledger
        self._index = index
        self._actions = actions
        self._left = {endpoint: action.most for endpoint, action in actions.items()}
        self._before = {endpoint: index.of(endpoint) for endpoint in actions}
        self._newest = newest(one for held in self._before.values() for one in held)
        self._held = {one.id: one for held in self._before.values() for one in held}

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

    def wants_more(self, endpoint: str) -> bool:
        """Whether more of an endpoint is wanted: not if it was to be probed, and the probe is found."""
        return self._left[endpoint] != 0

    def forget_rest(self, endpoint: str) -> None:
        """Whatever the index knew of an endpoint when this began: all of that is dealt with."""
        self._index.drop(endpoint, self._before[endpoint])

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
            self._ledger.skip([d.id for d in unwanted if self._action(d).why == why], why)
        self._forget(deliveries)
        self._count(len(deliveries) - len(unwanted), len(unwanted))

    def _count(self, delivered: int, dropped: int) -> None:
        self.delivered += delivered
        self.dropped += dropped
        metrics.HELD_RESUMED.labels("delivered").inc(delivered)
        metrics.HELD_RESUMED.labels("dropped").inc(dropped)

    def _is_wanted(self, delivery: Delivery) -> bool:
        policy = self._action(delivery).policy
        # What came after the index was read is newer than all that was in it.
        is_newest = delivery.id in self._newest or delivery.id not in self._held
        return policy is OnResume.DELIVER or (policy is OnResume.LATEST and is_newest)

    def _action(self, delivery: Delivery) -> Action:
        assert isinstance(delivery.to, EndpointRef)  # noqa: S101 - nothing else is held
        return self._actions[delivery.to.endpoint]

    def _forget(self, deliveries: Sequence[Delivery]) -> None:
        """After the publish and before the message is acknowledged, so that nothing is held without being counted."""
        by_endpoint: dict[str, list[HeldDelivery]] = {}
        for delivery in deliveries:
            if (held := self._held.get(delivery.id)) is not None:
                by_endpoint.setdefault(held.endpoint, []).append(held)
        for endpoint, held_ones in by_endpoint.items():
            self._index.drop(endpoint, held_ones)
