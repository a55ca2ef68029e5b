"""What became of claimed deliveries, and reopening ended ones for a replay, as operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from notifier.domain.delivery import OPEN, Attempt, Status
from notifier.domain.rule import Channel
from notifier.domain.value import value
from notifier.domain.waiting import Waiting
from notifier.errors import InvalidBatch
from notifier.storage import keys
from notifier.storage.claims import ClaimRequest, person_of
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.feed import Bounds, Ended, feed_calls, person_letters
from notifier.storage.grouped import Work, run
from notifier.storage.packed import hint_for_sent
from notifier.storage.packs import LONGEST_S, Packs, Shelf, field_of, is_packable, state_calls, take_state, writing
from notifier.storage.records import (
    ASK,
    ATTEMPTS_KEPT,
    clean,
    encode_attempt,
    encode_head,
    milliseconds,
    stamp,
)
from notifier.storage.unpacking import read, unpack

#: What the script says of a record that is not there and was asked for without its head.
_LOST = -1


@value
class Record:
    """One delivery's new status, and the attempt that led to it."""

    id: str
    fence: int
    status: Status
    reason: str = ""
    attempt: Attempt | None = None
    next_try: float | None = None
    """Unix seconds."""
    template: str = ""
    """Content hash; empty keeps the one that is there."""
    claimed: ClaimRequest | None = None
    """What was claimed: with it a record that Redis lost meanwhile is written whole."""
    person: str | None = None
    """`ids.recipient_key` of who gets it, where ``claimed`` does not say."""


def record(
    packs: Packs,
    records: Sequence[Record],
    *,
    now: float,
    retention: Callable[[Status], float],
    bounds: Bounds | None = None,
) -> Operation[list[bool]]:
    """Write records in one round trip, two where Redis lost one.

    False means the fence was stale or the table does not allow the move.

    *Sent* is written whatever the fence and the status: it is the truth, and the one exception to the table. What ends
    is noted for the history where there are ``bounds`` for that.
    """
    yield from writing(packs)
    # A failed delivery stays longer than its event would, and people look from one to the other.
    failed = {r.claimed.event.key: retention(r.status) for r in records if r.claimed and r.status is not Status.SENT}
    work = _work(packs, records, now, retention)
    kept = [call for event, keep in failed.items() for call in _keep_event(packs, event, keep)]
    replies = yield from run(packs, work, beside=kept, ahead=_feed(records, bounds) if bounds else ())
    packed = [event for event, reply in zip(failed, replies[::2], strict=True) if not reply]
    if packed and any((yield from unpack(packs, [packs.event(event) for event in packed]))):
        yield [call for event in packed for call in _keep_event(packs, event, failed[event])]
    lost = [i for i, one in enumerate(records) if work.answers[i] == _LOST and one.claimed is not None]
    if lost:
        again = _work(packs, [records[i] for i in lost], now, retention, are_lost=True)
        yield from run(packs, again)
        for i, reply in zip(lost, again.answers, strict=True):
            work.answers[i] = reply
    return [reply == 1 for reply in work.answers]


def _feed(records: Sequence[Record], bounds: Bounds) -> list[Call]:
    ended = [Ended(one.id, _person(one)) for one in records if one.status not in OPEN]
    return feed_calls(ended, bounds)


def _person(one: Record) -> str:
    key = one.person or (person_of(one.claimed.delivery.to) if one.claimed else None)
    return person_letters(key) if key else ""


def _keep_event(packs: Packs, event: str, seconds: float) -> list[Call]:
    keep = milliseconds(seconds)
    return [command("PEXPIRE", packs.event(event), keep), command("PEXPIRE", packs.event_chunks(event), keep)]


def _work(
    packs: Packs,
    records: Sequence[Record],
    now: float,
    retention: Callable[[Status], float],
    *,
    are_lost: bool = False,
) -> Work[Record]:
    present = stamp(now)

    def call(shelf: Shelf, group: Sequence[Record]) -> Call:
        places, arguments = shelf.opening()
        arguments += [present, ATTEMPTS_KEPT]
        is_packing = shelf.is_packing and retention(Status.SENT) <= LONGEST_S
        for one in group:
            letters = keys.delivery_letters(one.id)
            attempt = encode_attempt(one.attempt) if one.attempt else ""
            places.append(shelf.delivery(letters))
            places += shelf.buckets(letters)
            arguments += [
                one.status,
                one.fence,
                milliseconds(one.next_try) if one.next_try is not None else "",
                one.template,
                clean(one.reason),
                attempt,
                (one.claimed.head() if are_lost else ASK) if one.claimed else "",
                milliseconds(retention(one.status)),
                field_of(letters, is_event=False),
                _hint(shelf, one, letters) if is_packing and one.status is Status.SENT else "",
            ]
        return run_script("record", places, *arguments)

    return Work(records, call, lambda one: packs.delivery(one.id))


