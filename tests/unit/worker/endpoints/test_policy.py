"""What endpoints' health costs and decides: the gate before a batch, the judgement after it, on a real Redis."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from notifier.broker.publisher import Publishes
from notifier.channels.port import Ready, Work
from notifier.channels.webhook.answers import Answer, Reply
from notifier.channels.webhook.channel import OutgoingWebhook, WebhookChannel
from notifier.channels.webhook.guard import AddressGuard, Target, read_networks
from notifier.domain.batch import Batch
from notifier.domain.breaker import LEAST_FAILURES
from notifier.domain.delivery import Attempt, Delivery, EndpointRef, Status
from notifier.domain.endpoint import Endpoint, EndpointState
from notifier.domain.event import Event
from notifier.domain.look_again import NotNow
from notifier.domain.rule import Channel, Priority, Rule
from notifier.domain.waiting import RawBatch
from notifier.storage.breakers import Breakers
from notifier.storage.cipher import Cipher
from notifier.storage.claims import Claimed, claim_request
from notifier.storage.connection import connect
from notifier.storage.endpoints import Endpoints
from notifier.storage.held import HeldIndex
from notifier.storage.store import Store
from notifier.worker.batch.follow_ups import FollowUps
from notifier.worker.batch.recorder import now
from notifier.worker.batch.sender import Settled
from notifier.worker.decision import Decision
from notifier.worker.endpoints.delay_buffer import DelayBuffer
from notifier.worker.endpoints.gate import FRESH_S, SOON, Gate
from notifier.worker.endpoints.health import EndpointHealth
from notifier.worker.endpoints.policy import EndpointPolicy
from notifier.worker.endpoints.stragglers import Stragglers
from notifier.worker.in_flight import InFlight

EVENT = Event(id="1", source="/tests", type="a.b")
RULE = Rule("a.b/hook", "a.b", Channel.WEBHOOK, template="a.b", category="", transactional=True)
DAY = 86400.0
LONGEST_EXCHANGE_S = 15.0


@dataclass
class Exchanges:
    """Says which endpoints have too many unanswered requests, as the transport does."""

    away: dict[str, float] = field(default_factory=dict)

    async def post(self, target: Target, head: bytes, body: bytes, *, lane: str = "", **_: object) -> Answer:
        return Reply(204)

    def is_slow(self, lane: str) -> bool:
        return lane in self.away

    def pending_for(self, lane: str) -> float:
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
        self.gate = Gate(self.endpoints, self.breakers, webhook, LONGEST_EXCHANGE_S)
        self.judging = EndpointHealth(self.breakers, self.index, disable_after=5 * DAY)

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


def raw(batch: Batch) -> RawBatch:
    """As it comes."""
    return RawBatch.read(batch.encode())


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


def judging_only(bench: Bench) -> EndpointPolicy:
    """The endpoint_policy of a worker that sends nothing: it sorts and judges."""
    return EndpointPolicy(
        gate=bench.gate,
        health=bench.judging,
        delay_buffer=cast(DelayBuffer, None),
        stragglers=cast(Stragglers, None),
        follow_ups=cast(FollowUps, None),
        publisher=cast(Publishes, None),
        in_flight=InFlight(100),
        longest_exchange=1.0,
    )


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.id for delivery in deliveries]


def test_healthy_endpoints_cost_one_read_and_their_successes_nothing(bench: Bench) -> None:
    # Given a batch to fifty healthy endpoints
    endpoints = [bench.endpoint() for _ in range(50)]
    batch = batch_to(*endpoints)
    before = bench.store.round_trips

    # When it is sorted and all of it was sent
    gated = bench.gate.sort(raw(batch))
    failing = bench.judging.judge(settled(batch), gated.endpoints, gated.probes)

    # Then one round trip was made, for URLs and secrets and breakers together
    assert bench.store.round_trips - before == 1
    assert gated.batch == batch
    assert (gated.blocked, failing) == ([], [])


def test_what_must_wait_is_taken_out_with_the_reason_and_the_rest_goes(bench: Bench) -> None:
    # Given a paused, an open, a pending, a disabled and a healthy endpoint
    paused, opened, pending, disabled, healthy = (bench.endpoint() for _ in range(5))
    bench.endpoints.set_state(paused.id, EndpointState.PAUSED, "moves")
    bench.endpoints.set_state(disabled.id, EndpointState.DISABLED, "gone")
    bench.judging.judge(settled(batch_to(opened), "http_503", wait=30), bench.read(opened), {})
    bench.exchanges.away[pending.id] = 4.0

    # When a batch to all of them is sorted
    gated = bench.gate.sort(raw(batch_to(paused, opened, pending, disabled, healthy)))

    # Then two go: the disabled one ends as such, and each of the others waits in its own way
    assert gated.batch is not None
    assert ids(gated.batch.deliveries) == ["dlv_3", "dlv_4"]
    assert gated.endpoints.keys() == {disabled.id, healthy.id}
    why = {waiting.id: blocked for waiting, blocked in gated.blocked}
    assert (why["dlv_0"].reason, why["dlv_0"].why) == ("the endpoint is paused: moves", None)
    assert (why["dlv_1"].reason, why["dlv_1"].why) == ("the endpoint is left alone after http_503", NotNow.OPEN)
    assert 29 < why["dlv_1"].seconds <= 30
    # The one that does not answer is looked at again when its exchanges have ended, even if very many wait
    assert (why["dlv_2"].age, why["dlv_2"].at_most, why["dlv_1"].at_most) == (4.0, LONGEST_EXCHANGE_S, math.inf)


def test_of_many_that_wait_for_an_endpoint_that_owes_answers_only_some_look_again_soon(bench: Bench) -> None:
    # Given two endpoints that do not answer, and more deliveries to one of them than it could take meanwhile
    crowded, other = bench.endpoint(), bench.endpoint()
    bench.exchanges.away |= {crowded.id: 4.0, other.id: 4.0}

    # When they are sorted, batch after batch
    blocked = [bench.gate.sort(raw(batch_to(*[crowded] * 40, other))).blocked for _ in range(4)]

    # Then the first hundred look again when its exchanges have ended and the rest waits like all that is held; the
    # other endpoint's are not counted with them
    most = [[why.at_most for _, why in batch] for batch in blocked]
    assert [batch[:-1].count(LONGEST_EXCHANGE_S) for batch in most] == [40, 40, SOON - 80, 0]
    assert [batch[-1] for batch in most] == [LONGEST_EXCHANGE_S] * 4
    assert {(why.reason, why.age) for batch in blocked for _, why in batch} == {
        ("the endpoint has too many pending responses", 4.0)
    }


def test_the_batches_of_a_busy_worker_share_what_was_read_of_healthy_endpoints(bench: Bench) -> None:
    # Given three endpoints that are sent to, and one that is paused
    one, two, three, paused = (bench.endpoint() for _ in range(4))
    bench.endpoints.set_state(paused.id, EndpointState.PAUSED)

    def asked(*endpoints: Endpoint) -> int:
        """Round trips for a batch to these, of a busy worker."""
        start = bench.store.round_trips
        gated = bench.gate.sort(raw(batch_to(*endpoints)), busy=True)
        assert gated.endpoints.keys() == {endpoint.id for endpoint in endpoints if endpoint is not paused}
        return bench.store.round_trips - start

    # When batches follow at once, then only who is new is asked for, and who is not sent to is each time
    assert [asked(one, two), asked(two, one), asked(one, three), asked(one, two, three)] == [1, 0, 1, 0]
    assert [asked(one, paused), asked(one, paused)] == [1, 1]

    # And nothing that a batch has failed at is old
    bench.gate.forget([two.id])
    assert [asked(one), asked(two)] == [0, 1]

    # And a worker with little to do asks each time
    before = bench.store.round_trips
    for _ in range(2):
        bench.gate.sort(raw(batch_to(one)))
    assert bench.store.round_trips - before == 2


def test_what_a_busy_worker_has_read_is_soon_read_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a busy worker that has just read an endpoint, which then fails elsewhere
    clock = [now()]
    monkeypatch.setattr("notifier.worker.endpoints.gate.now", lambda: clock[0])
    endpoint = bench.endpoint()
    bench.gate.sort(raw(batch_to(endpoint)), busy=True)
    bench.judging.judge(settled(batch_to(endpoint), "http_503", wait=30), bench.read(endpoint), {})

    # When the next batch comes at once, and one a moment later
    gated = []
    for moment in (0.0, FRESH_S):
        clock[0] += moment
        gated.append(bench.gate.sort(raw(batch_to(endpoint)), busy=True))

    # Then the later one waits
    assert [len(one.blocked) for one in gated] == [0, 1]


def test_what_has_expired_waits_for_nobody(bench: Bench) -> None:
    paused = bench.endpoint()
    bench.endpoints.set_state(paused.id, EndpointState.PAUSED)
    batch = batch_to(paused, expires=1.0)

    assert bench.gate.sort(raw(batch)).batch == batch


def test_one_delivery_probes_an_endpoint_whose_time_is_up_and_its_answer_decides(bench: Bench) -> None:
    # Given an endpoint that asked for a moment, which has passed
    endpoint = bench.endpoint()
    bench.open_for_a_moment(endpoint)

    # When two batches to it are sorted
    first, second = (bench.gate.sort(raw(batch_to(endpoint, endpoint))) for _ in range(2))

    # Then one delivery of the first may go
    assert first.batch is not None
    assert ids(first.batch.deliveries) == ["dlv_0"]
    assert [waiting.id for waiting, _ in first.blocked] == ["dlv_1"]
    assert second.batch is None

    # And when it was sent, the endpoint is well again and its held deliveries are looked for
    bench.judging.judge(settled(first.batch), first.endpoints, first.probes)
    assert bench.read(endpoint)[endpoint.id].breaker is None
    assert bench.index.due(10) == [endpoint.id]


def test_a_probe_that_never_left_is_given_to_the_next(bench: Bench) -> None:
    endpoint = bench.endpoint()
    bench.open_for_a_moment(endpoint)
    first = bench.gate.sort(raw(batch_to(endpoint)))

    # When the batch ends without having sent its probe
    bench.judging.judge([], first.endpoints, first.probes)

    # Then another batch may probe
    assert bench.gate.sort(raw(batch_to(endpoint))).probes.keys() == {endpoint.id}


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


def test_a_try_is_judged_once_however_often_the_batch_is_looked_at(bench: Bench) -> None:
    # Given a batch to one who fails, one who asks for time, and one who has not answered yet
    fails, busy, hangs = bench.endpoint(), bench.endpoint(), bench.endpoint()
    endpoint_policy = judging_only(bench)
    batch = batch_to(fails, busy, hangs)
    gated = endpoint_policy.sort(raw(batch))
    every = [settled(batch, code)[place] for place, code in enumerate(("http_500", "http_503", "timeout"))]
    ready = [one.ready for one in every]

    # When it is judged while one is under way, and again when that one has timed out
    endpoint_policy.judge(gated, ready, every[:2])
    early = bench.read(fails, busy, hangs)
    endpoint_policy.judge(gated, ready, every)

    # Then who asks for time is left alone at once, and nobody's try counts twice
    breakers = [early[one.id].breaker for one in (fails, busy, hangs)]
    assert [breaker and (breaker.failed, breaker.is_open) for breaker in breakers] == [(1, False), (1, True), None]
    breakers = [bench.read(one)[one.id].breaker for one in (fails, busy, hangs)]
    assert [breaker and breaker.failed for breaker in breakers] == [1, 1, 1]


def test_a_probe_that_is_under_way_is_judged_with_its_answer_and_not_before(bench: Bench) -> None:
    # Given a batch with the probe of an open endpoint, which has not answered, and another delivery, which has
    opened, other = bench.endpoint(), bench.endpoint()
    bench.open_for_a_moment(opened)
    endpoint_policy = judging_only(bench)
    batch = batch_to(opened, other)
    gated = endpoint_policy.sort(raw(batch))
    probe, answered = settled(batch)

    # When it is judged while the probe is under way
    endpoint_policy.judge(gated, [probe.ready, answered.ready], [answered])

    # Then the endpoint is still being probed, and closes when the answer is there
    breaker = bench.read(opened)[opened.id].breaker
    assert breaker is not None
    assert breaker.probe
    endpoint_policy.judge(gated, [probe.ready, answered.ready], [probe, answered])
    assert bench.read(opened)[opened.id].breaker is None
