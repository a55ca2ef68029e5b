"""Durations as people write them: ``90s``, ``15m``, ``6h``, ``2d``; a plain number is seconds."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd]?)")
#: Nothing here waits longer than a year; a longer number is a slip of the unit.
MAX_SECONDS = 366 * 86400


def seconds(text: str) -> float | None:
    """The duration in seconds; None when it is not one, or not between 1 s and a year."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    value = float(match[1]) * _UNITS.get(match[2], 1)
    return value if 1 <= value <= MAX_SECONDS else None


def written(value: float) -> str:
    """A duration as people read it: ``90s``, ``15m``, ``1h 30m``, ``3d 2h``; the two largest units."""
    parts = []
    rest = round(value)
    for unit, size in reversed(_UNITS.items()):
        if rest >= size:
            parts.append(f"{rest // size}{unit}")
            rest %= size
    return " ".join(parts[:2]) or "0s"
