"""``python -m tests.bench [--quick] [--only NAME …] [--runs 3] [--json FILE]``: prints Markdown tables.

Runs are interleaved: each goes through all scenarios, so that a busy minute of the machine spoils one run of each and
not all runs of one. A run that would not end within the time limit is not begun.
"""

import argparse
import platform
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import gauges, report
from tests.bench.bars import percentile
from tests.bench.figures import Figure, Sizes
from tests.bench.progress import say
from tests.bench.scenarios import Round
from tests.bench.sinks import INSTALL
from tests.bench.stage import Stage
from tests.bench.waiting import BenchFailed
from tests.servers.processes import ServerMissing

#: Seconds after which no further run is begun that would end later.
LIMIT_S, QUICK_LIMIT_S = 1200.0, 60.0


def main() -> int:
    """The exit code."""
    options = _parse()
    about, figures, stolen, failed = report.machine(), list[Figure](), list[float](), False
    try:
        _measure(options, figures, stolen)
    except (ServerMissing, BenchFailed) as error:
        say(f"failed, and not in the tables: {error}")
        failed = True
    if not figures:
        if not failed:
            say(f"no scenario's name contains {' or '.join(options.only)}")
        return 1 if failed else 2
    _print(options, figures)
    if any(stolen):
        shares = ", ".join(f"{share:.0%}" for share in stolen)
        print(f"\nOf the CPU time that the runs asked for, the hypervisor gave to other machines: {shares}.")
    if options.json:
        Path(options.json).write_text(report.document(figures, {**about, "stolen": stolen}) + "\n")
    return 1 if failed else 0


def _print(options: argparse.Namespace, figures: list[Figure]) -> None:
    print(report.table(figures), report.readings(figures), report.bars(figures), sep="\n\n")
    print(f"\nMeasured with {platform.python_implementation()} {platform.python_version()}.")
    if options.quick:
        sizes = Sizes.quick()
        print(f"\nA quick run: {sizes.flood:,} wait instead of 200,000, {sizes.people:,} people instead of 100,000.")
    slow = sorted({f.sink for f in figures if f.sink.startswith("Python") and not f.latency_ms})
    if slow:
        print(f"\nSent to a {' and a '.join(slow)}, which takes CPU from the workers: {INSTALL} installs faster ones.")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures the service on this machine.")
    parser.add_argument("--quick", action="store_true", help="one run with small counts, about a minute and a half")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="scenarios whose name contains one of these"
    )
    parser.add_argument("--runs", type=int, default=3, help="runs through all scenarios (3)")
    parser.add_argument("--json", metavar="FILE", help="write every figure of every run there")
    return parser.parse_args()


def _measure(options: argparse.Namespace, figures: list[Figure], stolen: list[float]) -> None:
    """Adds each figure as it is known, so that a scenario that fails takes none with it; and what a run did not get."""
    sizes = Sizes.quick() if options.quick else Sizes()
    runs, limit = (1, QUICK_LIMIT_S) if options.quick else (options.runs, LIMIT_S)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="notifier-bench-") as directory:
        say("starting RabbitMQ, Redis and the sinks")
        stage = Stage(Path(directory))
        try:
            for number in range(1, runs + 1):
                started, wanted = time.monotonic(), gauges.Wanted.now()
                _run(stage, sizes, options.only, f"run {number} of {runs}", figures)
                took = time.monotonic() - started
                stolen.append(gauges.Wanted.now().stolen_since(wanted))
                if number < runs and time.monotonic() - began + took > limit:
                    say(f"stopping after run {number}: another would end after the limit of {limit:.0f} s")
                    break
        finally:
            if complaints := stage.complaints():
                say(f"the service logged {len(complaints)} warnings or errors; the first: {complaints[0]:.1000}")
            stage.close()
    say(f"done in {time.monotonic() - began:.0f} s")


def _run(stage: Stage, sizes: Sizes, only: list[str], title: str, figures: list[Figure]) -> None:
    def wanted(name: str) -> bool:
        return not only or any(part in name for part in only)

    for figure in Round(stage, sizes, wanted, lambda what: say(f"{title}: {what}")).figures():
        say(f"{title}: {figure.name}: {_short(figure)}")
        figures.append(figure)


def _short(figure: Figure) -> str:
    if not figure.cpu and not figure.latency_ms:
        return ", ".join(f"{name} {value:,.1f}" for name, value in figure.values.items())
    if figure.latency_ms:
        return f"p50 {percentile(figure.latency_ms, 50):.1f} ms, p99 {percentile(figure.latency_ms, 99):.1f} ms"
    return f"{figure.rate:,.0f}/s"


if __name__ == "__main__":
    sys.exit(main())
