"""`plan`: one event → the deliveries it causes. Pure: the same event gives the same deliveries, whoever plans it.

A mistake in one recipient must not cost the other 99,999 theirs, so bad entries are listed beside the deliveries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import islice
from typing import Any, NamedTuple, Protocol

from notifier.domain.channels import TRAITS
from notifier.domain.delivery import ChannelRef, Copies, Delivery, Destination, EndpointRef, Mailbox, RecipientRef
from notifier.domain.event import Event
from notifier.domain.ids import delivery_id
from notifier.domain.rule import Rule
from notifier.errors import PlanningError
from notifier.rendering.predicates import Facts
from notifier.rules.audience import BadEntry
from notifier.rules.catalog import Catalog
from notifier.rules.destinations import destinations, is_same
from notifier.rules.matching import CompiledRule, is_nobody

#: Deliveries a fan-out holds in memory at a time: 20 full tasks.
CHUNK = 1000
#: Copies of one mail: all of them name all others.
MAX_CC = 20
#: Problems of one plan that are kept in full; the rest are counted, so that 100,000 bad entries stay readable.
MAX_PROBLEMS = 100
#: Between destination and digest key inside a delivery id; a key is printable, so it cannot contain it.
_KEY_SEPARATOR = "\x1f"


class Directory(Protocol):
    """Which webhook endpoints exist."""

    def endpoints(self, tenant: str, event_type: str) -> Sequence[str]:
        """Ids of the tenant's endpoints that subscribed to this event type, whatever their state."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One delivery and the rule that wants it (the rule gives the queue)."""

    rule: Rule
    delivery: Delivery


class Why(Enum):
    """Why a rule of this event type sends nothing."""

    FALSE = "when is false: {rule.when}"
    NOBODY = "to names nobody: {rule.to}"
    NO_ENDPOINT = "no endpoint of tenant {event.tenant} subscribes to {event.type}"


class Unmatched(NamedTuple):
    """A rule of this event type that sends nothing. Of hundreds of rules most do, so nothing is written out here."""

    rule: Rule
    why: Why

    def reason(self, event: Event) -> str:
        """In words."""
        return self.why.value.format(rule=self.rule, event=event)


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """A rule that failed on this event, or an entry of its `to` or `cc` that can never be a destination."""

    rule: str
    index: int | None
    """Place in the list that the key gave; None when the whole rule failed."""
    reason: str
    key: str = "to"

    def __str__(self) -> str:
        if self.index is None:
            return self.reason
        return f"rule {self.rule}: {self.key}[{self.index}]: {self.reason}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one event causes, or one chunk of it (`plan_chunks`)."""

    event: Event
    planned: tuple[Planned, ...]
    unmatched: tuple[Unmatched, ...] = ()
    problems: tuple[PlanProblem, ...] = ()
    """What could not be planned while the rest was; the consumer parks them as one failed-intake entry."""
    more_problems: int = 0
    """Problems beyond the first `MAX_PROBLEMS`, counted only."""
    expected: int = 0
    """Of `plan_chunks`: deliveries of the whole event, bad entries and duplicates counted as well."""
    published: float | None = field(default=None, compare=False)
    """When the broker was given the event; rules' `expires` count from it."""
    endpoints: Sequence[str] | None = field(default=None, compare=False)
    """What `Directory.endpoints` gave for it; None when no rule of it sends to endpoints."""


def plan(event: Event, catalog: Catalog, directory: Directory, now: float) -> Plan:
    """All deliveries of an event at once. An event that expired is planned too: its end must be seen in the ledger.

    Raises `SchemaMismatch` when ``data`` breaks its schema, and `PlanningError` when rules failed and no other rule of
    the event has anything to send; a rule that failed beside others that work is in ``problems``.
    """
    draft = _draft(event, catalog, directory, now)
    planned = tuple(draft.deliveries())
    unmatched, problems = tuple(draft.unmatched), tuple(draft.problems)
    return Plan(event, planned, unmatched, problems, draft.more_problems, endpoints=draft.endpoints)


