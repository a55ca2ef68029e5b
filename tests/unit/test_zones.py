"""Local times come from the tz database that the package brings, whatever zone files the host has."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, reset_tzpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier import zones
from notifier.zones import VERSION, find_zone, host_version, zone_advice

_NAMES = sorted(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())

#: Places whose clocks hosts of 2025 get wrong: zone, moment, local time, and the tz release that announced it.
#: https://www.iana.org/time-zones/releases/2026b and so on.
ANNOUNCED = [
    ("America/Vancouver", "2026-12-01T17:00:00Z", "2026-12-01T10:00:00-07:00", "2026b: British Columbia keeps -07"),
    ("Canada/Pacific", "2027-01-15T12:00:00Z", "2027-01-15T05:00:00-07:00", "2026b: its old name"),
    ("America/Vancouver", "2026-11-01T08:59:59Z", "2026-11-01T01:59:59-07:00", "2026b: no hour comes twice"),
    ("America/Vancouver", "2026-11-01T09:00:00Z", "2026-11-01T02:00:00-07:00", "2026b: no hour comes twice"),
    ("America/Edmonton", "2026-12-01T17:00:00Z", "2026-12-01T11:00:00-06:00", "2026c: Alberta keeps -06"),
    ("America/Yellowknife", "2026-12-01T17:00:00Z", "2026-12-01T11:00:00-06:00", "2026c: a link to Edmonton"),
    ("Africa/Casablanca", "2026-09-19T12:00:00Z", "2026-09-19T13:00:00+01:00", "2026c: the day before"),
    ("Africa/Casablanca", "2026-09-20T12:00:00Z", "2026-09-20T12:00:00+00:00", "2026c: Morocco is +00 from 2026-09-20"),
    ("Africa/El_Aaiun", "2026-12-01T17:00:00Z", "2026-12-01T17:00:00+00:00", "2026c: Western Sahara too"),
    ("Africa/Casablanca", "2027-02-15T12:00:00Z", "2027-02-15T12:00:00+00:00", "2026c: no Ramadan rule any more"),
    ("America/Inuvik", "2026-12-01T17:00:00Z", "2026-12-01T11:00:00-06:00", "2026d: Northwest Territories keep -06"),
    ("America/Winnipeg", "2026-12-01T17:00:00Z", "2026-12-01T12:00:00-05:00", "2026e: Manitoba keeps -05"),
    ("America/Rainy_River", "2026-12-01T17:00:00Z", "2026-12-01T12:00:00-05:00", "2026e: a link to Winnipeg"),
    ("America/Havana", "2026-12-01T17:00:00Z", "2026-12-01T13:00:00-04:00", "2026f: Cuba does not fall back in 2026"),
    ("America/Havana", "2027-12-01T17:00:00Z", "2027-12-01T12:00:00-05:00", "2026f: and does again on 2027-11-07"),
    ("Europe/Vienna", "2026-12-01T17:00:00Z", "2026-12-01T18:00:00+01:00", "unchanged"),
]
_MOMENTS = st.integers(-(2**31), 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
#: Whose rules those places had until then, as the host's files of 2025 still say.
_BEFORE = {
    "America/Vancouver": "America/Los_Angeles",
    "America/Edmonton": "America/Denver",
    "America/Winnipeg": "America/Chicago",
    "America/Havana": "America/New_York",
    "Africa/Casablanca": "Africa/Lagos",
}


@pytest.fixture
def old_host(tmp_path: Path) -> Iterator[Path]:
    """A folder of zone files in which those places have the rules they had in 2025, as the host's own."""
    before = TZPATH
    for name, source in _BEFORE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(files("tzdata").joinpath("zoneinfo", *source.split("/")).read_bytes())
    (tmp_path / "tzdata.zi").write_text("# version 2025b\n# This zic input file is in the public domain.\n")
    reset_tzpath((str(tmp_path),))
    ZoneInfo.clear_cache()
    find_zone.cache_clear()
    yield tmp_path
    reset_tzpath(before)
    ZoneInfo.clear_cache()
    find_zone.cache_clear()


