"""Packages from npm: what a folder's lock pins, installed into the user's cache on first use."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.servers.mail.machines import cache
from tests.servers.processes import ServerBroken, find_binary

#: Seconds; a folder names about a hundred small packages, which are downloaded once.
_INSTALL_TIMEOUT = 300
_CI = ("ci", "--omit=optional", "--ignore-scripts", "--no-progress", "--no-audit", "--no-fund")


def installed(folder: Path) -> Path:
    """A place with what the folder's lock says and the folder's files beside it; npm runs no script of a package.

    It is named after all of these files, and made whole before it has its name: another checkout with others has
    a place of its own, and who runs a script from it never meets one that is just being written. Processes that test
    in parallel install once: the first does, the others wait for it.
    """
    npm = find_binary("npm", install="apt-get install npm")
    files = sorted(file for file in folder.iterdir() if file.is_file())
    wanted = hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()
    place = cache() / f"npm-{wanted[:16]}"
    cache().mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _install(npm, files, place)
    return place


def _install(npm: str, files: list[Path], place: Path) -> None:
    with TemporaryDirectory(dir=place.parent) as directory:
        making = Path(directory) / "making"
        making.mkdir()
        for file in files:
            shutil.copy(file, making)
        done = subprocess.run([npm, *_CI], cwd=making, capture_output=True, timeout=_INSTALL_TIMEOUT, check=False)
        if done.returncode != 0:
            raise ServerBroken(f"npm ci ended with status {done.returncode}:\n{done.stderr[-4000:].decode()}")
        making.rename(place)


def node() -> str:
    """Node.js."""
    return find_binary("node", "nodejs", install="apt-get install nodejs")
