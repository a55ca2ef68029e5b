"""Mails that were not written here: the pages of Foundation for Emails, from npm, pinned in `npm/`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.servers.npm import installed, node

_HERE = Path(__file__).parent / "npm"


def real_mails() -> dict[str, str]:
    """Name → a page whose rules are all in ``<style>``."""
    done = subprocess.run([node(), "compile.cjs"], cwd=installed(_HERE), capture_output=True, text=True, check=True)
    pages: dict[str, str] = json.loads(done.stdout)
    return pages
