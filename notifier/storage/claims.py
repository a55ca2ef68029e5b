"""Who is sending what: claims with leases, fencing tokens and owners' liveness, as operations.

A claim is one script on one record. A lease ends at its time, or when its owner's liveness key is gone, so that a
killed worker's deliveries move on in seconds. Each claim carries a nonce: run again because its reply was lost, it
gives the same answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from notifier.domain.batch import Batch
from notifier.domain.delivery import Contact, Delivery, Destination, Mailbox, RecipientRef, Status
from notifier.domain.event import Event
from notifier.domain.ids import former_key, recipient_key
from notifier.domain.rule import Collecting, WorkKind
from notifier.domain.suppression import NOTHING, Suppression
from notifier.domain.value import value
from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.grouped import Work, run
from notifier.storage.packs import NO_PACKS, Packs, Shelf, field_of, known
from notifier.storage.people import Depths, Notes
from notifier.storage.records import ASK, encode_head, masked, milliseconds, stamp
from notifier.storage.suppressed import decode


@value
class ClaimRequest:
    """One delivery somebody wants to send now, with what its record needs if Redis has lost it."""

    delivery: Delivery
    channel: WorkKind
    event: Event
    recipient_key: str | None = None
    """`ids.recipient_key` of the address: checked against suppressions, and indexed."""
    former_key: str = ""
    """`ids.former_key` of the address: checked against suppressions too."""

    def head(self) -> str:
        """What never changes of its record. Made only for one that Redis has lost: it costs as much as a claim."""
        to = masked(self.delivery.to)
        return encode_head(self.event.key, self.delivery.rule, self.channel, to, self.delivery.queued)


def claim_request(batch: Batch, delivery: Delivery) -> ClaimRequest:
    """What the ledger must know to claim one delivery of a batch."""
    return ClaimRequest(
        delivery=delivery,
        channel=batch.channel,
        event=batch.events[delivery.event],
        recipient_key=person_of(delivery.to),
        former_key=former_key(delivery.to.address) if isinstance(delivery.to, Mailbox) else "",
    )


def item_requests(batch: Batch, digest: Delivery, places: Sequence[int]) -> list[ClaimRequest]:
    """What the ledger must know to claim the items at these places of a digest."""
    assert digest.digest is not None  # noqa: S101 - asked of digests only
    # The content of the last ones of many is not kept; then Redis has to know which event it was.
    events = [batch.events[index] for index in digest.digest.items] or [batch.events[digest.event]]
    return [
        ClaimRequest(
            Delivery(id=digest.digest.deliveries[place], event=0, rule=digest.rule, to=digest.to, queued=digest.queued),
            Collecting.DIGEST,
            events[min(place, len(events) - 1)],
        )
        for place in places
    ]


def person_of(to: Destination) -> str | None:
    """Under which key the ledger indexes it; who is named by an id has that id's key, whatever the address is then."""
    if isinstance(to, Mailbox):
        return recipient_key(to.address)
    if isinstance(to, Contact):
        return recipient_key(to.identity)
    return recipient_key(to.identity) if isinstance(to, RecipientRef) else None


@value
class Claimed:
    """Ours to send."""

    fence: int
    """Grows with every claim; a record or mark with an older one is refused."""
    tries: int
    """Tries already recorded, since the last replay."""
    uncertain: bool = False
    """An earlier owner died after marking it as leaving: it may have been sent."""
    suppressed: Suppression = NOTHING
    """Why the address may not be written to."""
    known: bool = True
    """False when Redis had no record of it: a redelivered message of an unknown delivery may have been sent."""
    earlier: int = 0
    """Tries before the last replay: they count for no schedule, and the next ones are numbered on from them."""

    @property
    def number(self) -> int:
        """Of the attempt that follows; 1 for the very first."""
        return self.earlier + self.tries + 1


@dataclass(frozen=True, slots=True)
class Done:
    """It has ended; skip it."""

    status: Status


