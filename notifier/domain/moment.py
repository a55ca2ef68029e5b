"""Times as CloudEvents writes them (RFC 3339 §5.6) → `datetime`, to the microsecond.

What was published travels as its text: its zone, its nanoseconds and its leap second have no place in a `datetime`.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

#: RFC 3339's grammar, without the 24:00 that Python 3.14 reads; whether the day exists is `datetime`'s business. Nobody
#: has a clock with more than 18 decimals.
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,36})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
).fullmatch
EXPECTED = "expected an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z"


def read_moment(text: str) -> datetime:
    """Raises ``ValueError`` for anything but an RFC 3339 time."""
    if not _RFC3339(text):
        raise ValueError(EXPECTED)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _read_unusual(text.upper())


def write_moment(moment: datetime) -> str:
    """The shortest RFC 3339 of it."""
    return moment.isoformat().replace("+00:00", "Z")


def _read_unusual(text: str) -> datetime:
    """Lower-case letters; second 60 as the last microsecond before the next minute (RFC 3339 §5.7)."""
    is_leap = text[17:19] == "60"
    if is_leap:
        text = text[:17] + "59.999999" + text[19:].lstrip(".0123456789")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"there is no such day or time; {EXPECTED}") from None
    if is_leap and not _ends_a_day(moment):
        raise ValueError(f"a leap second is the last of a day in UTC; {EXPECTED}")
    return moment


def _ends_a_day(moment: datetime) -> bool:
    minutes = timedelta(hours=moment.hour, minutes=moment.minute) - (moment.utcoffset() or timedelta())
    return minutes % timedelta(days=1) == timedelta(hours=23, minutes=59)
