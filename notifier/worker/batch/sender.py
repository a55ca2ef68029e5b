"""Send a whole batch in the engine: every outcome is decided and handed to the recorder the moment it is known."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from notifier import metrics
from notifier.channels.port import DeliveryChannel, Ready, Work
from notifier.domain.outcome import Deferred, NotTried, Outcome
from notifier.domain.value import value
from notifier.engine.bridge import Engine
from notifier.engine.priority_semaphore import HANDICAP
from notifier.errors import ClaimLost
from notifier.logs import get
from notifier.storage.ledger import Record
from notifier.worker.batch.recorder import Receipt, Recorder, now
from notifier.worker.decision import UNCERTAIN, Decision, Try, decide

_log = get("worker")

#: Seconds a batch waits for deliveries that are pending before it leaves them behind, of channels that leave any; and
#: for those to receivers that are known to be slow just now.
PATIENCE_S, SLOW_PATIENCE_S = 1.0, 0.05
#: Seconds beyond the channels' own deadlines before a batch is cancelled and handed back: they end by themselves, and
#: know better how, so this is for bugs.
DEADLINE_SLACK_S = 10.0


@value
class Settled:
    """One delivery whose try has ended, with what was decided."""

    ready: Ready
    decision: Decision

    @property
    def work(self) -> Work:
        """The delivery."""
        return self.ready.work

    @property
    def tries(self) -> int:
        """Tries spent so far, this one included if it was one."""
        return self.work.claim.tries + (self.decision.attempt is not None)


#: The receipt of a delivery's record that has ended after its batch had left it behind. Called in the engine's loop.
Leave = Callable[[Settled], Receipt]


class _Flight:
    """One delivery under way."""

    __slots__ = ("left", "ready", "receipt", "settled")

    def __init__(self, ready: Ready, receipt: Receipt) -> None:
        self.ready = ready
        self.receipt = receipt
        self.left: Leave | None = None
        """When its batch has left it behind."""
        self.settled: Settled | None = None


class _Trip:
    """A batch under way, in the engine's loop."""

    __slots__ = ("_awaited", "_nobody", "channel", "flights", "spread")

    def __init__(self, channel: DeliveryChannel, flights: Sequence[_Flight], spread: float) -> None:
        self.channel = channel
        self.flights = flights
        self.spread = spread
        self._awaited = set[_Flight]()
        self._nobody: asyncio.Future[None] | None = None

    def ended(self, flight: _Flight) -> None:
        """One has ended."""
        if self._nobody is not None:
            self._awaited.discard(flight)
            if not self._awaited and not self._nobody.done():
                self._nobody.set_result(None)

    def pending(self) -> list[_Flight]:
        """Those that have not."""
        return [flight for flight in self.flights if flight.settled is None]

    async def wait_for(self, flights: Sequence[_Flight], seconds: float) -> None:
        """Until all of them have ended, for so long at most."""
        self._awaited = set(flights)
        self._nobody = asyncio.get_running_loop().create_future()
        if self._awaited:
            await asyncio.wait([self._nobody], timeout=seconds)
        self._nobody = None