def plan_chunks(
    event: Event,
    catalog: Catalog,
    directory: Directory,
    now: float,
    chunk: int = CHUNK,
    *,
    published: float | None = None,
) -> Iterator[Plan]:
    """The same as `plan`, at most ``chunk`` deliveries at a time; at least one `Plan`.

    ``published`` is when the broker was given the event, as far as anybody knows: rules' `expires` count from it.

    The last one carries ``unmatched`` and ``problems``. Errors are raised by the call itself, before the first chunk,
    so that an event is never half published and then refused.
    """
    return _chunks(_draft(event, catalog, directory, now, published), chunk)


def plan_webhooks(
    event: Event, catalog: Catalog, endpoints: Sequence[str], now: float, published: float | None = None
) -> tuple[Planned, ...]:
    """Only what goes to these endpoints, which subscribed since the event was planned."""
    draft = Draft(event, now, published)
    for compiled in catalog.matching(event.type):
        if not TRAITS[compiled.rule.channel].to_people:
            with suppress(PlanningError):  # reported when the event was planned
                draft.consider(compiled, _Fixed(endpoints))
    return tuple(draft.deliveries())


@dataclass(frozen=True, slots=True)
class _Fixed:
    """A directory of which everybody knows what it says."""

    found: Sequence[str]

    def endpoints(self, tenant: str, event_type: str) -> Sequence[str]:  # noqa: ARG002
        return self.found


def _chunks(draft: Draft, chunk: int) -> Iterator[Plan]:
    common = Plan(draft.event, (), expected=draft.expected, published=draft.published, endpoints=draft.endpoints)
    stream = draft.deliveries()
    held = tuple(islice(stream, chunk))
    while following := tuple(islice(stream, chunk)):
        yield replace(common, planned=held)
        held = following
    unmatched, problems = tuple(draft.unmatched), tuple(draft.problems)
    yield replace(common, planned=held, unmatched=unmatched, problems=problems, more_problems=draft.more_problems)


def _draft(event: Event, catalog: Catalog, directory: Directory, now: float, published: float | None = None) -> Draft:
    catalog.validate(event)
    draft = Draft(event, now, published)
    for compiled in catalog.matching(event.type):
        try:
            draft.consider(compiled, directory)
        except PlanningError as error:
            draft.failed.append(error)
            draft.report(PlanProblem(compiled.rule.id, None, str(error)))
    if draft.failed and not draft.steps:
        raise PlanningError("; ".join(map(str, draft.failed)), field=draft.failed[0].field) from draft.failed[0]
    return draft


