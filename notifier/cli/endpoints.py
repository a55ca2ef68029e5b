"""``notifier endpoints``: webhook endpoints, on Redis directly, so that it works while the API is down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from notifier.cli.auditing import changing, note, steps
from notifier.cli.confirming import confirm
from notifier.cli.exits import EXPLAINED, USAGE, SpeakingGroup, fail
from notifier.cli.opening import opened_held, opened_stores
from notifier.cli.printing import moment, print_fields, print_json, print_table

if TYPE_CHECKING:
    from notifier.domain.endpoint import Endpoint, OnResume

group = typer.Typer(cls=SpeakingGroup, help="Webhook endpoints.", epilog=EXPLAINED, no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="ep_…")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SecretFile = Annotated[
    typer.FileText | None,
    typer.Option(help="File with the whsec_… secret that it already uses, - for standard input. Default: a new one."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@group.command()
@changing
def add(
    url: Annotated[str, typer.Argument(help="https:// address that is not internal.")],
    tenant: Annotated[str, typer.Option(help="Whose events it gets.")] = "default",
    event: Annotated[list[str] | None, typer.Option(help="Event type or pattern with *; may be repeated.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="'Name: value' sent along; may be repeated.")] = None,
    description: Annotated[str, typer.Option(help="Shown to operators.")] = "",
    rate: Annotated[str, typer.Option(help="How fast it wants to be sent to: 10/s, 100/m burst 5.")] = "",
    on_resume: Annotated[
        str, typer.Option(help="What happens to held deliveries when it recovers: deliver, latest or discard.")
    ] = "deliver",
    secret_file: SecretFile = None,
    as_json: Json = False,
) -> None:
    """Register an endpoint and print its signing secret, this once.

    Example: notifier endpoints add https://example.org/hooks --tenant acme --event 'order.*'
    """
    from notifier.channels.webhook.headers import check_headers
    from notifier.process import settings
    from notifier.wiring.edges import build_guard, header_names

    checked = build_guard(settings()).check_url(url).url
    headers = check_headers([_header(text) for text in header or []], header_names(settings()))
    with opened_stores() as stores:
        made = stores.endpoints.add(
            tenant,
            checked,
            event_types=event or ["*"],
            headers=headers,
            description=description,
            secret=_secret(secret_file),
            rate=_rate(rate),
            on_resume=_policy(on_resume),
        )
    _note("added", made)
    _print_secret(made, as_json)


@group.command("list")
def browse(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None, as_json: Json = False
) -> None:
    """List endpoints, oldest first.

    Example: notifier endpoints list --tenant acme
    """
    with opened_stores() as stores:
        found = stores.endpoints.list(tenant)
    held = opened_held().counts([endpoint.id for endpoint in found])
    if as_json:
        print_json([{**_as_dict(endpoint), "held": held.get(endpoint.id, 0)} for endpoint in found])
        return
    rows = (
        (e.id, e.tenant, e.state.value, held.get(e.id, 0), " ".join(e.event_types), e.url, _remark(e)) for e in found
    )
    print_table("", ("Endpoint", "Tenant", "State", "Held", "Events", "URL", "Note"), rows)


@group.command()
def show(identity: Id, as_json: Json = False) -> None:
    """Show one endpoint, without its secret.

    Example: notifier endpoints show ep_5t2v…
    """
    with opened_stores() as stores:
        found = stores.endpoints.get(identity)
    _print(found, as_json, held=opened_held().counts([identity]).get(identity, 0))


@group.command()
@changing
def pause(
    identity: Id,
    reason: Annotated[str, typer.Option(help="Shown with every held delivery.")] = "paused by an operator",
    as_json: Json = False,
) -> None:
    """Hold everything for it until it is resumed; nothing is tried and nothing is lost.

    Example: notifier endpoints pause ep_5t2v… --reason 'customer migrates until Monday'
    """
    paused = opened_held().pause(identity, reason)
    _note("paused", paused)
    _print(paused, as_json)


@group.command()
@changing
def resume(
    identity: Id,
    deliver: Annotated[bool, typer.Option("--deliver", help="Send all that is held.")] = False,
    latest: Annotated[bool, typer.Option("--latest", help="Send the newest of each type and subject only.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Send nothing of what is held.")] = False,
    as_json: Json = False,
) -> None:
    """Send to it again: after a pause, after it was disabled, or at once while its breaker is open.

    Without an option, what is held becomes what the endpoint is set to (`--on-resume`).

    Example: notifier endpoints resume ep_5t2v… --latest
    """
    from notifier.domain.endpoint import OnResume

    chosen = [policy for policy, wanted in zip(OnResume, (deliver, latest, discard), strict=True) if wanted]
    if len(chosen) > 1:
        raise fail("choose one of --deliver, --latest and --discard", USAGE)
    with steps("endpoint.resume", id=identity):
        endpoint, resumed = opened_held().resume(identity, chosen[0] if chosen else None)
    _note("resumed", endpoint)
    if as_json:
        became = {"delivered": resumed.delivered, "dropped": resumed.dropped, "waiting": resumed.waiting}
        print_json({**_as_dict(endpoint), **became})
        return
    typer.echo(f"resumed {identity}: {resumed.delivered} held deliveries sent, {resumed.dropped} dropped")
    if resumed.waiting:
        typer.echo(f"{resumed.waiting} follow: a worker sends them as soon as it can")


@group.command()
@changing
def disable(
    identity: Id,
    reason: Annotated[str, typer.Option(help="Shown with every skipped delivery.")] = "disabled by an operator",
    as_json: Json = False,
) -> None:
    """Stop sending to it; deliveries end as skipped, and can be replayed when it is enabled.

    Example: notifier endpoints disable ep_5t2v… --reason 'customer asked'
    """
    from notifier.domain.endpoint import EndpointState

    with opened_stores() as stores:
        disabled = stores.endpoints.set_state(identity, EndpointState.DISABLED, reason)
    _note("disabled", disabled)
    _print(disabled, as_json)


@group.command()
@changing
def enable(identity: Id, as_json: Json = False) -> None:
    """Send to it again. What is held follows within a minute, as it is set to; what was skipped waits for a replay.

    Example: notifier endpoints enable ep_5t2v…
    """
    from notifier.domain.endpoint import EndpointState

    with opened_stores() as stores:
        enabled = stores.endpoints.set_state(identity, EndpointState.ENABLED)
    _note("enabled", enabled)
    _print(enabled, as_json)


@group.command()
@changing
def rotate(identity: Id, secret_file: SecretFile = None, as_json: Json = False) -> None:
    """Give it a new secret and print it; for a day the old one signs as well.

    Example: notifier endpoints rotate ep_5t2v…
    """
    secret = _secret(secret_file)
    with opened_stores() as stores:
        rotated = stores.endpoints.rotate(identity, secret=secret)
    _note("rotated", rotated)
    _print_secret(rotated, as_json)


@group.command()
@changing
def remove(identity: Id, yes: Yes = False) -> None:
    """Remove an endpoint for good.

    Example: notifier endpoints remove ep_5t2v… --yes
    """
    with opened_stores() as stores:
        found = stores.endpoints.get(identity)
        confirm(f"remove {found.id} ({found.url}, tenant {found.tenant})", yes)
        stores.endpoints.remove(identity)
    _note("removed", found)
    typer.echo(f"removed {identity}")


def _secret(file: typer.FileText | None) -> str:
    from notifier.channels.webhook.signing import read_secret

    if file is None:
        return ""
    secret = file.read(1024).strip()
    read_secret(secret)
    return secret


def _rate(text: str) -> str:
    from notifier.domain.limit import parse_rate

    try:
        return parse_rate(text).written if text else ""
    except ValueError as error:
        raise fail(f"--rate: {error}", USAGE) from error


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition(":")
    if not separator:
        raise fail(f"--header {name[:40]!r}: write 'Name: value'", USAGE)
    return name.strip(), value.strip()


def _policy(text: str) -> OnResume:
    from notifier.domain.endpoint import OnResume

    try:
        return OnResume(text)
    except ValueError:
        raise fail(f"--on-resume {text!r}: write deliver, latest or discard", USAGE) from None


def _note(verb: str, endpoint: Endpoint) -> None:
    from notifier.audit import about_endpoint

    note(f"endpoint.{verb}", **about_endpoint(endpoint))


def _remark(endpoint: Endpoint) -> str:
    if endpoint.breaker is not None:
        return endpoint.breaker.describe(time.time())
    return endpoint.reason or endpoint.description


def _as_dict(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "tenant": endpoint.tenant,
        "url": endpoint.url,
        "event_types": list(endpoint.event_types),
        "header_names": [name for name, _ in endpoint.headers],
        "state": endpoint.state.value,
        "reason": endpoint.reason,
        "automatic": endpoint.automatic,
        "description": endpoint.description,
        "rate": str(endpoint.rate or ""),
        "created": endpoint.created,
        "rotated": endpoint.rotated,
        "on_resume": endpoint.on_resume.value,
        "health": endpoint.breaker.describe(time.time()) if endpoint.breaker else "",
    }


def _print(endpoint: Endpoint, as_json: bool, held: int | None = None) -> None:
    if as_json:
        print_json({**_as_dict(endpoint), **({} if held is None else {"held": held})})
        return
    print_fields(
        [
            ("Endpoint", endpoint.id),
            ("Tenant", endpoint.tenant),
            ("URL", endpoint.url),
            ("Events", " ".join(endpoint.event_types)),
            ("Headers", ", ".join(name for name, _ in endpoint.headers)),
            ("State", endpoint.state.value + (" by itself: its deliveries are held" if endpoint.automatic else "")),
            ("Reason", endpoint.reason),
            ("Health", endpoint.breaker.describe(time.time()) if endpoint.breaker else ""),
            ("Held", "" if held is None else str(held)),
            ("On resume", endpoint.on_resume.value),
            ("Description", endpoint.description),
            ("Rate", endpoint.rate or ""),
            ("Created", moment(endpoint.created)),
            ("Rotated", moment(endpoint.rotated)),
        ]
    )


def _print_secret(endpoint: Endpoint, as_json: bool) -> None:
    if as_json:
        print_json({**_as_dict(endpoint), "secret": endpoint.secrets[0]})
        return
    _print(endpoint, as_json=False)
    typer.echo(f"\nSigning secret, shown this once:\n{endpoint.secrets[0]}")
