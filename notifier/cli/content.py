"""``notifier explain``: what rules and templates would do, without sending anything."""

from __future__ import annotations

import dataclasses
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from notifier.cli.documents import read_events
from notifier.cli.exits import AWAY, FAILED, complain, fail
from notifier.cli.opening import opened_directory, relay_names
from notifier.cli.printing import moment, plain, print_fields, print_json
from notifier.errors import StorageUnavailable

if TYPE_CHECKING:
    from notifier.cli.foreseeing import Offline
    from notifier.rules.content import Content
    from notifier.rules.explanation import ExplainedDelivery, ExplainedRule, Explanation, Look


def explain(
    file: Annotated[str, typer.Argument(help="A CloudEvent as JSON; - is standard input.")],
    endpoints: Annotated[
        bool, typer.Option(help="Ask Redis for the tenant's endpoints, suppressions, throttles and limits.")
    ] = True,
    text: Annotated[bool, typer.Option("--text", help="Print only the texts of the messages, nothing else.")] = False,
    html: Annotated[bool, typer.Option("--html", help="Print only the HTML of the mails, nothing else.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with the text, HTML or body of every message shown.")
    ] = False,
) -> None:
    """Tell what would happen to an event and why: schema, rules, deliveries, what they say. Nothing is sent.

    Example: notifier explain templates/order.shipped/sample.json
    """
    from notifier.rules.explanation import explain as explained

    content = load_content(configured_folder())
    events = read_events(file, {})
    look = mail_look()
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
            _print_parts(entry, html=html) if text or html else _print(entry)
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
    """Whether something of it would be parked or refused for what the event, a rule or a template says, or all lost."""
    return (
        not found.valid or not found.rules or any(r.problems or any(d.error for d in r.deliveries) for r in found.rules)
    )


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
        near = f"did you mean {' or '.join(found.near)}?" if found.near else "rules are in rules.yaml of its folder"
        complain(f"no rule is for the event type {plain(found.type)}: nobody would hear of it ({near})")
    for rule in found.rules:
        _print_rule(rule)


def _print_parts(found: Explanation, *, html: bool) -> None:
    """For a file or a browser; what is wrong goes to standard error."""
    for rule in found.rules:
        for problem in (*rule.mistakes, *(wrong for delivery in rule.deliveries for wrong in delivery.mistakes)):
            complain(f"{rule.rule}: {problem}")
        for delivery in rule.deliveries:
            if part := delivery.html if html else delivery.text or delivery.body:
                typer.echo(part)


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
    for problem in rule.mistakes:
        complain(f"{rule.rule}: {problem}")
    for delivery in rule.deliveries:
        _print_delivery(delivery)
    if rule.total > len(rule.deliveries):
        typer.echo(f"  … and {rule.total - len(rule.deliveries)} more")


def _print_delivery(delivery: ExplainedDelivery) -> None:
    typer.echo(f"  {delivery.id} → {plain(delivery.to)}")
    for mistake in delivery.mistakes:
        complain(f"{delivery.id}: {mistake}")
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


def configured_folder() -> Path:
    """The folder that NOTIFIER_TEMPLATES names."""
    from notifier.process import settings

    return settings().templates


def load_content(root: Path) -> Content:
    """All of it. Raises a `ConfigurationError` with every mistake."""
    from notifier.process import settings
    from notifier.rules.content import Content
    from notifier.wiring.edges import build_guard

    return Content.load(root, check_url=build_guard(settings()).check_url)


def load_configured() -> Content:
    """The folder of this process. Raises `ConfigurationError`."""
    return load_content(configured_folder())


def mail_look() -> Look:
    """Mails are composed with the settings as they are, so that a sender's key and addresses are looked at too."""
    from notifier.channels.email.looking import MailLook
    from notifier.process import settings
    from notifier.wiring.channels import build_email

    return MailLook(build_email(settings()))