def _hint(shelf: Shelf, one: Record, letters: str) -> str:
    """For what its bucket keeps of a delivery that was sent at the first try, as most are.

    Empty for others: what came before is known to Redis alone, so they stay records.
    """
    claimed, attempt = one.claimed, one.attempt
    if claimed is None or attempt is None or attempt.number != 1 or not one.template or one.reason:
        return ""
    if not is_packable(letters):
        return ""
    how = (str(one.fence), one.template, claimed.delivery.rule, claimed.channel)
    hint = hint_for_sent(shelf.words, how, attempt, claimed.delivery.to)
    return shelf.generation + hint if hint else ""


def hold(
    packs: Packs, waiting: Sequence[tuple[Waiting, str]], *, now: float, open_for: float
) -> Operation[list[Status]]:
    """Write that deliveries wait for their endpoint, without claiming them: held, unless somebody sends it or it ended.

    The record of one that Redis lost is written anew, so that what is held is always visible.
    """
    present, keep = stamp(now), milliseconds(open_for)

    def write(one: Waiting, reason: str, head: str = ASK) -> Call:
        return run_script("hold", [packs.delivery(one.id)], present, clean(reason), head, keep, one.attempt)

    unread = [] if packs.is_writing else packs.unread
    replies = yield [*(write(one, reason) for one, reason in waiting), *(state_calls(unread) if unread else ())]
    if unread:
        take_state(unread, replies[len(waiting) :])
        del replies[len(waiting) :]
    lost = [i for i, reply in enumerate(replies) if reply == "lost"]
    if lost and (packs.is_used or not unread):
        sent = yield from _sent(packs, [waiting[i][0].id for i in lost])
        for i in lost:
            replies[i] = Status.SENT if waiting[i][0].id in sent else replies[i]
    if lost := [i for i, reply in enumerate(replies) if reply == "lost"]:
        again = yield [write(*waiting[i], head=_head(waiting[i][0])) for i in lost]
        for i, reply in zip(lost, again, strict=True):
            replies[i] = reply
    return [Status(reply) for reply in replies]


def _sent(packs: Packs, ids: Sequence[str]) -> Operation[set[str]]:
    """Which of these are packed: they were sent, and that is final."""
    texts = yield from read(packs, [packs.delivery(i) for i in ids])
    return {i for i, text in zip(ids, texts, strict=True) if text is not None}


def _head(waiting: Waiting) -> str:
    try:
        delivery, event = waiting.read()
    except InvalidBatch:
        # Its reader will say so; until then somebody may ask why nothing happens.
        return encode_head("", "", Channel.WEBHOOK, "", 0.0)
    return ClaimRequest(delivery, Channel.WEBHOOK, event).head()


def skip(
    packs: Packs, ids: Sequence[str], reason: str, *, now: float, keep: float, bounds: Bounds | None = None
) -> Operation[list[Status]]:
    """End held deliveries without sending them; says what each is now. One that is no longer held stays as it is."""
    sent = yield from _sent(packs, ids)
    ahead = feed_calls([Ended(i) for i in ids], bounds) if bounds else []
    skips = [run_script("skip", [packs.delivery(i)], stamp(now), clean(reason), milliseconds(keep)) for i in ids]
    replies = (yield [*ahead, *skips])[len(ahead) :]
    return [Status.SENT if i in sent else Status(reply) for i, reply in zip(ids, replies, strict=True)]


def reopen(packs: Packs, ids: Sequence[str], *, now: float, open_for: float) -> Operation[list[bool]]:
    """Make refused, exhausted, suppressed and skipped deliveries queued again, with a fresh schedule (tries 0).

    True means: publish it. That includes deliveries still on their way and unknown ones, because the parked copy may be
    the only one and claims keep a second copy harmless. False: it was sent or has expired.
    """
    replies = yield [run_script("reopen", [packs.delivery(i)], stamp(now), milliseconds(open_for)) for i in ids]
    # Asked after the records: what is sent meanwhile goes from there to a bucket.
    sent = yield from _sent(packs, [i for i, reply in zip(ids, replies, strict=True) if reply == 1])
    return [reply == 1 and i not in sent for i, reply in zip(ids, replies, strict=True)]


def rejoin(packs: Packs, ids: Sequence[str], reason: str, *, now: float, open_for: float) -> Operation[None]:
    """Items that ended with their digest wait for it again, because it is replayed; sent or expired ones stay so."""
    present, keep = stamp(now), milliseconds(open_for)
    sent = yield from _sent(packs, ids)
    calls: list[Call] = []
    for i in ids:
        if i not in sent:
            calls.append(run_script("reopen", [packs.delivery(i)], present, keep))
            calls.append(run_script("hold", [packs.delivery(i)], present, clean(reason), ASK, keep, 0))
    if calls:
        yield calls