class Draft:
    """An event's rules, evaluated; their deliveries are made one by one when asked for. `explanation` reads it too."""

    __slots__ = (
        "endpoints",
        "event",
        "expected",
        "facts",
        "failed",
        "more_problems",
        "now",
        "problems",
        "published",
        "steps",
        "unmatched",
    )

    def __init__(self, event: Event, now: float, published: float | None = None) -> None:
        self.event = event
        self.facts = Facts(event)
        self.now = now
        self.published = now if published is None else min(published, now)
        self.endpoints: Sequence[str] | None = None
        self.steps: list[tuple[Rule, Iterable[Destination | BadEntry], str, Copies | None]] = []
        self.unmatched: list[Unmatched] = []
        self.problems: list[PlanProblem] = []
        self.more_problems = 0
        self.expected = 0
        self.failed: list[PlanningError] = []

    def consider(self, compiled: CompiledRule, directory: Directory) -> None:
        """Evaluate one rule: a step, or the reason why there is none."""
        rule, event = compiled.rule, self.event
        if not compiled.applies(event, self.facts):
            self.unmatched.append(Unmatched(rule, Why.FALSE))
        elif rule.provider is not None and not rule.provider.kind:
            self.steps.append((rule, [ChannelRef(channel=rule.provider.name)], compiled.group_key(event), None))
            self.expected += 1
        elif not TRAITS[rule.channel].to_people:
            self._subscribed(compiled, directory.endpoints(event.tenant, event.type))
        elif is_nobody(audience := compiled.audience(event)):
            self.unmatched.append(Unmatched(rule, Why.NOBODY))
        elif compiled.cc is not None and not is_nobody(copied := compiled.copied(event)):
            self._with_copies(compiled, audience, copied)
        else:
            kind = rule.provider.kind if rule.provider else ""
            self.steps.append((rule, destinations(audience, kind), compiled.group_key(event), None))
            self.expected += len(audience) if isinstance(audience, list | tuple) else 1

    def _subscribed(self, compiled: CompiledRule, endpoints: Sequence[str]) -> None:
        self.endpoints = endpoints
        if not endpoints:
            self.unmatched.append(Unmatched(compiled.rule, Why.NO_ENDPOINT))
            return
        # Made when they are asked for: there may be tens of thousands, and of a large fan-out only a chunk is wanted.
        unique = dict.fromkeys(endpoints)
        references = (EndpointRef(endpoint=endpoint) for endpoint in unique)
        self.steps.append((compiled.rule, references, compiled.group_key(self.event), None))
        self.expected += len(unique)

    def _with_copies(self, compiled: CompiledRule, audience: Any, copied: Any) -> None:
        """Each of them is a delivery of its own, so that one reply says what became of one; they show the same people.

        Two people in `to` would see each other too, which nobody said they should; and a mail to each would give the
        others as many copies.
        """
        rule = compiled.rule
        to, bad = _sorted_out(audience)
        cc, bad_cc = _sorted_out(copied)
        for entry in bad:
            self.report(PlanProblem(rule.id, entry.index, entry.reason))
        for entry in bad_cc:
            self.report(PlanProblem(rule.id, entry.index, entry.reason, "cc"))
        if len(to) > 1 or len(cc) > MAX_CC:
            what = f"to names {len(to)} people, and a mail with cc is to one: put the others into cc, or leave cc out"
            too_many = f"names {len(cc)} people, at most {MAX_CC}: they all see each other"
            told = what if len(to) > 1 else f"cc {too_many}"
            raise PlanningError(f"rule {rule.id} ({compiled.place('cc')}): {told}", "cc", what=told)
        if to:
            others = [one for one in cc if not is_same(one, to[0])]
            copies = Copies(to=to[0], cc=others) if others else None
            self.steps.append((rule, [to[0], *others], compiled.group_key(self.event), copies))
            self.expected += 1 + len(others)

    def report(self, problem: PlanProblem) -> None:
        """Keep a problem, or count it when there are too many to read."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)
        else:
            self.more_problems += 1

    def deliveries(self) -> Iterator[Planned]:
        """Every delivery of every step; problems are complete when this is used up."""
        # To the millisecond, as the ledger keeps it: three bytes less, and no number of so many digits that it is
        # looked at twice when the batch is read.
        event, now = self.event, round(self.now, 3)
        for rule, entries, key, copies in self.steps:
            expires = expiry(event, rule, self.published)
            # A throttle's key decides how many are sent, not which one this is.
            suffix = _KEY_SEPARATOR + key if key and rule.window is not None else ""
            for entry in entries:
                if isinstance(entry, BadEntry):
                    self.report(PlanProblem(rule.id, entry.index, entry.reason))
                    continue
                yield Planned(
                    rule,
                    Delivery(
                        id=delivery_id(event.source, event.id, rule.id, entry.identity + suffix),
                        event=0,
                        rule=rule.id,
                        to=entry,
                        queued=now,
                        expires=expires,
                        key=key,
                        copies=copies,
                    ),
                )


def _sorted_out(value: Any) -> tuple[list[Mailbox | RecipientRef], list[BadEntry]]:
    found = list(destinations(value))
    people = [one for one in found if isinstance(one, Mailbox | RecipientRef)]
    return people, [one for one in found if isinstance(one, BadEntry)]


def expiry(event: Event, rule: Rule, published: float) -> float | None:
    """Unix seconds after which nothing is sent: the event's own end or the rule's, whichever comes first."""
    ends = [] if event.expirytime is None else [event.expirytime.timestamp()]
    if rule.expires is not None:
        ends.append(published + rule.expires)
    return min(ends, default=None)
