"""The build that is measured: this one, or the `notifier` and `consumers` of another checkout under these benches."""

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.scale.curve import Curve
from tests.bench.waiting import BenchFailed

ROOT = Path(__file__).parents[3]
#: Seconds for one figure.
_PATIENCE_S = 900
#: What of a checkout is the service; the rest is the bench, and always ours.
_SERVICE = ("notifier", "consumers", "templates")


def beside(folder: Path, build: Path) -> Path:
    """A folder in which Python finds that build's service and our benches."""
    for entry in ROOT.iterdir():
        if not entry.name.startswith("."):
            source = build / entry.name if entry.name in _SERVICE else entry
            (folder / entry.name).symlink_to(source.resolve(), target_is_directory=entry.is_dir())
    return folder


def figure(module: str, curve: Curve, size: int, folder: Path = ROOT) -> float | None:
    """Measured in a process of its own; None when that build has not what the curve asks for."""
    patched = ["-m", "gevent.monkey", "--module"] if curve.greenlets else ["-m"]
    command = [sys.executable, *patched, "tests.bench.scale.measure", module, curve.name, str(size)]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    if run.returncode == 0:
        return float(json.loads(run.stdout.splitlines()[-1])["figure"])
    if folder != ROOT and _is_not_there(run.stderr):
        return None
    raise BenchFailed(f"{curve.name} at {size}: {run.stderr.strip()[-2000:]}")


def _is_not_there(stderr: str) -> bool:
    last = stderr.strip().rpartition("\n")[2]
    return last.startswith(("ImportError", "ModuleNotFoundError", "AttributeError", "TypeError"))
