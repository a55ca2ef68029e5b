"""What endpoints' health costs and decides: the gate before a batch, the judgement after it, on a real Redis."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from notifier.channels.webhook.answers import Answer, Reply
from notifier.channels.webhook.channel import OutgoingWebhook, WebhookChannel
from notifier.channels.webhook.guard import AddressGuard, Target, read_networks
from notifier.domain.batch import Batch
from notifier.domain.breaker import LEAST_FAILURES
from notifier.domain.delivery import Attempt, Delivery, EndpointRef, Status
from notifier.domain.endpoint import Endpoint, EndpointState
from notifier.domain.event import Event
from notifier.domain.rule import Channel, Priority, Rule
from notifier.storage.breakers import Breakers
from notifier.storage.cipher import Cipher
from notifier.storage.claims import Claimed, claim_request
from notifier.storage.connection import connect
from notifier.storage.endpoints import Endpoints
from notifier.storage.held import HeldIndex
from notifier.storage.store import Store
from notifier.worker.deciding import Decision
from notifier.worker.gating import Gate
from notifier.worker.judging import Judging
from notifier.worker.preparing import Ready, Work
from notifier.worker.recorder import now
from notifier.worker.sending import Settled

EVENT = Event(id="1", source="/tests", type="a.b")
RULE = Rule("a.b/hook", "a.b", Channel.WEBHOOK, template="a.b", category="", transactional=True)
DAY = 86400.0


@dataclass
class Exchanges:
    """Says which endpoints owe too many answers, as the transport does."""

    away: dict[str, float] = field(default_factory=dict)

    async def post(self, target: Target, head: bytes, body: bytes, *, lane: str = "", **_: object) -> Answer:
        return Reply(204)

    def is_slow(self, lane: str) -> bool:
        return lane in self.away

    def seconds_away(self, lane: str) -> float:
        return self.away.get(lane, 0.0)


@dataclass
class Bench:
    store: Store

    def __post_init__(self) -> None:
        self.endpoints = Endpoints(self.store, Cipher("k" * 32))
        self.breakers = Breakers(self.store)
        self.index = HeldIndex(self.store)
        self.exchanges = Exchanges()
        webhook = WebhookChannel(self.exchanges, AddressGuard(read_networks("127.0.0.1"), http=True))
        self.gate = Gate(self.endpoints, self.breakers, webhook, 30.0)
        self.judging = Judging(self.breakers, self.index, disable_after=5 * DAY)

    def endpoint(self) -> Endpoint:
        return self.endpoints.add("default", "https://a.example/")

    def read(self, *endpoints: Endpoint) -> dict[str, Endpoint]:
        return self.endpoints.get_many([endpoint.id for endpoint in endpoints])

    def open_for_a_moment(self, endpoint: Endpoint) -> None:
        """It asked for a rest that has passed when this returns."""
        self.judging.judge(settled(batch_to(endpoint), "http_503", wait=0.001), self.read(endpoint), {})
        breaker = self.read(endpoint)[endpoint.id].breaker
        assert breaker is not None
        while not breaker.probe_is_due(now()):
            pass


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    store = connect(redis_url)
    yield Bench(store)
    store.close()


def batch_to(*endpoints: Endpoint, expires: float | None = None) -> Batch:
    deliveries = [
        Delivery(id=f"dlv_{n}", event=0, rule=RULE.id, to=EndpointRef(endpoint=e.id), expires=expires)
        for n, e in enumerate(endpoints)
    ]
    return Batch(channel=Channel.WEBHOOK, priority=Priority.NORMAL, events=[EVENT], deliveries=deliveries)


def settled(batch: Batch, code: str = "http_204", *, wait: float = 0.0) -> list[Settled]:
    """Every delivery of a batch with the same answer."""
    sent = code == "http_204"
    made = []
    for delivery in batch.deliveries:
        attempt = Attempt(1, now(), 0.01, "sent" if sent else "deferred", code, "", "w1")
        status = Status.SENT if sent else Status.DEFERRED
        decision = Decision(status, code, attempt, pause_until=now() + wait if wait else None)
        work = Work(claim_request(batch, delivery), EVENT, RULE, Claimed(1, 0))
        outgoing = OutgoingWebhook("x", Target("https://a.example/", "https://a.example", "a.example"), b"", b"", ())
        made.append(Settled(Ready(work, outgoing, ""), decision))
    return made


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.id for delivery in deliveries]


def test_healthy_endpoints_cost_one_read_and_their_successes_nothing(bench: Bench) -> None:
    # Given a batch to fifty healthy endpoints
    endpoints = [bench.endpoint() for _ in range(50)]
    batch = batch_to(*endpoints)
    before = bench.store.round_trips

    # When it is sorted and all of it was sent
    gated = bench.gate.sort(batch)
    failing = bench.judging.judge(settled(batch), gated.endpoints, gated.probes)

    # Then one round trip was made, for URLs and secrets and breakers together
    assert bench.store.round_trips - before == 1
    assert gated.batch is batch
    assert (gated.blocked, failing) == ([], [])


def test_what_must_wait_is_taken_out_with_the_reason_and_the_rest_goes(bench: Bench) -> None:
    # Given a paused, an open, an owing, a disabled and a healthy endpoint
    paused, opened, owing, disabled, healthy = (bench.endpoint() for _ in range(5))
    bench.endpoints.set_state(paused.id, EndpointState.PAUSED, "moves")
    bench.endpoints.set_state(disabled.id, EndpointState.DISABLED, "gone")
    bench.judging.judge(settled(batch_to(opened), "http_503", wait=30), bench.read(opened), {})
    bench.exchanges.away[owing.id] = 4.0

    # When a batch to all of them is sorted
    gated = bench.gate.sort(batch_to(paused, opened, owing, disabled, healthy))

    # Then two go: the disabled one ends as such, and each of the others waits in its own way
    assert gated.batch is not None
    assert ids(gated.batch.deliveries) == ["dlv_3", "dlv_4"]
    why = {delivery.id: blocked for delivery, blocked in gated.blocked}
    assert (why["dlv_0"].reason, why["dlv_0"].aside) == ("the endpoint is paused: moves", True)
    assert (why["dlv_1"].reason, why["dlv_1"].aside) == ("the endpoint is left alone after http_503", False)
    assert 29 < why["dlv_1"].seconds <= 30
    assert why["dlv_2"].seconds == 4.0


def test_what_has_expired_waits_for_nobody(bench: Bench) -> None:
    paused = bench.endpoint()
    bench.endpoints.set_state(paused.id, EndpointState.PAUSED)
    batch = batch_to(paused, expires=1.0)

    assert bench.gate.sort(batch).batch is batch


def test_one_delivery_probes_an_endpoint_whose_time_is_up_and_its_answer_decides(bench: Bench) -> None:
    # Given an endpoint that asked for a moment, which has passed
    endpoint = bench.endpoint()
    bench.open_for_a_moment(endpoint)

    # When two batches to it are sorted
    first, second = (bench.gate.sort(batch_to(endpoint, endpoint)) for _ in range(2))

    # Then one delivery of the first may go
    assert first.batch is not None
    assert ids(first.batch.deliveries) == ["dlv_0"]
    assert ids([delivery for delivery, _ in first.blocked]) == ["dlv_1"]
    assert second.batch is None

    # And when it was sent, the endpoint is well again and its held deliveries are looked for
    bench.judging.judge(settled(first.batch), first.endpoints, first.probes)
    assert bench.read(endpoint)[endpoint.id].breaker is None
    assert bench.index.due(10) == [endpoint.id]


def test_a_probe_that_never_left_is_given_to_the_next(bench: Bench) -> None:
    endpoint = bench.endpoint()
    bench.open_for_a_moment(endpoint)
    first = bench.gate.sort(batch_to(endpoint))

    # When the batch ends without having sent its probe
    bench.judging.judge([], first.endpoints, first.probes)

    # Then another batch may probe
    assert bench.gate.sort(batch_to(endpoint)).probes.keys() == {endpoint.id}


def test_failures_of_ours_are_not_held_against_an_endpoint(bench: Bench) -> None:
    endpoint = bench.endpoint()
    for code in ("claim_lost", "uncertain:internal_error"):
        bench.judging.judge(settled(batch_to(*[endpoint] * 9), code), bench.read(endpoint), {})
    assert bench.read(endpoint)[endpoint.id].breaker is None

    bench.judging.judge(settled(batch_to(*[endpoint] * LEAST_FAILURES), "timeout"), bench.read(endpoint), {})
    breaker = bench.read(endpoint)[endpoint.id].breaker
    assert breaker is not None
    assert breaker.is_open


def test_successes_of_an_endpoint_that_failed_lately_are_written_once_a_second(bench: Bench) -> None:
    # Given an endpoint with one failure
    endpoint = bench.endpoint()
    bench.judging.judge(settled(batch_to(endpoint), "timeout"), bench.read(endpoint), {})

    # When a hundred batches to it succeed, as fast as they can
    known, before = bench.read(endpoint), bench.store.round_trips
    for _ in range(100):
        bench.judging.judge(settled(batch_to(endpoint)), known, {})

    # Then fewer round trips told it than there were batches
    assert bench.store.round_trips - before < 100
