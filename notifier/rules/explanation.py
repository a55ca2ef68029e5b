"""`explain`: what would happen to an event and why, for a person. Nothing is sent, written or claimed."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import PurePosixPath
from typing import Any

from notifier.domain.channels import TRAITS
from notifier.domain.contacts import masked_contact
from notifier.domain.delivery import Contact, Delivery
from notifier.domain.event import Event
from notifier.domain.message import EmailMessage, TextMessage
from notifier.domain.retry import RetrySchedule
from notifier.domain.rule import Channel, Rule, Throttle, queue_name
from notifier.domain.trimming import trimmed
from notifier.errors import PlanningError, Problem, RenderError, SchemaMismatch
from notifier.rendering.context import event_context
from notifier.rendering.renderer import Renderer
from notifier.rules.catalog import Catalog
from notifier.rules.channel_files import CompiledProvider
from notifier.rules.durations import written
from notifier.rules.matching import CompiledRule
from notifier.rules.occasions import mistakes_of, occasion
from notifier.rules.planner import Directory, Draft, PlanProblem, expiry
from notifier.rules.previews import preview, recipient_of

#: Deliveries of one rule that are rendered; a fan-out is told by its number.
SHOWN = 3
#: Event types named as "did you mean" when none matches.
MAX_NEAR = 3
_SCHEDULES: Mapping[Channel, RetrySchedule] = {channel: traits.schedule for channel, traits in TRAITS.items()}


@dataclass(frozen=True, slots=True)
class ExplainedDelivery:
    """One delivery that would be made, and what it would say."""

    id: str
    to: str
    """``mailto:…``, ``recipient:…`` or ``endpoint:…``."""
    key: str
    """Digest key."""
    subject: str
    text: str
    html: str
    body: str
    """Of a webhook; of a channel file's request all of it, with names of settings for their values."""
    error: str
    """Why it cannot be rendered, composed or addressed; it would be parked."""
    suppressed: str | None
    """Why it would end as suppressed; empty when it would not, None when nobody looked."""
    throttled: str | None
    """Why its rule's throttle would not let it through; empty when it would, None when nobody looked."""
    held: str | None
    """Why its endpoint gets nothing for now; empty when it does, None when nobody looked."""
    skipped: str | None
    """Why it would be skipped and parked, because a person disabled its endpoint; likewise."""
    limits: tuple[str, ...]
    """The rate limits it falls under, with who waits there as far as somebody looked."""
    warnings: tuple[str, ...] = ()
    """What its readers or their servers would not like about it."""
    headers: tuple[tuple[str, str], ...] = ()
    """Of the mail as it would leave, in its order."""
    files: tuple[str, ...] = ()
    """Its attachments: name, media type, bytes and cid."""
    mistakes: tuple[Problem, ...] = ()
    """Each with its file and line; ``error`` is the first as a worker would say it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at a composed mail gave."""

    error: str = ""
    warnings: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    files: tuple[str, ...] = ()
    wrong: Problem | None = None
    """The error with its place, where it has another one than a key of the rule."""
    fix: str = ""
    """What to do about the error."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would stop or delay a delivery; None where nobody looked."""

    suppressed: str | None = None
    throttled: str | None = None
    held: str | None = None
    skipped: str | None = None
    limits: tuple[str, ...] = ()


#: What is known of a delivery's way, beside rules and templates.
Foresee = Callable[[Delivery, Rule, Event], Prospect]

#: Composes a rendered mail without sending it, and says what would go wrong with it.
Look = Callable[[Delivery, CompiledRule, Event, EmailMessage], Seen]


@dataclass(frozen=True, slots=True)
class ExplainedRule:
    """What one rule makes of the event."""

    rule: str
    source: str
    """``file:line``."""
    channel: str
    category: str
    transactional: bool
    template: str
    sends: bool
    reason: str
    """Why it sends nothing, or why to whom: the expressions that decided."""
    queue: str
    expires: float | None
    """Unix seconds."""
    expired: bool
    retries: tuple[float, ...]
    """Seconds after the first try at which the next ones come, without jitter and while it has not expired."""
    throttle: str
    """What bounds how much of it one recipient gets, in words; empty when nothing does."""
    limit: str
    """How fast all its deliveries leave together; what comes faster waits. Empty when the rule says nothing."""
    total: int
    """Deliveries it makes; ``deliveries`` holds the first few."""
    deliveries: tuple[ExplainedDelivery, ...]
    problems: tuple[str, ...]
    """Entries of `to` that can never be a destination, or the failed expression."""
    mistakes: tuple[Problem, ...] = ()
    """The same, each with its file and line."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that would happen to one event, and why."""

    event: str
    """`Event.key`."""
    id: str
    type: str
    source: str
    tenant: str
    schema: str
    """``no schema``, ``valid``, or what breaks it; an event that breaks it is parked and nothing else happens."""
    valid: bool
    rules: tuple[ExplainedRule, ...]
    near: tuple[str, ...]
    """When no rule is for this type: types and patterns that look like it."""

    @property
    def total(self) -> int:
        """Deliveries in all."""
        return sum(rule.total for rule in self.rules)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**dataclasses.asdict(self), "total": self.total}