@pytest.mark.parametrize(("zone", "moment", "local", "release"), ANNOUNCED, ids=lambda value: str(value)[:40])
def test_a_place_has_the_time_that_was_announced_also_on_a_host_of_2025(
    old_host: Path, zone: str, moment: str, local: str, release: str
) -> None:
    assert datetime.fromisoformat(moment).astimezone(find_zone(zone)).isoformat() == local, f"{old_host}: {release}"


@given(st.sampled_from(_NAMES), _MOMENTS)
def test_every_zone_is_the_packages_at_every_moment(name: str, moment: datetime) -> None:
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        packaged = ZoneInfo.from_file(file)
    found, expected = moment.astimezone(find_zone(name)), moment.astimezone(packaged)
    assert (found.isoformat(), found.tzname()) == (expected.isoformat(), expected.tzname())


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Olympus", "europe/vienna", "Europe", "../Europe/Vienna", "/etc/localtime", "Europe/Vienna\0", "zürich"],
)
def test_a_name_that_is_not_in_the_tz_database_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"there is no time zone .*; use a name such as Europe/Vienna"):
        find_zone(name)


def test_mails_of_a_process_that_started_on_an_old_host_have_the_new_times(old_host: Path, tmp_path: Path) -> None:
    # Given a template that shows a time, and a process of its own with the old zone files in its environment
    folder = tmp_path / "templates" / "a.b"
    folder.mkdir(parents=True)
    to = '[{"email": "a@example.org", "timezone": "America/Edmonton"}]'
    (folder / "rules.yaml").write_text(
        f"event: a.b\nrules:\n  - id: one\n    channel: email\n    transactional: true\n    to: '{to}'\n"
    )
    (folder / "email.subject.j2").write_text("{{ event.time | datetime }} / {{ event.time | time('America/Havana') }}")
    (folder / "email.text.j2").write_text("-")
    event = (
        '{"specversion": "1.0", "id": "1", "source": "/s", "type": "a.b", "time": "2026-12-01T17:00:00Z", "data": {}}'
    )
    # When it is explained
    done = subprocess.run(
        [sys.executable, "-m", "notifier.cli", "explain", "--no-endpoints", "-"],
        input=event,
        env={**os.environ, "PYTHONTZPATH": str(old_host), "NOTIFIER_TEMPLATES": str(folder.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    # Then Alberta and Cuba have kept their summer time
    assert "1 December 2026, 11:00 CST / 13:00" in done.stdout, done.stdout + done.stderr


def test_a_zone_that_the_host_has_otherwise_is_told_once(old_host: Path, caplog: pytest.LogCaptureFixture) -> None:
    for zone in ("America/Edmonton", "America/Edmonton", "Europe/Vienna"):
        find_zone(zone)

    (told,) = [record for record in caplog.records if record.message == "zones.differ"]
    fields = vars(told)["fields"]
    assert (told.levelno, fields["zone"], fields["host_version"]) == (logging.WARNING, "America/Edmonton", "2025b")
    assert fields["version"] == VERSION
    assert fields["shown"] != fields["host"], old_host


def test_a_host_with_newer_zones_is_a_reason_to_install_newer_ones_here(old_host: Path) -> None:
    today = date(int(VERSION[:4]), 12, 31)
    assert (host_version(), list(zone_advice(today))) == ("2025b", [])

    (old_host / "tzdata.zi").unlink()
    (old_host / "+VERSION").write_text("2099a\n")
    assert [problem.what for problem in zone_advice(today)] == [
        f"this host has newer time zones (2099a) than the package in use ({VERSION})"
    ]


def test_zones_of_a_year_that_ended_half_a_year_ago_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones, "VERSION", "2026f")
    assert list(zone_advice(date(2027, 7, 2))) == []
    assert [problem.where for problem in zone_advice(date(2027, 7, 3))] == ["tzdata"]
