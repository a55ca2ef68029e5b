"""What became of claimed deliveries, and reopening ended ones for a replay, as operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from notifier.domain.delivery import Attempt, Status
from notifier.domain.rule import Channel
from notifier.domain.value import value
from notifier.domain.waiting import Waiting
from notifier.errors import InvalidBatch
from notifier.storage import keys
from notifier.storage.claims import ClaimRequest
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.records import ASK, ATTEMPTS_KEPT, clean, encode_attempt, encode_head, milliseconds, stamp

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


def record(records: Sequence[Record], *, now: float, retention: Callable[[Status], float]) -> Operation[list[bool]]:
    """Write records in one round trip, two where Redis lost one.

    False means the fence was stale or the table does not allow the move.

    *Sent* is written whatever the fence and the status: it is the truth, and the one exception to the table.
    """
    calls = [_write(entry, now, retention(entry.status), ASK if entry.claimed else "") for entry in records]
    # A failed delivery stays longer than its event would, and people look from one to the other.
    failed = {r.claimed.event.key: retention(r.status) for r in records if r.claimed and r.status is not Status.SENT}
    calls += [command("PEXPIRE", keys.event(event), milliseconds(keep)) for event, keep in failed.items()]
    calls += [command("PEXPIRE", keys.event_chunks(event), milliseconds(keep)) for event, keep in failed.items()]
    replies = yield calls
    lost = [(i, one.claimed) for i, one in enumerate(records) if replies[i] == _LOST and one.claimed is not None]
    if lost:
        again = yield [_write(records[i], now, retention(records[i].status), claimed.head()) for i, claimed in lost]
        for (i, _), reply in zip(lost, again, strict=True):
            replies[i] = reply
    return [reply == 1 for reply in replies[: len(records)]]


def _write(entry: Record, now: float, keep: float, head: str) -> Call:
    return run_script(
        "record",
        [keys.delivery(entry.id)],
        entry.status,
        entry.fence,
        stamp(now),
        milliseconds(entry.next_try) if entry.next_try is not None else "",
        entry.template,
        clean(entry.reason),
        encode_attempt(entry.attempt) if entry.attempt else "",
        head,
        milliseconds(keep),
        ATTEMPTS_KEPT,
    )


def hold(waiting: Sequence[tuple[Waiting, str]], *, now: float, open_for: float) -> Operation[list[Status]]:
    """Write that deliveries wait for their endpoint, without claiming them: held, unless somebody sends it or it ended.

    The record of one that Redis lost is written anew, so that what is held is always visible.
    """
    present, keep = stamp(now), milliseconds(open_for)

    def write(one: Waiting, reason: str, head: str = ASK) -> Call:
        return run_script("hold", [keys.delivery(one.id)], present, clean(reason), head, keep, one.attempt)

    replies = yield [write(one, reason) for one, reason in waiting]
    if lost := [i for i, reply in enumerate(replies) if reply == "lost"]:
        again = yield [write(*waiting[i], head=_head(waiting[i][0])) for i in lost]
        for i, reply in zip(lost, again, strict=True):
            replies[i] = reply
    return [Status(reply) for reply in replies]


def _head(waiting: Waiting) -> str:
    try:
        delivery, event = waiting.read()
    except InvalidBatch:
        # Its reader will say so; until then somebody may ask why nothing happens.
        return encode_head("", "", Channel.WEBHOOK, "", 0.0)
    return ClaimRequest(delivery, Channel.WEBHOOK, event).head()


def skip(ids: Sequence[str], reason: str, *, now: float, keep: float) -> Operation[list[Status]]:
    """End held deliveries without sending them; says what each is now. One that is no longer held stays as it is."""
    replies = yield [run_script("skip", [keys.delivery(i)], stamp(now), clean(reason), milliseconds(keep)) for i in ids]
    return [Status(reply) for reply in replies]


def reopen(ids: Sequence[str], *, now: float, open_for: float) -> Operation[list[bool]]:
    """Make refused, exhausted, suppressed and skipped deliveries queued again, with a fresh schedule (tries 0).

    True means: publish it. That includes deliveries still on their way and unknown ones, because the parked copy may be
    the only one and claims keep a second copy harmless. False: it was sent or has expired.
    """
    replies = yield [run_script("reopen", [keys.delivery(i)], stamp(now), milliseconds(open_for)) for i in ids]
    return [reply == 1 for reply in replies]


def rejoin(ids: Sequence[str], reason: str, *, now: float, open_for: float) -> Operation[None]:
    """Items that ended with their digest wait for it again, because it is replayed; sent or expired ones stay so."""
    present, keep = stamp(now), milliseconds(open_for)
    calls: list[Call] = []
    for i in ids:
        calls.append(run_script("reopen", [keys.delivery(i)], present, keep))
        calls.append(run_script("hold", [keys.delivery(i)], present, clean(reason), ASK, keep, 0))
    if calls:
        yield calls