def explain(
    event: Event,
    catalog: Catalog,
    directory: Directory,
    renderer: Renderer,
    now: float,
    *,
    schedules: Mapping[Channel, RetrySchedule] = _SCHEDULES,
    shown: int = SHOWN,
    foresee: Foresee = lambda _delivery, _rule, _event: Prospect(),
    look: Look | None = None,
    thorough: bool = False,
) -> Explanation:
    """What would happen to an event that arrives ``now``; ``schedules`` are the channels' own, when configured.

    ``foresee`` says what would stop or delay a delivery. With a ``look`` mails are
    composed too: files, headers and addresses are then found wanting before anybody waits. ``thorough`` also tries
    what this event would not use: other languages, and the digest of a throttle.
    """
    schema, valid = _check_schema(event, catalog)
    matching = catalog.matching(event.type)
    explainer = _Explainer(
        event, directory, renderer, now, schedules, shown, foresee, look, thorough, catalog.providers
    )
    return Explanation(
        event=event.key,
        id=event.id,
        type=event.type,
        source=event.source,
        tenant=event.tenant,
        schema=schema,
        valid=valid,
        rules=tuple(explainer.explain(compiled) for compiled in matching),
        near=() if matching else _near(event.type, catalog),
    )


def _check_schema(event: Event, catalog: Catalog) -> tuple[str, bool]:
    if not catalog.schemas(event.type):
        return "no schema", True
    try:
        catalog.validate(event)
    except SchemaMismatch as error:
        return str(error), False
    return "valid", True


def _near(event_type: str, catalog: Catalog) -> tuple[str, ...]:
    known = sorted(set(catalog.patterns.values()))
    same = [name for name in known if name.casefold() == event_type.casefold()]
    similar = difflib.get_close_matches(event_type[:255], known, n=MAX_NEAR, cutoff=0.6)
    return tuple(dict.fromkeys([*same, *similar]))[:MAX_NEAR]


