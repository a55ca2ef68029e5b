"""``python -m tests.bench.scale.measure MODULE NAME SIZE``: one figure of a curve, as JSON on the last line."""

import json
import sys
import tempfile
from pathlib import Path

from tests.bench.scale.curves import curves_in


def main() -> None:
    """Measure and print."""
    module, name, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with tempfile.TemporaryDirectory(prefix="notifier-scale-") as folder:
        figure = curves_in(module)[name].measure(size, Path(folder))
    sys.stdout.write(json.dumps({"curve": name, "size": size, "figure": figure}) + "\n")


if __name__ == "__main__":
    main()
