"""Receivers of others that close idle connections, and webhooks that may not be sent twice."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from notifier.channels.webhook.channel import WebhookChannel
from notifier.channels.webhook.guard import AddressGuard, read_networks
from notifier.channels.webhook.transport import WebhookTransport
from notifier.domain.delivery import Delivery, EndpointRef
from notifier.domain.endpoint import Endpoint
from notifier.domain.event import Event
from notifier.domain.message import WebhookMessage
from notifier.domain.outcome import Deferred, NotTried, Outcome, Sent
from notifier.engine.bridge import Engine
from notifier.storage.endpoints import new_secret
from tests.servers.patience import PATIENCE_S
from tests.servers.receivers import Receiver

#: Webhooks that come around the moment at which an idle connection is closed, and how far from it, in seconds.
AROUND = 16
SPREAD = 0.04


@pytest.fixture
def engine() -> Iterator[Engine]:
    running = Engine()
    running.start()
    yield running
    running.stop(grace=1.0)


class Sender:
    """A channel; each webhook is known by its number."""

    def __init__(self, engine: Engine, url: str) -> None:
        guard = AddressGuard(read_networks("127.0.0.1"), http=True)
        self.transport = WebhookTransport(guard, timeout=PATIENCE_S)
        self._channel = WebhookChannel(self.transport, guard)
        self._engine = engine
        self._url = url

    def send(self, number: str, *, again: bool) -> Outcome | NotTried:
        """``again=False`` is what a rule with ``uncertain: park`` asks for."""
        outgoing = self._channel.prepare(
            Delivery(id=f"dlv_{number}", event=0, rule="r", to=EndpointRef(endpoint="ep_a")),
            Event(id=number, source="/shop", type="order.shipped"),
            Endpoint("ep_a", "acme", f"{self._url}?{number}", (new_secret(),)),
            WebhookMessage(number.encode(), "text/plain", number),
        )
        return self._engine.run(lambda: self._channel.send(outgoing, again=again), PATIENCE_S)


def test_nothing_is_parked_as_uncertain_that_had_not_arrived(engine: Engine, receiver: Receiver) -> None:
    # Given connections to the receiver that have just become idle
    sender = Sender(engine, receiver.url)
    outcomes = {"first": sender.send("first", again=True)}

    # When webhooks that may not be written twice come around the moment at which it closes them, and before
    def send_around(place: int) -> None:
        late = (place / (AROUND - 1) - 0.5) * 2 * SPREAD
        # The pause is what is tried: a webhook at that very moment.
        threading.Event().wait(max(0.0, receiver.idle_seconds + late))
        outcomes[f"late{place}"] = sender.send(f"late{place}", again=False)

    with ThreadPoolExecutor(AROUND + 1) as threads:
        waiting = [threads.submit(send_around, place) for place in range(AROUND)]
        for number in range(AROUND):
            outcomes[f"soon{number}"] = sender.send(f"soon{number}", again=False)
            outcomes[f"kept{number}"] = sender.send(f"kept{number}", again=True)
        for done in waiting:
            done.result()
    engine.run(sender.transport.close, PATIENCE_S)

    # Then each has arrived once, and none is uncertain
    assert [outcome for outcome in outcomes.values() if isinstance(outcome, Deferred)] == []
    assert {type(outcome) for outcome in outcomes.values()} == {Sent}
    assert sorted(receiver.stored()) == sorted(outcomes)
