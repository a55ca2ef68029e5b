"""``notifier explain`` and ``notifier templates``: what rules and templates would do, without sending anything."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Collection
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from notifier.cli.documents import read_events
from notifier.cli.exits import AWAY, EXPLAINED, FAILED, SpeakingGroup, complain, fail
from notifier.cli.opening import opened_directory, relay_names
from notifier.cli.printing import moment, plain, print_fields, print_json, print_table
from notifier.errors import ConfigurationError, Problem, StorageUnavailable

if TYPE_CHECKING:
    from notifier.cli.foreseeing import Offline
    from notifier.rules.content import Content
    from notifier.rules.explanation import ExplainedDelivery, ExplainedRule, Explanation, Look

#: Rules named in one warning.
MOST_NAMED = 5

templates = typer.Typer(
    cls=SpeakingGroup, help="The folder of rules and templates.", epilog=EXPLAINED, no_args_is_help=True
)


def explain(
    file: Annotated[str, typer.Argument(help="A CloudEvent as JSON; - is standard input.")],
    endpoints: Annotated[
        bool, typer.Option(help="Ask Redis for the tenant's endpoints, suppressions, throttles and limits.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what would happen to an event and why: schema, rules, deliveries, what they say. Nothing is sent.

    Example: notifier explain templates/order.shipped/sample.json
    """
    from notifier.rules.explanation import explain as explained

    content = _load(_configured())
    events = read_events(file, {})
    look = _look()
    try:
        with opened_directory() if endpoints else nullcontext((_Nobody(), _offline())) as (directory, foresee):
            found = [
                explained(e, content.catalog, directory, content.renderer, time.time(), foresee=foresee, look=look)
                for e in events
            ]
    except StorageUnavailable as error:
        raise fail(f"{error}\nWithout Redis: `notifier explain --no-endpoints {file}`", AWAY) from None
    if foresee.unknown:
        complain(f"it is not known whether recipients are suppressed, throttled or held up: {foresee.unknown}")
    if not endpoints:
        found = [_unasked(entry) for entry in found]
    if as_json:
        print_json([entry.as_dict() for entry in found] if len(found) > 1 else found[0].as_dict())
    else:
        for entry in found:
            _print(entry)
    if any(map(_fails, found)):
        raise typer.Exit(FAILED)


def _unasked(found: Explanation) -> Explanation:
    """Where nobody was asked for endpoints, it is not said that there are none."""
    told = "to every endpoint that subscribed; they were not looked up (--no-endpoints)"
    rules = (
        dataclasses.replace(rule, reason=told) if rule.reason.startswith("no endpoint of tenant") else rule
        for rule in found.rules
    )
    return dataclasses.replace(found, rules=tuple(rules))


def _fails(found: Explanation) -> bool:
    """Whether something of it would be parked or refused for what the event, a rule or a template says."""
    return not found.valid or any(r.problems or any(d.error for d in r.deliveries) for r in found.rules)


class _Nobody:
    """A directory without endpoints, for rules that are looked at away from any Redis."""

    def endpoints(self, tenant: str, event_type: str) -> tuple[str, ...]:  # noqa: ARG002 - the port's signature
        return ()


def _offline() -> Offline:
    from notifier.cli.foreseeing import Offline
    from notifier.domain.limit import parse_limits
    from notifier.process import settings

    ours = settings()
    return Offline(parse_limits(ours.limits)[0], relay_names(ours)[0])


def _print(found: Explanation) -> None:
    print_fields([("Event", found.event), ("Type", found.type), ("Tenant", found.tenant), ("Schema", found.schema)])
    if not found.rules:
        near = f"; did you mean {' or '.join(found.near)}?" if found.near else ""
        typer.echo(f"No rule is for this event type{near}")
    for rule in found.rules:
        _print_rule(rule)


def _print_rule(rule: ExplainedRule) -> None:
    from notifier.rules.durations import written

    typer.echo()
    print_fields(
        [
            ("Rule", f"{rule.rule}  ({rule.source})"),
            ("Sends", f"{rule.total} by {rule.channel}, queue {rule.queue}" if rule.sends else "nothing"),
            ("Because", rule.reason),
            ("Expires", moment(rule.expires) + (" (already)" if rule.expired else "")),
            ("Throttle", rule.throttle if rule.sends else ""),
            ("Limit", rule.limit if rule.sends else ""),
            ("Retries after", ", ".join(written(after) for after in rule.retries) if rule.sends else ""),
        ]
    )
    for problem in rule.problems:
        complain(f"{rule.rule}: {problem}")
    for delivery in rule.deliveries:
        _print_delivery(delivery)
    if rule.total > len(rule.deliveries):
        typer.echo(f"  … and {rule.total - len(rule.deliveries)} more")


