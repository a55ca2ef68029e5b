"""The options that choose entries of failure queues, declared once for every verb that takes them."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from notifier.cli.exits import USAGE, fail

if TYPE_CHECKING:
    from notifier.storage.parked import ParkedFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a person asked for; every field is an option of the verb."""

    channel: Annotated[str, typer.Option(help="email, webhook, http_api, digest, intake, or a channel file.")] = ""
    cause: Annotated[str, typer.Option(help="Why it is there, such as exhausted or render_failed.")] = ""
    rule: Annotated[str, typer.Option(help="Such as order.shipped/customer-email.")] = ""
    tenant: Annotated[str, typer.Option(help="Only this tenant's.")] = ""
    event_type: Annotated[str, typer.Option("--type", help="Only this event type.")] = ""
    older_than: Annotated[str, typer.Option(help="Parked at least this long ago: 90s, 15m, 6h, 2d.")] = ""
    newer_than: Annotated[str, typer.Option(help="Parked at most this long ago.")] = ""

    def entries(self, ids: tuple[str, ...] = ()) -> ParkedFilter:
        """The filter it means; a value that cannot match anything ends the verb."""
        from notifier.domain.outcome import Cause
        from notifier.domain.rule import Channel
        from notifier.domain.topology import FAILURE_QUEUES
        from notifier.storage.parked import ParkedFilter

        queue = f"failed-{self.channel}" if self.channel else ""
        rules: tuple[str, ...] = ()
        if queue and queue not in FAILURE_QUEUES:
            queue, rules = f"failed-{Channel.HTTP_API}", _rules_of(self.channel)
        if self.cause and self.cause not in list(Cause):
            raise fail(f"--cause {self.cause!r}: there are {', '.join(Cause)}", USAGE)
        now = time.time()
        return ParkedFilter(
            queue=queue,
            cause=Cause(self.cause) if self.cause else None,
            rule=self.rule,
            rules=rules,
            tenant=self.tenant,
            event_type=self.event_type,
            older_than=None if not self.older_than else now - _seconds("--older-than", self.older_than),
            newer_than=None if not self.newer_than else now - _seconds("--newer-than", self.newer_than),
            ids=ids,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing(Choice):
    """What is to be done with the chosen entries; every field is an option of the verb."""

    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Only these entries.")] = None
    everything: Annotated[bool, typer.Option("--all", help="Everything; needed when nothing else is chosen.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False

    def named(self) -> ParkedFilter:
        """The entries, of which something must be said."""
        return self.entries(tuple(self.ids or ()))


def with_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Spread the fields of a verb's ``chosen`` into options of its own, as Typer wants them."""
    own = inspect.signature(verb, eval_str=True).parameters
    kind: type[Choice] = own["chosen"].annotation
    shared = inspect.signature(kind, eval_str=True).parameters
    rest = [parameter for name, parameter in own.items() if name != "chosen"]
    # Ids first, as they are written.
    ordered = sorted((*shared.values(), *rest), key=lambda parameter: parameter.name != "ids")

    @wraps(verb)
    def run(**given: Any) -> None:
        verb(chosen=kind(**{name: given.pop(name) for name in shared}), **given)

    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in ordered]
    )
    return run


def _rules_of(provider: str) -> tuple[str, ...]:
    """Ids of the rules whose channel is this channel file, as the templates folder says now; none ends the verb."""
    from notifier.cli.content import load_configured
    from notifier.domain.topology import FAILURE_QUEUES

    catalog = load_configured().catalog
    if provider not in catalog.providers:
        queues = [name.removeprefix("failed-") for name in FAILURE_QUEUES]
        raise fail(f"--channel {provider!r}: there are {', '.join([*queues, *sorted(catalog.providers)])}", USAGE)
    found = tuple(rule.id for rule in catalog.rules if rule.channel_word == provider)
    if not found:
        raise fail(f"--channel {provider!r}: no rule names it now; use --channel http_api, or --rule", USAGE)
    return found


def _seconds(option: str, text: str) -> float:
    from notifier.rules.durations import seconds

    found = seconds(text)
    if found is None:
        raise fail(f"{option} {text!r}: write a duration such as 90s, 15m, 6h or 2d", USAGE)
    return found
