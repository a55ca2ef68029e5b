"""Send a whole batch in the engine: every outcome is decided and handed to the recorder the moment it is known."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from notifier import metrics
from notifier.channels.email.channel import EmailChannel, OutgoingEmail
from notifier.channels.webhook.channel import WebhookChannel
from notifier.domain.outcome import Deferred, NotTried, Outcome
from notifier.domain.retry import EMAIL_SCHEDULE, WEBHOOK_SCHEDULE, RetrySchedule
from notifier.domain.rule import Channel, Rule
from notifier.domain.value import value
from notifier.engine.bridge import Engine
from notifier.engine.priority_semaphore import HANDICAP
from notifier.engine.smtp import Mail
from notifier.errors import ClaimLost
from notifier.logs import get
from notifier.storage.ledger import Record
from notifier.worker.batch.preparer import Ready, Work
from notifier.worker.batch.recorder import Receipt, Recorder, now
from notifier.worker.decision import UNCERTAIN, Decision, Try, decide

_log = get("worker")

#: Seconds a batch of webhooks waits for its unanswered ones before it leaves them behind; and for those to endpoints
#: that are known to be slow just now.
PATIENCE_S, SLOW_PATIENCE_S = 1.0, 0.05
#: Seconds beyond the channels' own deadlines before a batch is cancelled and handed back: they end by themselves, and
#: know better how, so this is for bugs.
DEADLINE_SLACK_S = 10.0


@dataclass(frozen=True, slots=True)
class Schedules:
    """The retry schedules of rules that name none."""

    email: RetrySchedule = EMAIL_SCHEDULE
    webhook: RetrySchedule = WEBHOOK_SCHEDULE

    def of(self, rule: Rule) -> RetrySchedule:
        """The schedule a rule's deliveries follow."""
        if rule.retry is not None:
            return rule.retry
        return self.webhook if rule.channel is Channel.WEBHOOK else self.email


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


class Flight:
    """One delivery under way. ``receipt`` is exchanged in the engine's loop when its batch leaves it behind."""

    __slots__ = ("left", "ready", "receipt", "settled")

    def __init__(self, ready: Ready, receipt: Receipt) -> None:
        self.ready = ready
        self.receipt = receipt
        self.left = False
        self.settled: Settled | None = None


#: Called in the engine's loop for a delivery that is left behind; gives the receipt of its record.
Leave = Callable[[Flight], Receipt]


#: What is still waited for, by what is under way.
Later = dict[asyncio.Task[None], Flight]