@dataclass(frozen=True, slots=True)
class Busy:
    """Another owner, alive, is sending it."""

    owner: str
    retry_in: float
    """Seconds until its lease ends."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """A copy that is older than the ledger, or a held delivery, before its next try."""

    retry_in: float
    """Seconds until then."""


Claim = Claimed | Done | Busy | NotYet


@value
class _Try:
    """One claim as it is tried."""

    request: ClaimRequest
    dead: str = ""
    """An owner who is known to have died."""
    head: str = ASK

    @property
    def id(self) -> str:
        """Of the delivery."""
        return self.request.delivery.id


def claim(
    packs: Packs,
    requests: Sequence[ClaimRequest],
    *,
    depths: Depths,
    owner: str,
    nonce: str,
    lease: float,
    now: float,
    open_for: float,
    index_for: float,
) -> Operation[list[Claim]]:
    """Claim deliveries and look up suppressions in one round trip; more only where Redis lost one or an owner died."""
    asked = (milliseconds(now), milliseconds(now + lease), owner, nonce, milliseconds(open_for), stamp(now))

    def tried(tries: Sequence[_Try]) -> Work[_Try]:
        return Work(tries, lambda shelf, group: _call(shelf, group, asked), lambda one: packs.delivery(one.id))

    names, notes = _beside(requests, depths, now, index_for)
    parts = packs.spread.parts(names)
    suppressed = [command("HMGET", keys.suppressions(tag), *some) for tag, some in parts]
    first = tried([_Try(request) for request in requests])
    others = yield from run(packs, first, beside=[*suppressed, *notes.calls])
    notes.learn(others[len(suppressed) :])
    answers = first.answers
    if lost := [i for i, answer in enumerate(answers) if answer == "lost"]:
        yield from known(packs)
        second = tried([_Try(requests[i], head=requests[i].head()) for i in lost])
        yield from run(packs, second)
        for i, answer in zip(lost, second.answers, strict=True):
            answers[i] = answer
    claims = [_parse_claim(answer) for answer in answers]
    if busy := {i: found.owner for i, found in enumerate(claims) if isinstance(found, Busy)}:
        dead = yield from dead_of(set(busy.values()))
        orphans = [i for i, name in busy.items() if name in dead]
        taken = tried([_Try(requests[i], busy[i]) for i in orphans])
        yield from run(packs, taken)
        for i, answer in zip(orphans, taken.answers, strict=True):
            claims[i] = _parse_claim(answer)
    return _with_suppressions(claims, requests, parts, others)


def _call(shelf: Shelf, tries: Sequence[_Try], asked: Sequence[str | int]) -> Call:
    """Buckets are looked into only when there is no record: what is packed was sent."""
    is_lost = tries[0].head != ASK
    places, arguments = shelf.opening() if is_lost else NO_PACKS
    places, arguments = [*places], [*arguments, *asked]
    for one in tries:
        delivery = one.request.delivery
        letters = keys.delivery_letters(delivery.id)
        places.append(shelf.delivery(letters))
        arguments += [one.dead, delivery.attempt, one.head]
        if is_lost:
            places += shelf.buckets(letters)
            arguments.append(field_of(letters, is_event=False))
        else:
            arguments.append("")
    return run_script("claim", places, *arguments)


def _beside(requests: Sequence[ClaimRequest], depths: Depths, now: float, keep: float) -> tuple[Sequence[str], Notes]:
    """Whose suppressions are looked up, and what is noted in the index."""
    people = list(dict.fromkeys(r.recipient_key for r in requests if r.recipient_key))
    names = [*people, *(r.former_key for r in requests if r.former_key)] if people else ()
    # A message on its second try was indexed with its first one.
    first = [(r.recipient_key, r.delivery.id) for r in requests if r.recipient_key and not r.delivery.attempt]
    return names, Notes(depths, first, now=now, keep=keep)


def dead_of(owners: Collection[str]) -> Operation[set[str]]:
    """Those of these workers that do not live any more."""
    names = sorted(owners)
    exist = yield [command("EXISTS", keys.alive(name)) for name in names]
    return {name for name, there in zip(names, exist, strict=True) if not there}


def _parse_claim(reply: str) -> Claim:
    kind, *fields = reply.split(" ")
    if kind == "claimed":
        fence, tries, uncertain, known, earlier = fields
        return Claimed(int(fence), int(tries), uncertain == "1", NOTHING, known == "1", max(0, int(earlier)))
    if kind == "done":
        return Done(Status(fields[0]))
    if kind == "not-yet":
        return NotYet(int(fields[0]) / 1000)
    left, owner = reply.split(" ", 2)[1:]
    return Busy(owner, int(left) / 1000)


def _with_suppressions(
    claims: list[Claim],
    requests: Sequence[ClaimRequest],
    parts: Collection[tuple[str, Sequence[str]]],
    replies: Sequence[Sequence[str | None]],
) -> list[Claim]:
    stored: dict[str, str | None] = {}
    for (_, names), texts in zip(parts, replies, strict=False):
        if any(texts):
            stored |= zip(names, texts, strict=True)
    if not stored:
        return claims
    return [_with_suppression(c, r, stored) for c, r in zip(claims, requests, strict=True)]


def _with_suppression(found: Claim, request: ClaimRequest, stored: Mapping[str, str | None]) -> Claim:
    known, former = stored.get(request.recipient_key or ""), stored.get(request.former_key)
    if isinstance(found, Claimed) and (known or former):
        suppressed = decode(known).plus(*decode(former).parts)
        return Claimed(found.fence, found.tries, found.uncertain, suppressed, found.known, found.earlier)
    return found


def heartbeat(owner: str, ttl: float) -> Operation[None]:
    """Say that ``owner`` lives for another ``ttl`` seconds."""
    yield [command("SET", keys.alive(owner), "1", "PX", milliseconds(ttl))]


def farewell(owner: str) -> Operation[None]:
    """Say that ``owner`` has stopped: what it still holds may be claimed at once."""
    yield [command("DEL", keys.alive(owner))]


def mark_leaving(packs: Packs, held: Sequence[tuple[str, int]]) -> Operation[list[bool]]:
    """Mark (id, fence) pairs as about to leave; False means the claim was lost and nothing may be sent."""
    replies = yield [run_script("mark", [packs.delivery(i)], fence) for i, fence in held]
    return [reply == 1 for reply in replies]


def release(packs: Packs, held: Sequence[tuple[str, int]], *, now: float) -> Operation[list[bool]]:
    """Hand (id, fence) pairs back as they were before the claim; no try is spent."""
    replies = yield [run_script("release", [packs.delivery(i)], fence, stamp(now), "", "") for i, fence in held]
    return [reply == 1 for reply in replies]


def postpone(packs: Packs, held: Sequence[tuple[str, int, str, float]], *, now: float) -> Operation[list[bool]]:
    """Hand (id, fence, reason, until) back likewise, so that whoever looks sees why nothing happens until then."""
    replies = yield [
        run_script("release", [packs.delivery(i)], fence, stamp(now), reason, milliseconds(until))
        for i, fence, reason, until in held
    ]
    return [reply == 1 for reply in replies]
