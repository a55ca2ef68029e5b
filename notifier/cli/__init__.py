"""``notifier <verb>``: one module per group of verbs; `application` puts them together.

Modules import only typer at the top; whatever a verb needs is imported when it runs, so that ``notifier --help``
answers at once and ``notifier worker`` starts Celery before anything could be imported unpatched.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The console script. Publishers install the package without the extra that holds the command line."""
    try:
        from notifier.cli.application import run
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("notifier", "consumers"):
            raise
        sys.stderr.write(
            f"notifier: the Python package {error.name!r} is missing: the service is not installed whole.\n"
            "Install it with what it needs: pip install notifier-events (from a checkout: pip install .)\n"
        )
        raise SystemExit(2) from error
    run()
