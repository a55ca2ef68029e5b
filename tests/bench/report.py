"""Figures of several runs → Markdown tables (median, least and most) and one JSON document."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from statistics import median
from typing import Any

from tests.bench.bars import Verdict, per_thousand, percentile, verdicts
from tests.bench.figures import BATCH, Figure

#: Which plain Celery figure a scenario is divided by.
_PEERS = {"email": "plain Celery, email", "webhook": "plain Celery, webhook", "whole way": "plain Celery, email"}
_HEAD = (
    "measured",
    "runs",
    "per second, median (min–max)",
    "× plain",
    "CPU-s/1000",
    "× less",
    "broker",
    "Redis",
    "sink",
    "peak RSS MiB",
    "deliveries a task",
)


def grouped(figures: Sequence[Figure]) -> dict[str, list[Figure]]:
    """By scenario, in the order they were first measured."""
    groups: dict[str, list[Figure]] = {}
    for figure in figures:
        groups.setdefault(figure.name, []).append(figure)
    return groups


def table(figures: Sequence[Figure]) -> str:
    """One row a scenario; CPU is in seconds per thousand events or deliveries."""
    groups = grouped(figures)
    rated = {name: runs for name, runs in groups.items() if runs[0].cpu or runs[0].latency_ms}
    return markdown(_HEAD, [_row(name, runs, groups) for name, runs in rated.items()])


def readings(figures: Sequence[Figure]) -> str:
    """What is neither a rate nor a latency: one row a reading."""
    rows = [
        (
            name,
            reading,
            str(len(runs)),
            _values([run.values[reading] for run in runs if reading in run.values]),
        )
        for name, runs in grouped(figures).items()
        for reading in runs[0].values
        if reading != BATCH
    ]
    return markdown(("scenario", "reading", "runs", "median (min–max)"), rows)


def bars(figures: Sequence[Figure]) -> str:
    """Every bar and whether it holds."""
    rows = [
        (v.bar.what, v.bar.text(v.bar.limit), v.bar.text(v.here) if v.slowness > 1 else "", _measured(v), v.word)
        for v in verdicts(grouped(figures))
    ]
    return markdown(("what", "bar", "as many times plain Celery", "measured", "bar is"), rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """One table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _measured(verdict: Verdict) -> str:
    return "" if verdict.measured is None else _number(verdict.measured)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def _row(name: str, runs: Sequence[Figure], groups: dict[str, list[Figure]]) -> tuple[str, ...]:
    if runs[0].latency_ms:
        return (name, str(len(runs)), _latency(runs), *("",) * (len(_HEAD) - 4), _batch(runs))
    rate, own = median(r.rate for r in runs), median(per_thousand(r, _role(r)) for r in runs)
    peers = groups.get(_PEERS.get(name.split(",", maxsplit=1)[0], ""), [])
    faster = f"{rate / median(p.rate for p in peers):.1f}" if peers else ""
    cheaper = f"{median(per_thousand(p, 'workers') for p in peers) / own:.1f}" if peers else ""
    beside = [f"{median(per_thousand(r, role) for r in runs):.2f}" for role in ("broker", "redis", "sink")]
    memory = f"{max(max(r.peak_rss.values()) for r in runs):.0f}"
    return (
        name,
        str(len(runs)),
        _spread([r.rate for r in runs]),
        faster,
        f"{own:.3f}",
        cheaper,
        *beside,
        memory,
        _batch(runs),
    )


def _role(figure: Figure) -> str:
    return "consumer" if "consumer" in figure.cpu else "workers"


def _spread(values: Sequence[float]) -> str:
    return f"**{median(values):,.0f}** ({min(values):,.0f}–{max(values):,.0f})"


def _values(values: Sequence[float]) -> str:
    return f"**{_number(median(values))}** ({_number(min(values))}–{_number(max(values))})"


def _batch(runs: Sequence[Figure]) -> str:
    seen = [run.values[BATCH] for run in runs if BATCH in run.values]
    return f"{median(seen):.1f}" if seen else ""


def _latency(runs: Sequence[Figure]) -> str:
    middle = [percentile(r.latency_ms, 50) for r in runs]
    late = [percentile(r.latency_ms, 99) for r in runs]
    return (
        f"p50 **{median(middle):.1f} ms** ({min(middle):.1f}–{max(middle):.1f}), "
        f"p99 {median(late):.1f} ms ({min(late):.1f}–{max(late):.1f})"
    )


def machine() -> dict[str, Any]:
    """What it ran on."""
    libraries = ("celery", "kombu", "gevent", "redis", "pika", "uvloop", "aiosmtplib", "httptools", "pydantic")
    return {
        "cpus": os.cpu_count(),
        "load_at_start": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": platform.system(),
        "libraries": {name: version(name) for name in libraries},
    }


def document(figures: Sequence[Figure], about: dict[str, Any]) -> str:
    """Every figure of every run, for those who compare releases."""
    entries = [
        {
            "name": f.name,
            "count": f.count,
            "seconds": round(f.seconds, 4),
            "per_second": round(f.rate, 1),
            "cpu_seconds_per_thousand": {role: round(per_thousand(f, role), 4) for role in f.cpu},
            "peak_rss_mib": {role: round(value, 1) for role, value in f.peak_rss.items()},
            "values": {name: round(value, 4) for name, value in f.values.items()},
            "sink": f.sink,
            **(
                {"latency_ms": {f"p{p}": round(percentile(f.latency_ms, p), 2) for p in (50, 90, 99)}}
                if f.latency_ms
                else {}
            ),
        }
        for f in figures
    ]
    judged = [
        {
            "what": v.bar.what,
            "bar": v.bar.text(v.bar.limit),
            "here": v.bar.text(v.here),
            "measured": v.measured,
            "verdict": v.word,
        }
        for v in verdicts(grouped(figures))
    ]
    return json.dumps({"machine": about, "figures": entries, "bars": judged}, indent=2)
