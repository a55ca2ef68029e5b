"""``python -m tests.matrix [brokers … | SCENARIO …] [--server NAME …] [--count 2000] [--against CHECKOUT]``."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.progress import say
from tests.bench.report import markdown
from tests.matrix import refusals, scenarios, whole
from tests.matrix.builds import Build
from tests.matrix.scenarios import Row
from tests.servers.certificates import Certificate, make_certificate
from tests.servers.mail.options import NotOffered
from tests.servers.processes import ServerBroken

SCENARIOS = ("once", "limited", "refused", "turned-away", "sizes", "utf8", "logins", "greylist", "unchanged", "whole")
_HEAD = ("server", "version", "scenario", "build", "mails", "arrived", "twice", "tries spent", "seconds", "", "bar")


def main() -> int:
    """The exit code: whether this build meets every bar; the other one is only measured."""
    if sys.argv[1:2] == ["brokers"]:
        # Imported here: it needs no mail server.
        from tests.matrix import brokers

        return brokers.main(sys.argv[2:])
    options = _parse()
    builds = [Build("this")] + ([Build("other", options.against.resolve())] if options.against else [])
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(Path(folder))
        for name in options.scenario or SCENARIOS:
            for build in builds:
                rows += _run(name, build, options, certificate)
    print(markdown(_HEAD, [_cells(row) for row in rows]))  # the report
    return int(any(not row.met for row in rows if row.build == "this"))


def _run(name: str, build: Build, options: argparse.Namespace, certificate: Certificate) -> Iterator[Row]:
    if name == "whole":
        for row in whole.run(build):
            say(" | ".join(map(str, _cells(row))))
            yield row
        return
    for server in options.server or scenarios.SERVERS:
        try:
            for row in _of(name, build, server, options.count, certificate):
                say(" | ".join(map(str, _cells(row))))
                yield row
        except NotOffered:
            continue
        except (ServerBroken, AssertionError) as error:
            say(f"{server}, {name}: {error}")
            yield Row(server, "", name, build.name, 0, 0, 0, 0, 0, str(error).splitlines()[0][:120], met=False)


def _of(name: str, build: Build, server: str, count: int, certificate: Certificate) -> Iterator[Row]:
    if name == "once":
        return scenarios.every_mail_once(build, server, count)
    if name == "logins":
        return scenarios.logins(build, server, certificate)
    made: Callable[[Build, str], Iterator[Row]] = {
        "limited": scenarios.limited,
        "refused": refusals.refused,
        "turned-away": refusals.turned_away,
        "sizes": scenarios.sizes,
        "utf8": scenarios.utf8_not_offered,
        "greylist": scenarios.greylisted,
        "unchanged": scenarios.unchanged,
    }[name]
    return made(build, server)


def _cells(row: Row) -> tuple[str, ...]:
    shown = "met" if row.met else "**missed**"
    values = (
        row.server, row.version, row.scenario, row.build, row.mails, row.arrived, row.twice, row.tries,
        row.seconds, row.note.strip().replace("|", "/"), shown,
    )  # fmt: skip
    return tuple(map(str, values))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make matrix ARGS=…", description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], help="all when none is named")
    parser.add_argument("--server", action="append", choices=scenarios.SERVERS, help="only this one; repeatable")
    parser.add_argument("--count", type=int, default=2000, help="mails to each server")
    parser.add_argument("--against", type=Path, help="another checkout, with its own .venv, measured beside this one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
