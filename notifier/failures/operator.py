"""`Operator`: what people do with failures: list, show, count first, replay at a rate, discard, rebuild the index."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from celery import Celery

from notifier.domain import topology
from notifier.domain.parked import Parked
from notifier.errors import NotFound
from notifier.failures.dead_letters import DeadLetters
from notifier.failures.lifting import Lifting
from notifier.failures.payload import Payload, Unseen
from notifier.failures.redrive import Redrive, Sparing, Visitor, Walked
from notifier.failures.replaying import Pace, Replay
from notifier.failures.turns import turn_at
from notifier.failures.visitors import Discard, Finding, Keep
from notifier.failures.windows import WINDOW
from notifier.logs import get, wide
from notifier.storage.ledger import Ledger
from notifier.storage.parked import ParkedFilter, ParkedIndex, ParkedPage
from notifier.storage.recipients import Recipients
from notifier.storage.suppressions import Suppressions

_log = get("failures")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a replay or discard did, or would do."""

    chosen: int
    """Entries the filter matched in the index."""
    done: int = 0
    already_sent: int = 0
    """Entries whose delivery had been sent or queued meanwhile; they were dropped from the queue, not sent again."""
    missing: int = 0
    """Entries the index knew and no queue held: somebody else took them."""
    remaining: int = 0
    """Entries that were not reached in the time that was given."""
    again_after: float = 0.0
    """Seconds after which the next of these may be sent at the rate that was asked for."""


