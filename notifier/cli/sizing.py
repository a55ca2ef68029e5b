"""``notifier size``: what so many deliveries a day need, by what one was measured to cost."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Annotated

import typer

from notifier.cli.printing import print_json, print_table
from notifier.rules.durations import seconds

if TYPE_CHECKING:
    from notifier.sizing.costs import Costs
    from notifier.sizing.estimate import Load, Needs

#: Behind a number; more than that is no number of deliveries.
_MANY = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_NUMBER = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?)([kMG]?)")
#: Bytes.
_GIB = 1024**3


def size(
    per_day: Annotated[str, typer.Option(help="Deliveries a day: 250000, 5M.", metavar="N")],
    webhooks: Annotated[str, typer.Option(help="Share of webhooks; the rest are mails.", metavar="SHARE")] = "50%",
    recipients: Annotated[str, typer.Option(help="Deliveries of one event.", metavar="N")] = "1",
    peak: Annotated[str, typer.Option(help="How many times as much the busiest hour has.", metavar="N")] = "3",
    failed: Annotated[str, typer.Option(help="Share that is tried again or fails.", metavar="SHARE")] = "2%",
    event_bytes: Annotated[str, typer.Option(help="Bytes of an event.", metavar="N")] = "1k",
    keep_sent: Annotated[str, typer.Option(help="NOTIFIER_RETENTION_SENT.", metavar="TIME")] = "7d",
    keep_failed: Annotated[str, typer.Option(help="NOTIFIER_RETENTION_FAILED.", metavar="TIME")] = "30d",
    outage: Annotated[str, typer.Option(help="How long all may wait in the broker.", metavar="TIME")] = "1h",
    redis_gib: Annotated[str, typer.Option(help="Memory of the largest Redis server.", metavar="GIB")] = "64",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what so many deliveries a day need: processes, cores, memory, disk.

    It multiplies what one delivery was measured to cost (docs/operations/sizing.md says where and how). Cores of your
    machines are faster or slower: `make bench` on one of them tells by how much.

    Example: notifier size --per-day 5M --webhooks 20%
    """
    from notifier.sizing.costs import measured
    from notifier.sizing.estimate import Load, estimate

    load = Load(
        deliveries_a_day=_number(per_day, "--per-day"),
        webhooks=_share(webhooks, "--webhooks"),
        recipients=_number(recipients, "--recipients", least=1),
        peak=_number(peak, "--peak", least=1),
        failed=_share(failed, "--failed"),
        event_bytes=_number(event_bytes, "--event-bytes"),
        sent_s=_time(keep_sent, "--keep-sent"),
        failed_s=_time(keep_failed, "--keep-failed"),
        outage_s=_time(outage, "--outage"),
    )
    costs = measured()
    needs = estimate(load, costs, _number(redis_gib, "--redis-gib") * _GIB)
    if as_json:
        print_json({"load": dataclasses.asdict(load), "needs": dataclasses.asdict(needs), "costs": costs.model_dump()})
        return
    _print(load, needs, costs)


def _print(load: Load, needs: Needs, costs: Costs) -> None:
    mean = load.deliveries_a_day / 86400
    typer.echo(
        f"{mean:,.0f} deliveries a second on average; in the busiest hour {needs.deliveries_s:,.0f}, "
        f"of {needs.events_s:,.0f} events."
    )
    servers = "1 server, or 2 with Sentinel" if needs.redis_servers == 1 else f"a Cluster of {needs.redis_servers}"
    rows = (
        ("workers", f"{needs.workers}", _cores(needs.worker_cores), f"{_mib(needs.workers_mib)} memory"),
        ("consumers", f"{needs.consumers}", _cores(needs.consumer_cores), f"{_mib(needs.consumers_mib)} memory"),
        ("RabbitMQ", "3 nodes", _cores(needs.broker_cores), f"{_bytes(needs.broker_bytes)} disk on each"),
        ("Redis", servers, _cores(needs.redis_cores), f"{_bytes(needs.redis_bytes)} memory"),
    )
    print_table("", ("What", "How many", "In use then", "And"), rows)
    typer.echo(f"What needs another server first: {needs.first}.")
    typer.echo(f"By costs measured {costs.date} ({costs.machine}).")


def _cores(cores: float) -> str:
    return f"{cores:,.1f} cores" if cores < 10 else f"{cores:,.0f} cores"


def _mib(mib: float) -> str:
    return _bytes(mib * 1024 * 1024)


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:,.3g} {unit}" if count < 100 else f"{count:,.0f} {unit}"
        count /= 1024
    return f"{count:,.3g} TiB"


def _number(text: str, option: str, least: float = 0.0) -> float:
    match = _NUMBER.fullmatch(text.replace(",", "").replace("_", ""))
    value = float(match[1]) * _MANY[match[2]] if match else 0.0
    if value <= 0 or value < least:
        at_least = f" of {least:g} or more" if least else " above 0"
        raise typer.BadParameter(f"{text!r} is not a number{at_least}, such as 250000 or 5M", param_hint=option)
    return value


def _share(text: str, option: str) -> float:
    match = _NUMBER.fullmatch(text.removesuffix("%"))
    value = float(match[1]) / (100 if text.endswith("%") else 1) if match and not match[2] else -1.0
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"{text!r} is not a share, such as 20% or 0.2", param_hint=option)
    return value


def _time(text: str, option: str) -> float:
    if (value := seconds(text)) is None:
        raise typer.BadParameter(f"{text!r} is not a time, such as 90m or 7d", param_hint=option)
    return value
