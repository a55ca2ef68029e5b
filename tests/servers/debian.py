"""Folders with a small Debian of some release and a server in it, made once and kept in the user's cache.

What runs in one sees nothing of this machine but what is mounted into it (`rabbitmq_installation`).
"""

import re
import shutil
from pathlib import Path

from tests.servers.mail.machines import INSTALL, KEYRING, alone, cache, emptied, mirror, run_to_its_end
from tests.servers.processes import find_binary


def folder_of(package: str, suite: str) -> Path:
    """Where Debian's ``package`` of ``suite`` is installed; made when it is not there. Root only."""
    wanted = cache() / package / suite
    with alone(wanted):
        if not wanted.exists():
            making = emptied(wanted.with_suffix(".making"))
            bootstrap = find_binary("mmdebstrap", install=INSTALL)
            source = f"deb [signed-by={KEYRING}] {mirror()} {suite} main"
            # Of a mirror that stands still, the list of an unreleased suite has run out.
            options = [
                "--quiet",
                "--variant=apt",
                '--aptopt=Acquire::Check-Valid-Until "false"',
                f"--include={package}",
            ]
            run_to_its_end([bootstrap, *options, suite, str(making), source])
            # Without it "localhost" is a name that nobody knows there.
            shutil.copy("/etc/hosts", making / "etc/hosts")
            making.rename(wanted)
    return wanted


def version_of(package: str, suite: str) -> str:
    """Of the package in that folder, such as ``4.0.5``."""
    status = (folder_of(package, suite) / "var/lib/dpkg/status").read_text()
    pattern = rf"^Package: {re.escape(package)}$.*?^Version: (?:\d+:)?([\d.]+)"
    found = re.search(pattern, status, re.MULTILINE | re.DOTALL)
    return found[1] if found else "?"
