"""``python -m notifier.cli``: the same as the ``notifier`` script, for places where scripts are not on the path."""

from __future__ import annotations

from notifier.cli import main

if __name__ == "__main__":
    main()