class Operator:
    """One per API process or CLI command."""

    def __init__(
        self, app: Celery, ledger: Ledger, index: ParkedIndex, suppressions: Suppressions, recipients: Recipients
    ) -> None:
        self._app = app
        self._ledger = ledger
        self._index = index
        self._lifting = Lifting(suppressions, recipients)

    def search(self, chosen: ParkedFilter, *, limit: int = 50, after: str = "") -> ParkedPage:
        """A page of what is parked, newest first."""
        return self._index.search(chosen, limit=limit, after=after)

    def show(self, identity: str) -> Parked:
        """One entry. Raises `NotFound`."""
        found = self._index.get(identity)
        if found is None:
            raise NotFound(f"{identity} is not in a failure queue")
        return found

    def look(self, identity: str, seconds: float) -> Payload | Unseen:
        """What was published for an entry; whoever shows it says who looked. Raises `NotFound`.

        Its shelf is walked until it is found, because looking must not eat a message's delivery limit; after about
        ``seconds`` that ends, and the next call goes on from there.
        """
        entry = self.show(identity)
        finding = Finding(identity, entry.place)
        ends = time.monotonic() + seconds
        walked = self._walk(
            Redrive(self._app),
            entry.place,
            finding,
            ends,
            enough=lambda: finding.found is not None or time.monotonic() > ends,
        )
        if finding.found is not None:
            return Payload.of(finding.found)
        if walked.whole:
            raise NotFound(f"{identity} is not in {entry.queue} any more: somebody took it, or moves it just now")
        return Unseen(walked.remaining)

    def payload(self, identity: str) -> Payload:
        """As `look`, for whoever has all the time it takes."""
        # Something is left unseen only where a walk has lost its turn.
        while isinstance(looked := self.look(identity, math.inf), Unseen):
            pass
        return looked

    def unmatched(self) -> list[tuple[str, int]]:
        """Types of events no rule wanted, with how many came."""
        return self._ledger.unmatched()

    def counts(self) -> dict[tuple[str, str], int]:
        """(queue, cause) → how many."""
        return self._index.counts()

    def unindexed(self) -> dict[str, int]:
        """Queue → messages the broker holds beyond what the index knows, such as dead letters no consumer took yet."""
        indexed: dict[str, int] = {}
        for (queue, _), count in self._index.counts().items():
            indexed[queue] = indexed.get(queue, 0) + count
        depths = Redrive(self._app).depths()
        return {q: depth - indexed.get(q, 0) for q, depth in depths.items() if depth > indexed.get(q, 0)}

    def ids(self, chosen: ParkedFilter) -> list[str]:
        """Ids of every entry a filter matches, newest first."""
        return list(self._index.ids(chosen))

    def count(self, chosen: ParkedFilter) -> int:
        """How many entries a filter matches: shown before anything is done."""
        return self._index.count(chosen)

    def replay(
        self,
        chosen: ParkedFilter,
        *,
        rate: float = 0,
        seconds: float = math.inf,
        progress: Progress = lambda d, t: None,
    ) -> Summary:
        """Send the chosen entries again, at most ``rate`` a second (0 is no limit); what was sent stays sent.

        Ends after about ``seconds``, with what remains.

        An address that was suppressed because this very delivery bounced is written to again: asking for the replay
        says that the cause is gone. Every other part of its suppression stays, and so does a bounce that came later.
        """
        action = Replay(self._ledger, self._lifting, Pace(rate))
        return self._redrive(chosen, action, seconds, progress)

    def discard(
        self,
        chosen: ParkedFilter,
        *,
        everywhere: bool = False,
        seconds: float = math.inf,
        progress: Progress = lambda d, t: None,
    ) -> Summary:
        """Drop the chosen entries for good; the ledger keeps that they failed. ``seconds``: see `replay`.

        ``everywhere`` drops copies too, which the index knows nothing of: a worker that is killed after it has parked a
        batch leaves it to another one, which may put it on another shelf.
        """
        return self._redrive(chosen, Discard(), seconds, progress, everywhere=everywhere)

    def reindex(self, *, progress: Progress = lambda d, t: None) -> int:
        """Rebuild the index from the queues themselves; returns the entries found."""
        redrive = Redrive(self._app)
        redrive.park_dead_letters(DeadLetters(self._ledger, self._index))
        found = 0
        for queue in topology.FAILURE_QUEUES:
            before = self._index.ids(ParkedFilter(queue=queue))
            seen: list[Parked] = []
            for place in topology.places(queue):
                while not (
                    walked := self._walk(redrive, place, Keep(), math.inf, reread=True, progress=progress)
                ).whole:
                    pass  # it has lost its turn, and begins again
                seen += [entry.at(place) for entry in walked.entries]
            # What was parked during the walks is in the index and was not seen: it stays.
            self._index.remove(sorted(before.keys() - {entry.id for entry in seen}))
            self._index.add(seen)
            found += len(seen)
        return found

    def _walk(
        self,
        redrive: Redrive,
        place: str,
        visitor: Visitor | Sparing,
        ends: float,
        *,
        reread: bool = False,
        enough: Callable[[], bool] = lambda: False,
        at_most: int = WINDOW,
        progress: Progress = lambda d, t: None,
    ) -> Walked:
        """`Redrive.walk`, one at a time for each place."""
        with turn_at(self._index, place, ends) as turn:
            if turn is None:
                return Walked(remaining=max(1, redrive.depth(place)))
            return redrive.walk(
                place,
                visitor,
                reread=reread,
                enough=lambda: enough() or turn.is_lost,
                at_most=at_most,
                progress=progress,
            )

    def _redrive(
        self,
        chosen: ParkedFilter,
        action: Replay | Discard,
        seconds: float,
        progress: Progress,
        *,
        everywhere: bool = False,
    ) -> Summary:
        ends = time.monotonic() + seconds

        def is_late() -> bool:
            return time.monotonic() + action.again_after > ends

        wanted = self._index.ids(chosen)
        places: dict[str, set[str]] = defaultdict(set)
        for identity, place in wanted.items():
            for where in topology.places(topology.queue_of(place)) if everywhere else (place,):
                places[where].add(identity)
        redrive = Redrive(self._app)
        missing = remaining = 0
        for place, ids in sorted(places.items()):
            expected = {identity for identity in ids if wanted[identity] == place}
            if is_late():
                remaining += len(expected)
                continue
            action.ids = ids
            before = self._index.seen(sorted(expected))
            walked = self._walk(
                redrive,
                place,
                action,
                ends,
                enough=is_late,
                at_most=action.at_most,
                progress=lambda _done, _total: progress(action.done + action.already_sent, len(wanted)),
            )
            unseen = expected - {entry.id for entry in walked.entries}
            # What a replay cannot send is still in its queue, and what failed again meanwhile is there anew: both must
            # stay visible, as what was not reached.
            kept = {entry.id for entry in walked.entries if not action.visit(entry)}
            if walked.whole:
                missing += len(unseen)
            else:
                remaining += len(unseen)
                kept |= unseen
            self._index.drop({identity: text for identity, text in before.items() if identity not in kept})
        again_after = action.again_after if remaining else 0.0
        summary = Summary(len(wanted), action.done, action.already_sent, missing, remaining, again_after)
        wide(_log, f"failures.{action.verb}", chosen=summary.chosen, done=summary.done)
        return summary


def by_ids(ids: Sequence[str]) -> ParkedFilter:
    """The filter that names entries one by one."""
    return ParkedFilter(ids=tuple(ids))