class Sender:
    """Hands prepared deliveries to the engine and turns outcomes into decisions and records."""

    def __init__(
        self,
        engine: Engine,
        email: EmailChannel,
        webhook: WebhookChannel,
        recorder: Recorder,
        *,
        schedules: Schedules,
        worker: str,
        longest_send: float,
    ) -> None:
        self._engine = engine
        self._email = email
        self._webhook = webhook
        self._recorder = recorder
        self._schedules = schedules
        self._worker = worker
        self.longest_batch = longest_send + DEADLINE_SLACK_S
        """Seconds after which every batch has ended; a claim's lease is longer, so nobody takes over what runs."""

    def send(
        self,
        ready: Sequence[Ready],
        receipt: Receipt,
        leave: Leave,
        meanwhile: Callable[[Sequence[Settled]], None],
        *,
        handicap: float = 0.0,
    ) -> list[Settled]:
        """Send all of them at once; returns those that have ended, in the same order.

        ``handicap``: seconds they let more urgent ones past where they wait for a connection (`priority_semaphore`).
        Mails have all ended then. Webhooks whose endpoint is slow to answer are handed to ``leave`` and go on; while
        they are waited for, ``meanwhile`` is told of those that have an answer.
        """
        if not ready:
            return []
        spread = random.uniform(-1, 1)  # noqa: S311 - jitter, not a secret
        flights = [Flight(one, receipt) for one in ready]
        in_flight = metrics.child(metrics.IN_FLIGHT, ready[0].work.request.channel)
        in_flight.inc(len(ready))

        async def send_all() -> Later | None:
            HANDICAP.set(handicap)
            if ready[0].work.request.channel is Channel.WEBHOOK:
                return await self._until_answered(flights, spread)
            await self._until_ended(flights, spread)
            return None

        try:
            later = self._engine.run(send_all, self.longest_batch)
            if later is not None:
                meanwhile([flight.settled for flight in flights if flight.settled is not None])
                self._engine.run(lambda: self._until_slow(later, leave), self.longest_batch)
        finally:
            left = sum(1 for flight in flights if flight.left)
            in_flight.dec(len(ready) - left)
        if left:
            receipt.excuse(left)
        settled = [flight.settled for flight in flights if flight.settled is not None and not flight.left]
        count_tries(settled)
        return settled

    async def _until_ended(self, flights: Sequence[Flight], spread: float) -> None:
        """Mails that may go at once go together; one with a time or a mark of its own goes by itself."""
        together = [(flight, mail) for flight in flights if (mail := self._joins(flight)) is not None]
        joined = {id(flight) for flight, _ in together}
        alone = [self._send_one(flight, spread) for flight in flights if id(flight) not in joined]
        if not alone:
            await self._send_together(together, spread)
        else:
            await asyncio.gather(self._send_together(together, spread), *alone)

    def _joins(self, flight: Flight) -> Mail | None:
        ready = flight.ready
        if ready.work.start or ready.work.rule.uncertain == "park" or not isinstance(ready.outgoing, OutgoingEmail):
            return None
        try:
            return self._email.check(ready.outgoing)
        except Exception:  # `_send_one` meets it again and says what is wrong with it
            return None

    async def _send_together(self, together: Sequence[tuple[Flight, Mail]], spread: float) -> None:
        def ended(place: int, outcome: Outcome | NotTried, seconds: float) -> None:
            moment = now()
            self._settle(together[place][0], outcome, moment - seconds, moment, spread)

        try:
            await self._email.send_all([mail for _, mail in together], ended)
        except Exception as error:
            # A bug: nobody knows which of the others have left.
            _log.exception("deliveries.crashed", extra={"fields": {"deliveries": len(together)}})
            unknown = Deferred("internal_error", f"{type(error).__name__}: {error}", uncertain=True)
            for flight, _ in together:
                if flight.settled is None:
                    self._settle(flight, unknown, now(), now(), spread)

    async def _until_answered(self, flights: Sequence[Flight], spread: float) -> Later | None:
        """What has no answer yet after a moment; None when all have one, which is usual."""
        loop = asyncio.get_running_loop()
        tasks = {loop.create_task(self._send_one(flight, spread)): flight for flight in flights}
        await asyncio.wait(tasks, timeout=SLOW_PATIENCE_S)
        return _unanswered(tasks) or None

    async def _until_slow(self, later: Later, leave: Leave) -> None:
        loop = asyncio.get_running_loop()
        # What a rate limit holds back for a moment is not slow.
        until = loop.time() + PATIENCE_S + max(0.0, *(flight.ready.work.start - now() for flight in later.values()))
        waiting = {task for task, flight in later.items() if not self._is_slow(flight)}
        while waiting and loop.time() < until:
            await asyncio.wait(waiting, timeout=SLOW_PATIENCE_S)
            waiting = {task for task in waiting if not task.done() and not self._is_slow(later[task])}
        for flight in _unanswered(later).values():
            flight.left = True
            flight.receipt = leave(flight)

    def _is_slow(self, flight: Flight) -> bool:
        outgoing = flight.ready.outgoing
        return not isinstance(outgoing, OutgoingEmail) and self._webhook.is_slow(outgoing.endpoint)

    async def _send_one(self, flight: Flight, spread: float) -> None:
        ready = flight.ready
        if ready.work.start:
            await asyncio.sleep(ready.work.start - now())
        started = now()
        expires = ready.work.delivery.expires
        if expires is not None and started >= expires:
            outcome: Outcome | NotTried = NotTried("expired", "its rate limit let it go too late", 0.0)
        else:
            outcome = await self._outcome(ready)
        self._settle(flight, outcome, started, now(), spread)

    def _settle(self, flight: Flight, outcome: Outcome | NotTried, started: float, ended: float, spread: float) -> None:
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
                schedule=self._schedules.of(work.rule),
                expires=work.delivery.expires,
                spread=spread,
                park_uncertain=work.rule.uncertain == "park",
            ),
        )
        flight.settled = Settled(ready, decision)
        if flight.left:
            count_tries([flight.settled])
        self._recorder.submit(to_record(flight.settled), flight.receipt)

    async def _outcome(self, ready: Ready) -> Outcome | NotTried:
        """What the channel answered, within its own deadline: a second clock for each delivery cost 5 % of its CPU."""
        try:
            if isinstance(ready.outgoing, OutgoingEmail):
                mark = self._mark(ready.work) if ready.work.rule.uncertain == "park" else None
                return await self._email.send(ready.outgoing, before_final_dot=mark)
            return await self._webhook.send(ready.outgoing, again=ready.work.rule.uncertain != "park")
        except ClaimLost as error:
            # Recording this is refused by its stale fence, so the other worker's outcome stands.
            return Deferred("claim_lost", str(error))
        except Exception as error:
            # A bug in a channel: the delivery is tried again and its neighbours go on; the log has the trace.
            _log.exception("delivery.crashed", extra={"fields": {"delivery": ready.work.delivery.id}})
            return Deferred("internal_error", f"{type(error).__name__}: {error}", uncertain=True)

    def _mark(self, work: Work) -> Callable[[], Awaitable[None]]:
        async def marked() -> None:
            loop = asyncio.get_running_loop()
            done: asyncio.Future[bool] = loop.create_future()

            def tell(held: bool) -> None:
                loop.call_soon_threadsafe(_resolve, done, held)

            self._recorder.mark(work.delivery.id, work.claim.fence, tell)
            if not await done:
                raise ClaimLost(f"{work.delivery.id} was taken over by another worker; this copy is not sent")

        return marked


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


def _unanswered(tasks: Later) -> Later:
    """Those under way; raises what one of the others was ended by, which is a bug."""
    for task in tasks:
        if task.done():
            task.result()
    return {task: flight for task, flight in tasks.items() if not task.done()}


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