def _print_delivery(delivery: ExplainedDelivery) -> None:
    typer.echo(f"  {delivery.id} → {plain(delivery.to)}")
    if delivery.error:
        complain(f"{delivery.id}: {delivery.error}")
    said = [
        ("Subject", "" if delivery.error or delivery.headers else delivery.subject),
        *delivery.headers,
        *(("File", file) for file in delivery.files),
        *(("Warning", warning) for warning in delivery.warnings),
        ("Suppressed", delivery.suppressed),
        ("Held", delivery.held),
        ("Skipped", delivery.skipped),
        ("Throttled", delivery.throttled),
        ("Limits", "; ".join(delivery.limits)),
    ]
    for name, words in said:
        if words:
            typer.echo(f"    {name}: {plain(words)}")
    if delivery.text and delivery.body:
        typer.echo("    Request:")
        typer.echo("\n".join(f"      {plain(line)}".rstrip() for line in delivery.body.split("\n")))


@templates.command()
def check(
    folder: Annotated[Path | None, typer.Argument(help="Default: NOTIFIER_TEMPLATES.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Load every rule, schema and template, render every sample, and list all mistakes.

    Example: notifier templates check templates
    """
    root = folder or _configured()
    try:
        content = _load(root)
    except ConfigurationError as error:
        problems = list(map(_written, error.problems))
        warnings: list[dict[str, str]] = []
    else:
        problems, warnings = _samples(content)
    warnings += _unset(root)
    if as_json:
        print_json({"folder": str(root), "problems": problems, "warnings": warnings})
    elif problems:
        print_table("", ("Where", "What", "Do"), ((p["where"], p["what"], p["fix"]) for p in problems))
    else:
        typer.echo(f"{root}: no mistakes")
    if not as_json:
        for warning in warnings:
            fix = warning["fix"] and f" ({warning['fix']})"
            complain(f"warning: {warning['where']}: {warning['what']}{fix}")
    if problems:
        raise typer.Exit(FAILED)


def _configured() -> Path:
    from notifier.process import settings

    return settings().templates


def _load(root: Path) -> Content:
    from notifier.process import settings
    from notifier.rules.content import Content
    from notifier.wiring.edges import build_guard

    return Content.load(root, check_url=build_guard(settings()).check_url)


def load_configured() -> Content:
    """The folder of this process. Raises `ConfigurationError`."""
    return _load(_configured())


def _look() -> Look:
    """Mails are composed with the settings as they are, so that a sender's key and addresses are looked at too."""
    from notifier.channels.email.looking import MailLook
    from notifier.process import settings
    from notifier.wiring.channels import build_email

    return MailLook(build_email(settings()))


def _samples(content: Content) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """What goes wrong when mails are made of the samples, and what is only worth a word.

    A template may compile and still name what no event has, and an expression may give what no mail can carry.
    """
    from notifier.rules.explanation import explain as explained

    problems: list[dict[str, str]] = []
    told: dict[str, tuple[str, dict[str, None]]] = {}
    look = None
    try:
        look = _look()
    except ConfigurationError as error:
        problems += map(_written, error.problems)
    for samples in content.catalog.samples.values():
        for sample in samples:
            found = explained(sample.event, content.catalog, _Nobody(), content.renderer, time.time(), look=look)
            if not found.valid:
                problems.append({"where": sample.file, "what": found.schema, "fix": "correct the sample or schema"})
            for rule in found.rules:
                wrong = [*rule.problems, *(d.error for d in rule.deliveries if d.error)]
                problems += [{"where": sample.file, "what": f"{rule.rule}: {text}", "fix": ""} for text in wrong]
                for word in (word for delivery in rule.deliveries for word in delivery.warnings):
                    told.setdefault(word, (sample.file, {}))[1][rule.rule] = None
    named = ((word, file, _named(rules)) for word, (file, rules) in told.items())
    return problems, [{"where": file, "what": f"{rules}: {word}", "fix": ""} for word, file, rules in named]


def _unset(root: Path) -> list[dict[str, str]]:
    """Settings that channel files name and this process has not: no mistake, because secrets are where workers run."""
    from notifier.process import settings
    from notifier.wiring.advice import advice_below

    _, advice = advice_below(root, settings(), os.environ)
    return list(map(_written, advice))


def _written(problem: Problem) -> dict[str, str]:
    return {"where": problem.where, "what": problem.what, "fix": problem.fix}


def _named(rules: Collection[str]) -> str:
    """Once for all rules and samples it is true of: what is said of a sender is true of all that use it."""
    more = len(rules) - MOST_NAMED
    return ", ".join(list(rules)[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
