"""``python -m tests.mistakes``: how many of the mistakes are told."""

import sys
import tempfile
from pathlib import Path

from notifier.checks.content import check
from tests.mistakes.patches import is_told, loaded_shop, mistakes, told_of


def main() -> int:
    shop = loaded_shop()
    missed, count = [], 0
    for mistake in mistakes():
        count += 1
        with tempfile.TemporaryDirectory() as folder:
            if not is_told(mistake, told_of(mistake, Path(folder), shop)):
                missed.append(mistake)
    for mistake in missed:
        sys.stdout.write(f"not told: {mistake.name} {mistake.at}: {mistake.told}\n")
    sys.stdout.write(f"told: {count - len(missed)} of {count} ({(count - len(missed)) / count:.1%})\n")
    sys.stdout.write(f"said of the shop's own templates, which are right: {len(check(shop))}\n")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