@dataclass(frozen=True, slots=True)
class _Explainer:
    """What explaining every rule of one event has in common."""

    event: Event
    directory: Directory
    renderer: Renderer
    now: float
    schedules: Mapping[Channel, RetrySchedule]
    shown: int
    foresee: Foresee
    look: Look | None
    thorough: bool
    providers: Mapping[str, CompiledProvider]

    def explain(self, compiled: CompiledRule) -> ExplainedRule:
        rule, draft = compiled.rule, Draft(self.event, self.now)
        failure, mistakes = "", list[Problem]()
        try:
            draft.consider(compiled, self.directory)
        except PlanningError as error:
            failure = str(error)
            mistakes.append(Problem(compiled.place(error.field), error.what, error.fix))
        stream = draft.deliveries()
        first = tuple(self._delivery(planned.delivery, compiled) for planned in islice(stream, self.shown))
        total = len(first) + sum(1 for _ in stream)
        mistakes += (_bad_entry(problem, compiled) for problem in draft.problems)
        expires = expiry(self.event, rule, self.now)
        return ExplainedRule(
            rule=rule.id,
            source=rule.source,
            channel=rule.channel_word,
            category=rule.category,
            transactional=rule.transactional,
            template=rule.template,
            sends=total > 0,
            reason=failure or (draft.unmatched[0].reason(self.event) if draft.unmatched else _because(rule)),
            queue=queue_name(rule.kind, rule.priority),
            expires=expires,
            expired=expires is not None and expires <= self.now,
            retries=_timetable(rule.retry or self.schedules[rule.channel], self.now, expires),
            throttle=_throttled(rule.throttle),
            limit=str(rule.limit or ""),
            total=total,
            deliveries=first,
            problems=(failure,) if failure else tuple(map(str, draft.problems)),
            mistakes=tuple(mistakes),
        )

    def _delivery(self, delivery: Delivery, compiled: CompiledRule) -> ExplainedDelivery:
        rule = compiled.rule
        subject = text = html = body = ""
        seen, wrong = Seen(), list[RenderError]()
        # What the worker will have: the parts that the rule omits are not there.
        event = trimmed(self.event, rule.omit)
        making = occasion(delivery, rule, event)
        if self.thorough:
            wrong = mistakes_of(making, rule, self.renderer)
        try:
            message = making.render(self.renderer)
        except RenderError as failure:
            seen = Seen(error=str(failure), fix=failure.fix)
            wrong = wrong or list(making.mistakes(self.renderer))
        else:
            if isinstance(message, EmailMessage):
                subject, text, html = message.subject, message.text, message.html
                seen = self.look(delivery, compiled, event, message) if self.look else seen
            elif isinstance(message, TextMessage):
                subject, text = message.subject, message.text
                body, seen = self._request(delivery, rule, event, message)
            else:
                body = message.body.decode("utf-8", "replace")
        ahead = self.foresee(delivery, rule, event)
        to = delivery.to
        return ExplainedDelivery(
            id=delivery.id,
            to=masked_contact(to.contact, to.at) if isinstance(to, Contact) else to.identity,
            key=delivery.key,
            subject=subject,
            text=text,
            html=html,
            body=body,
            error=seen.error,
            suppressed=ahead.suppressed,
            throttled=ahead.throttled,
            held=ahead.held,
            skipped=ahead.skipped,
            limits=ahead.limits,
            warnings=seen.warnings,
            headers=seen.headers,
            files=seen.files,
            mistakes=tuple(_at_template(error, rule) for error in wrong) or _at_key(seen, compiled),
        )

    def _request(self, delivery: Delivery, rule: Rule, event: Event, message: TextMessage) -> tuple[str, Seen]:
        assert rule.provider is not None  # noqa: S101 - nobody else has such messages
        context = event_context(event, recipient=recipient_of(delivery.to), delivery_id=delivery.id)
        try:
            return preview(self.providers[rule.provider.name], message, delivery.to, context), Seen()
        except RenderError as failure:
            wrong = Problem(f"{failure.template}:{failure.line}", failure.what, failure.fix)
            return "", Seen(error=str(failure), wrong=wrong if failure.template else None, fix=failure.fix)


def _at_template(error: RenderError, rule: Rule) -> Problem:
    """Names of templates begin below the folder that every rule's place begins with."""
    place = f"{PurePosixPath(rule.source).parts[0]}/{error.template}" if error.template else rule.source
    return Problem(f"{place}:{error.line}" if error.template and error.line else place, error.what, error.fix)


def _at_key(seen: Seen, compiled: CompiledRule) -> tuple[Problem, ...]:
    """What is wrong with a mail begins with the key of the rule that asks for it."""
    key = re.match(r"[a-z_]*", seen.error)
    own = Problem(compiled.place(key[0] if key else ""), seen.error, seen.fix)
    return (seen.wrong or own,) if seen.error else ()


def _bad_entry(problem: PlanProblem, compiled: CompiledRule) -> Problem:
    fix = "correct what the expression gives: an address, an id, or an object with one of them"
    return Problem(compiled.place(problem.key), f"{problem.key}[{problem.index}]: {problem.reason}", fix)


def _because(rule: Rule) -> str:
    when = f"when is true: {rule.when}; " if rule.when else ""
    if rule.provider is not None and not rule.to:
        return when + f"to the one place that {rule.provider.source.partition(':')[0]} names"
    return when + (f"to: {rule.to}" if rule.to else "every endpoint that subscribed")


def _throttled(throttle: Throttle | None) -> str:
    if throttle is None:
        return ""
    each = f"recipient and {throttle.key}" if throttle.key else "recipient"
    rest = "collected into a digest" if throttle.overflow == "digest" else "suppressed as throttled"
    return f"at most {throttle.at_most} per {written(throttle.per)} for each {each}; the rest is {rest}"


def _timetable(schedule: RetrySchedule, now: float, expires: float | None) -> tuple[float, ...]:
    return tuple(after for after in accumulate(schedule.delays) if expires is None or now + after < expires)
