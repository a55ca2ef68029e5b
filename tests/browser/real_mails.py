"""Mails that were not written here: the pages of Foundation for Emails, from npm, pinned in `npm/`."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from tests.servers.mail.machines import cache
from tests.servers.processes import ServerBroken, find_binary

_HERE = Path(__file__).parent / "npm"
#: Seconds; it downloads about 100 small packages once.
_INSTALL_TIMEOUT = 300


def real_mails() -> dict[str, str]:
    """Name → a page whose rules are all in ``<style>``."""
    node = find_binary("node", install="apt-get install nodejs")
    done = subprocess.run([node, "compile.cjs"], cwd=_installed(), capture_output=True, text=True, check=True)
    pages: dict[str, str] = json.loads(done.stdout)
    return pages


def _installed() -> Path:
    npm = find_binary("npm", install="apt-get install npm")
    wanted = hashlib.sha256((_HERE / "package-lock.json").read_bytes()).hexdigest()
    place = cache() / f"real-mails-{wanted[:8]}"
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for file in _HERE.iterdir():
            shutil.copy(file, place)
        if not (place / ".installed").exists():
            command = [npm, "ci", "--omit=optional", "--ignore-scripts", "--no-progress"]
            done = subprocess.run(
                command, cwd=place, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT, check=False
            )
            if done.returncode != 0:
                raise ServerBroken(f"npm ci ended with status {done.returncode}:\n{done.stderr[-4000:]}")
            (place / ".installed").touch()
    return place
