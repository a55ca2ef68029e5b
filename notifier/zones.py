"""Time zones by name, from the `tzdata` package alone, and which release of the tz database that is.

`ZoneInfo(name)` takes the host's zone files before the package's: those of Debian 12 (2025b) are an hour off in
Alberta, British Columbia, Manitoba, Cuba and Morocco from autumn 2026 on. Every zone that a person is shown a time in
is found here. Rejected: `zoneinfo.reset_tzpath(())` at the start of each process; a role that forgets it, or a library
that asked before, is wrong in silence.
"""

from __future__ import annotations

import logging
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

import tzdata  # type: ignore[import-untyped]

from notifier.errors import Problem
from notifier.logs import get, wide

_log = get("zones")

#: The release of the tz database, such as ``2026f``; the releases of a year are lettered.
VERSION: str = tzdata.IANA_VERSION
#: A release names its year only. There has been one every year since 1993, so half a year later there is a newer one.
_STALE = timedelta(days=183)
_FIX = "install a newer release of the Python package tzdata"
#: A host's file is compared at one moment of each month, from a year ago to two years ahead.
_COMPARED = [timedelta(days=30.4 * month) for month in range(-12, 24)]


@lru_cache(maxsize=1024)
def find_zone(name: str) -> tzinfo:
    """The zone. Raises ``ValueError`` for a name that is not in the tz database, where capitals count."""
    if name not in _names():
        raise ValueError(f"there is no time zone {name[:40]!r}; use a name such as Europe/Vienna")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        zone = ZoneInfo.from_file(file, key=name)
    _tell_difference(name, zone)
    return zone


def host_version() -> str:
    """The release of the host's zone files, which are not used; empty where none says it."""
    return next((found for folder in _folders() if (found := _version_in(folder))), "")


def zone_advice(today: date) -> Iterator[Problem]:
    """Why the time zones in force are not the newest, where that can be known."""
    ends = date(int(VERSION[:4]), 12, 31)
    if today > ends + _STALE:
        yield Problem("tzdata", f"the time zones are those of {ends.year}: local times may be an hour off", _FIX)
    elif (host := host_version()) > VERSION:
        yield Problem("tzdata", f"this host has newer time zones ({host}) than the package in use ({VERSION})", _FIX)


@cache
def _names() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def _folders() -> list[Path]:
    return [Path(folder) for folder in zoneinfo.TZPATH]


def _version_in(folder: Path) -> str:
    """The first line of `tzdata.zi` is ``# version 2025b``; BSDs and macOS write a file ``+VERSION``."""
    for name in ("tzdata.zi", "+VERSION"):
        try:
            with (folder / name).open(encoding="ascii") as file:
                return file.readline(80).removeprefix("# version ").strip()
        except (OSError, ValueError):
            continue
    return ""


def _tell_difference(name: str, ours: tzinfo) -> None:
    """Once for each zone of a process: other programs on this host show another time than our mails."""
    theirs = next((zone for folder in _folders() if (zone := _zone_in(folder, name))), ours)
    now = datetime.now(UTC).replace(microsecond=0)
    for at in (now + distance for distance in _COMPARED):
        here, there = at.astimezone(ours), at.astimezone(theirs)
        if here.utcoffset() != there.utcoffset():
            told = {"shown": here.isoformat(), "host": there.isoformat()}
            versions = {"version": VERSION, "host_version": host_version()}
            wide(_log, "zones.differ", level=logging.WARNING, zone=name, **told, **versions)
            return


def _zone_in(folder: Path, name: str) -> tzinfo | None:
    try:
        with (folder / name).open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (OSError, ValueError):
        return None
