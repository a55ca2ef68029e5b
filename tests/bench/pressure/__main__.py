"""``python -m tests.bench.pressure NAME … [--quick] [--minutes 10] [--json FILE]``: one Markdown table a scenario.

Each scenario has servers of its own. Exit code 1 when anything was lost.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.pressure import endpoints, news, relay_limit, relay_throttle, soak, strangers, tenants
from tests.bench.pressure.findings import Finding, document, table
from tests.bench.progress import say
from tests.bench.report import machine
from tests.bench.stage import Stage
from tests.bench.waiting import BenchFailed
from tests.servers.processes import ServerMissing

Run = Callable[[Stage], Finding]
NAMES = ("endpoints", "relay-limit", "relay-throttle", "tenants", "fan-out", "strangers", "soak")


def main() -> int:
    """The exit code."""
    options = _parse()
    about, findings = machine(), []
    for name in options.names or NAMES:
        try:
            finding = _run(name, _scenario(name, options))
        except (BenchFailed, ServerMissing) as error:
            say(f"{name}: {error}")
            return 1
        print(table(finding), end="\n\n", flush=True)
        findings.append(finding)
    if options.json:
        Path(options.json).write_text(document(findings, about) + "\n")
    return 1 if any(finding.lost for finding in findings) else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pressure", description="The service under pressure.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; all when none is given")
    parser.add_argument("--quick", action="store_true", help="small counts and short times, for a look")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the soak lasts (10)")
    parser.add_argument("--json", metavar="FILE", help="write every row there")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no scenario is called {' or '.join(sorted(unknown))}: choose from {', '.join(NAMES)}")
    return options


def _scenario(name: str, options: argparse.Namespace) -> Run:
    quick: bool = options.quick
    runs: dict[str, Run] = {
        "endpoints": partial(endpoints.run, quick=quick),
        "relay-limit": partial(relay_limit.run, quick=quick),
        "relay-throttle": partial(relay_throttle.run, quick=quick),
        "tenants": partial(tenants.run, quick=quick),
        "fan-out": partial(news.run, quick=quick),
        "strangers": partial(strangers.run, quick=quick),
        "soak": partial(soak.run, minutes=1.5 if quick else options.minutes),
    }
    return runs[name]


def _run(name: str, scenario: Run) -> Finding:
    say(f"{name}: starting RabbitMQ, Redis and the receivers")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="notifier-pressure-") as directory:
        stage = Stage(Path(directory))
        try:
            finding = scenario(stage)
        finally:
            complaints = stage.complaints()
            stage.close()
    if complaints:
        say(f"{name}: the service logged {len(complaints)} warnings or errors; the first: {complaints[0]:.500}")
    say(f"{name}: done in {time.monotonic() - began:.0f} s")
    return finding


if __name__ == "__main__":
    sys.exit(main())
