"""Figures of several runs → one Markdown table (median, least and most) and one JSON document."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from statistics import median
from typing import Any

from tests.bench.scenarios import Figure

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
    "tasks",
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
    rows = [_row(name, runs, groups) for name, runs in groups.items()]
    lines = [_HEAD, tuple("---" for _ in _HEAD), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _row(name: str, runs: Sequence[Figure], groups: dict[str, list[Figure]]) -> tuple[str, ...]:
    if runs[0].latency_ms:
        return (name, str(len(runs)), _latency(runs), *("",) * (len(_HEAD) - 3))
    rate, own = median(r.rate for r in runs), median(_per_thousand(r, _role(r)) for r in runs)
    peers = groups.get(_PEERS.get(name.split(",", maxsplit=1)[0], ""), [])
    faster = f"{rate / median(p.rate for p in peers):.1f}" if peers else ""
    cheaper = f"{median(_per_thousand(p, 'workers') for p in peers) / own:.1f}" if peers else ""
    beside = [f"{median(_per_thousand(r, role) for r in runs):.2f}" for role in ("broker", "redis", "sink")]
    memory = f"{max(max(r.peak_rss.values()) for r in runs):.0f}"
    tasks = str(max(r.batches for r in runs) or "")
    return (
        name,
        str(len(runs)),
        _spread([r.rate for r in runs]),
        faster,
        f"{own:.3f}",
        cheaper,
        *beside,
        memory,
        tasks,
    )


def _role(figure: Figure) -> str:
    return "consumer" if "consumer" in figure.cpu else "workers"


def _per_thousand(figure: Figure, role: str) -> float:
    return figure.cpu.get(role, 0.0) / figure.count * 1000


def _spread(values: Sequence[float]) -> str:
    return f"**{median(values):,.0f}** ({min(values):,.0f}–{max(values):,.0f})"


def _latency(runs: Sequence[Figure]) -> str:
    middle = [percentile(r.latency_ms, 50) for r in runs]
    late = [percentile(r.latency_ms, 99) for r in runs]
    return (
        f"p50 **{median(middle):.1f} ms** ({min(middle):.1f}–{max(middle):.1f}), "
        f"p99 {median(late):.1f} ms ({min(late):.1f}–{max(late):.1f})"
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest rank."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def machine() -> dict[str, Any]:
    """What it ran on."""
    libraries = ("celery", "kombu", "gevent", "redis", "pika", "uvloop", "aiosmtplib", "aiohttp", "pydantic")
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
            "cpu_seconds_per_thousand": {role: round(_per_thousand(f, role), 4) for role in f.cpu},
            "peak_rss_mib": {role: round(value, 1) for role, value in f.peak_rss.items()},
            "tasks": f.batches,
            "sink": f.sink,
            **(
                {"latency_ms": {f"p{p}": round(percentile(f.latency_ms, p), 2) for p in (50, 90, 99)}}
                if f.latency_ms
                else {}
            ),
        }
        for f in figures
    ]
    return json.dumps({"machine": about, "figures": entries}, indent=2)
