"""``python -m tests.bench.scale.measure NAME SIZE``: one figure of one curve, as JSON on the last line of stdout."""

import json
import sys
import tempfile
from pathlib import Path

from tests.bench.scale.curves import CURVES


def main() -> None:
    """Measure and print."""
    name, size = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="notifier-scale-") as folder:
        figure = CURVES[name].measure(size, Path(folder))
    sys.stdout.write(json.dumps({"curve": name, "size": size, "figure": figure}) + "\n")


if __name__ == "__main__":
    main()