class Sender:
    """Hands prepared deliveries to the engine and turns outcomes into decisions and records."""

    def __init__(self, engine: Engine, recorder: Recorder, *, worker: str, longest_send: float) -> None:
        self._engine = engine
        self._recorder = recorder
        self._worker = worker
        self.longest_batch = longest_send + DEADLINE_SLACK_S
        """Seconds after which every batch has ended; a claim's lease is longer, so nobody takes over what runs."""
        # The loop knows its tasks by weak references.
        self._tasks = set[asyncio.Task[None]]()

    def send(
        self,
        channel: DeliveryChannel,
        ready: Sequence[Ready],
        receipt: Receipt,
        leave: Leave,
        meanwhile: Callable[[Sequence[Settled]], None],
        *,
        handicap: float = 0.0,
    ) -> list[Settled]:
        """Send all of them at once; returns those that have ended, in the same order.

        ``handicap``: seconds they let more urgent ones past where they wait for a connection (`priority_semaphore`).
        Of a channel that leaves none behind all have ended then. Of others, those whose receiver is slow are handed to
        ``leave`` and go on; while they are waited for, ``meanwhile`` is told of those that have ended.
        """
        if not ready:
            return []
        spread = random.uniform(-1, 1)  # noqa: S311 - jitter, not a secret
        flights = [_Flight(one, receipt) for one in ready]
        trip = _Trip(channel, flights, spread)
        in_flight = metrics.child(metrics.IN_FLIGHT, channel.name)
        in_flight.inc(len(ready))

        async def send_all() -> bool:
            HANDICAP.set(handicap)
            if channel.leaves_pending:
                return await self._until_answered(trip)
            await self._until_ended(trip)
            return True

        try:
            if not self._engine.run(send_all, self.longest_batch):
                meanwhile([flight.settled for flight in flights if flight.settled is not None])
                self._engine.run(lambda: self._until_slow(trip, leave), self.longest_batch)
        finally:
            left = sum(1 for flight in flights if flight.left is not None)
            in_flight.dec(len(ready) - left)
        if left:
            receipt.excuse(left)
        settled = [flight.settled for flight in flights if flight.settled is not None and flight.left is None]
        count_tries(settled)
        return settled

    async def _until_ended(self, trip: _Trip) -> None:
        flights = trip.flights

        def ended(place: int, outcome: Outcome | NotTried, started: float, moment: float) -> None:
            # Once: a bug below may have ended it already, while others of its batch went on.
            if (flight := flights[place]).settled is None:
                self._settle(trip, flight, outcome, started, moment)

        try:
            await trip.channel.send_all([flight.ready for flight in flights], ended, self._leaving)
        except Exception as error:
            # A bug of the channel: nobody knows which of the others have left.
            _log.exception("deliveries.crashed", extra={"fields": {"deliveries": len(flights)}})
            unknown = Deferred("internal_error", f"{type(error).__name__}: {error}", uncertain=True)
            for flight in trip.pending():
                self._settle(trip, flight, unknown, now(), now())

    async def _until_answered(self, trip: _Trip) -> bool:
        """Whether all have an answer after a moment, which is usual."""
        task = asyncio.get_running_loop().create_task(self._until_ended(trip))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await trip.wait_for(trip.flights, SLOW_PATIENCE_S)
        return not trip.pending()

    async def _until_slow(self, trip: _Trip, leave: Leave) -> None:
        loop = asyncio.get_running_loop()
        # What a rate limit delays for a moment is not slow.
        later = max((flight.ready.work.start - now() for flight in trip.pending()), default=0.0)
        until = loop.time() + PATIENCE_S + max(0.0, later)
        while loop.time() < until:
            prompt = [flight for flight in trip.pending() if not trip.channel.is_slow(flight.ready)]
            if not prompt:
                break
            await trip.wait_for(prompt, SLOW_PATIENCE_S)
        for flight in trip.pending():
            flight.left = leave

    def _settle(self, trip: _Trip, flight: _Flight, outcome: Outcome | NotTried, started: float, ended: float) -> None:
        ready = flight.ready
        work = ready.work
        decision = decide(
            outcome,
            Try(
                number=work.claim.number,
                earlier=work.claim.earlier,
                started=started,
                ended=ended,
                worker=self._worker,
                schedule=work.rule.retry or trip.channel.schedule,
                expires=work.delivery.expires,
                spread=trip.spread,
                park_uncertain=work.rule.uncertain == "park",
            ),
        )
        flight.settled = Settled(ready, decision)
        receipt = flight.receipt
        if flight.left is not None:
            count_tries([flight.settled])
            receipt = flight.left(flight.settled)
        self._recorder.submit(to_record(flight.settled), receipt)
        trip.ended(flight)

    async def _leaving(self, work: Work) -> None:
        """Note that a delivery may be gone from now on. Raises `ClaimLost`: it must not leave."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = loop.create_future()

        def tell(held: bool) -> None:
            loop.call_soon_threadsafe(_resolve, done, held)

        self._recorder.mark(work.delivery.id, work.claim.fence, tell)
        if not await done:
            raise ClaimLost(f"{work.delivery.id} was taken over by another worker; this copy is not sent")


def count_tries(settled: Sequence[Settled]) -> None:
    """Metrics of tries, those of a batch together: one at a time they are 2 % of a mail."""
    codes = Counter[tuple[str, str]]()
    seconds = defaultdict[tuple[str, str], list[float]](list)
    for one in settled:
        if (attempt := one.decision.attempt) is not None:
            channel = one.work.rule.kind
            codes[channel, metrics.code_class(attempt.code.removeprefix(UNCERTAIN))] += 1
            seconds[channel, one.decision.status].append(attempt.duration)
    for labels, number in codes.items():
        metrics.child(metrics.ATTEMPTS, *labels).inc(number)
    for labels, took in seconds.items():
        metrics.observe_all(metrics.child(metrics.ATTEMPT_SECONDS, *labels), took)


def _resolve(done: asyncio.Future[bool], held: bool) -> None:
    if not done.done():
        done.set_result(held)


def to_record(settled: Settled) -> Record:
    """What the ledger keeps of a decision."""
    decision = settled.decision
    return Record(
        id=settled.work.delivery.id,
        fence=settled.work.claim.fence,
        status=decision.status,
        reason=decision.reason,
        attempt=decision.attempt,
        next_try=decision.next_try,
        template=settled.ready.template,
        claimed=settled.work.request,
    )
