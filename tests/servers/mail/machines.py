"""Where a Debian server's files are: on this machine, or in a layer of Debian packages that nothing else sees.

Mail servers want fixed paths, users of their own and each to be the only one on a machine. A layer gives each of them
that: a folder with what `apt-get install` added to a minimal Debian, mounted over it (overlayfs) for one process and
its children. What they write goes to the folder of the test. Both are made once and kept in the user's cache.
"""

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.servers.processes import ServerBroken, ServerMissing, find_binary

SUITE = "trixie"
INSTALL = "scripts/install-matrix-servers"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
#: Ends with everything below it when its first process ends: servers fork, and some lead sessions of their own.
OWN_PROCESSES = ("--mount", "--pid", "--fork", "--kill-child=KILL")


def cache() -> Path:
    """A folder outside every checkout, shared by all of this user's."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "notifier-tests"


@dataclass(frozen=True)
class ThisMachine:
    """A server that is installed here, run with a configuration of its own."""

    def command(self, command: Sequence[str], directory: Path) -> list[str]:  # as `Layer` has it
        """The command, in processes of its own."""
        return [_unshare(), *OWN_PROCESSES, "--mount-proc", "sh", "-c", _stays(shlex.join(command))]

    def run(self, command: Sequence[str], directory: Path) -> str:
        """A command that ends; what it printed."""
        return run_to_its_end(self.command(command, directory))


@dataclass(frozen=True)
class Layer:
    """Debian packages over a minimal Debian. ``directory`` is seen by the server under its own path."""

    name: str
    packages: tuple[str, ...]

    def command(self, command: Sequence[str], directory: Path) -> list[str]:
        """The command, in a view of its own: the layer, and `directory` where it is."""
        layers = f"{self.path()}:{base()}"
        return [_unshare(), *OWN_PROCESSES, "sh", "-c", _view(layers, directory / "root", directory, command)]

    def run(self, command: Sequence[str], directory: Path) -> str:
        """A command that ends; what it printed."""
        return run_to_its_end(self.command(command, directory))

    def path(self) -> Path:
        """The folder of the layer; made when it is not there."""
        # Named after its packages, so that another list of them is another layer.
        packages = hashlib.sha256(" ".join(self.packages).encode()).hexdigest()[:8]
        wanted = cache() / SUITE / f"{self.name}-{packages}"
        with alone(wanted):
            if not wanted.exists():
                _install(wanted, self.packages)
        return wanted


def base() -> Path:
    """A minimal Debian; made when it is not there."""
    wanted = cache() / SUITE / "base"
    with alone(wanted):
        if not wanted.exists():
            making = emptied(wanted.with_suffix(".making"))
            bootstrap = find_binary("mmdebstrap", install=INSTALL)
            source = f"deb [signed-by={KEYRING}] {mirror()} {SUITE} main"
            run_to_its_end([bootstrap, "--quiet", "--variant=apt", SUITE, str(making), source])
            making.rename(wanted)
    return wanted


def mirror() -> str:
    """The mirror that this machine's own packages come from."""
    found = run_to_its_end(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]).split()
    mirrors = [uri for uri in found if "security" not in uri]
    if not mirrors:
        raise ServerMissing("apt knows no mirror to take mail servers from")
    return mirrors[0]


def _install(wanted: Path, packages: Sequence[str]) -> None:
    """What `apt-get install` adds to the minimal Debian becomes the layer; nothing is started by it."""
    making, place = emptied(wanted.with_suffix(".making")), emptied(wanted.with_suffix(".place"))
    (making / "usr/sbin").mkdir(parents=True)
    (making / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (making / "usr/sbin/policy-rc.d").chmod(0o755)
    (making / "etc").mkdir()
    shutil.copy("/etc/resolv.conf", making / "etc/resolv.conf")
    install = f"apt-get -qq update && apt-get -qq -y --no-install-recommends install {' '.join(packages)}"
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", f"{install} && apt-get clean"]
    script = _view(str(base()), place, None, command, upper=making)
    run_to_its_end([_unshare(), *OWN_PROCESSES, "sh", "-c", script])
    shutil.rmtree(place)
    making.rename(wanted)


def _view(layers: str, place: Path, shown: Path | None, command: Sequence[str], upper: Path | None = None) -> str:
    """A shell script: the layers as the root directory of a command, what it writes in ``place``."""
    upper = upper or place / "written"
    for folder in (upper, place / "work", place / "view"):
        folder.mkdir(parents=True, exist_ok=True)
    view = shlex.quote(str(place / "view"))
    steps = [
        f"mount -t overlay overlay -o lowerdir={layers},upperdir={upper},workdir={place / 'work'} {view}",
        f"mount -t proc proc {view}/proc",
        f"mount --rbind /dev {view}/dev",
    ]
    if shown is not None:
        inside = shlex.quote(str(place / "view") + str(shown))
        steps += [f"mkdir -p {inside}", f"mount --rbind {shlex.quote(str(shown))} {inside}"]
    return _stays(" && ".join([*steps, f"chroot {view} {shlex.join(command)}"]))


def _stays(script: str) -> str:
    """The shell stays as the first process: one that changes its user would no longer end with its parent."""
    return f"{script}; exit $?"


def _unshare() -> str:
    unshare = find_binary("unshare", install="apt-get install util-linux")
    if os.geteuid() != 0:
        raise ServerMissing("mail servers change users and mount folders, which only root may: run the tests as root")
    return unshare


def run_to_its_end(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode != 0:
        raise ServerBroken(f"{command!r} ended with status {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def emptied(folder: Path) -> Path:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


class alone:  # noqa: N801  # reads as the word it is
    """Only one process at a time makes a folder; the others wait for it."""

    def __init__(self, wanted: Path) -> None:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        self._lock = wanted.with_suffix(".lock").open("w")

    def __enter__(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._lock.close()
