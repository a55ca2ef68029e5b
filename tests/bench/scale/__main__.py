"""``python -m tests.bench.scale [NAME …] [--before FOLDER] [--json FILE]``: every curve, as one table.

Exit code 1 when a target is not met.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.progress import say
from tests.bench.report import machine, markdown
from tests.bench.scale.builds import ROOT, beside, figure
from tests.bench.scale.curve import Curve
from tests.bench.scale.curves import all_curves
from tests.bench.waiting import BenchFailed
from tests.servers.processes import ServerMissing

_HEAD = ("curve", "build", "sizes", "figures", "exponent", "target at the largest", "is")


def main() -> int:
    """The exit code."""
    options = _parse()
    rows, all_met = list[dict[str, Any]](), True
    with tempfile.TemporaryDirectory(prefix="notifier-before-") as folder:
        builds = {"now": ROOT}
        if options.before:
            builds = {"before": beside(Path(folder), Path(options.before)), **builds}
        for module, curve in all_curves():
            if options.names and curve.name not in options.names:
                continue
            try:
                found = _measured(module, curve, builds)
            except (BenchFailed, ServerMissing) as error:
                say(f"{curve.name}: {error}")
                return 1
            rows += found
            all_met = all_met and found[-1]["met"]
    print(markdown(_HEAD, [_cells(row) for row in rows]), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": machine(), "curves": rows}, indent=2) + "\n")
    return 0 if all_met else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description="What grows with a size.")
    names = [curve.name for _, curve in all_curves()]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names)}; all when none is given")
    parser.add_argument("--before", metavar="FOLDER", help="a checkout of another build, measured too")
    parser.add_argument("--json", metavar="FILE", help="write every row there")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"no curve is called {' or '.join(sorted(unknown))}: choose from {', '.join(names)}")
    return options


def _measured(module: str, curve: Curve, builds: dict[str, Path]) -> list[dict[str, Any]]:
    """One row a build; at each size all builds are measured in turn."""
    figures: dict[str, list[float | None]] = {build: [] for build in builds}
    for size in curve.sizes:
        for build, folder in builds.items():
            found = figure(module, curve, size, folder)
            figures[build].append(found)
            say(f"{curve.name} of {size:,} ({build}): {_figure(found)} {curve.unit}")
    return [_row(curve, build, found) for build, found in figures.items()]


def _row(curve: Curve, build: str, figures: Sequence[float | None]) -> dict[str, Any]:
    known = [found for found in figures if found is not None]
    complete = len(known) == len(curve.sizes)
    return {
        "curve": curve.name,
        "what": curve.what,
        "build": build,
        "unit": curve.unit,
        "sizes": curve.sizes,
        "figures": figures,
        "exponent": curve.exponent(known) if complete else None,
        "target": curve.target,
        "better": curve.better,
        "met": complete and curve.is_met(known),
    }


def _cells(row: dict[str, Any]) -> Sequence[str]:
    return (
        f"{row['curve']}: {row['what']} ({row['unit']})",
        row["build"],
        " / ".join(f"{size:,}" for size in row["sizes"]),
        " / ".join(map(_figure, row["figures"])),
        "" if row["exponent"] is None else f"{row['exponent']:+.2f}",
        f"{'≤' if row['better'] == 'less' else '≥'} {_figure(row['target'])}",
        ("met" if row["met"] else "not met") if row["build"] == "now" else "",
    )


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
