"""Where RabbitMQ and its Erlang are: on this machine, or in a folder with a small Debian of its own.

``NOTIFIER_TEST_RABBITMQ`` names such a folder (`debian.folder_of` makes them), and every test then runs against the
RabbitMQ in it. A Debian and not only RabbitMQ: an Erlang of another release wants the C library it was built with.
"""

import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers.choosing import choice
from tests.servers.processes import ServerMissing, find_binary

VARIABLE = "NOTIFIER_TEST_RABBITMQ"
INSTALL = "apt-get install rabbitmq-server"
# Not /usr/sbin/rabbitmq-server: Debian's wrapper there changes to the user rabbitmq and the system's directories.
_SCRIPTS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/rabbitmq/sbin/rabbitmq-server", "rabbitmq-server")


@dataclass(frozen=True)
class Installation:
    """Whole paths, as the installation itself sees them."""

    server: str
    erl: str
    epmd: str
    root: Path | None = None

    def command(self, command: Sequence[str], directory: Path) -> list[str]:
        """The command with the installation around it, in the process it would have had; it sees ``directory``."""
        if self.root is None:
            return list(command)
        seen = shlex.quote(f"{self.root}{directory}")
        script = (
            f"mkdir -p {seen} && mount --rbind {shlex.quote(str(directory))} {seen} && "
            f"mount -t proc proc {shlex.quote(str(self.root / 'proc'))} && "
            # Where data is kept in memory (`memory`), it is below /dev.
            f"mount --rbind /dev {shlex.quote(str(self.root / 'dev'))} && "
            f'exec chroot {shlex.quote(str(self.root))} "$@"'
        )
        return [
            find_binary("unshare", install="apt-get install util-linux"),
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
            *command,
        ]


def chosen() -> Installation:
    """What the environment names, else what this machine has. Raises `ServerMissing`."""
    folder = choice(VARIABLE)
    if not folder:
        return Installation(
            find_binary(*_SCRIPTS, install=INSTALL),
            find_binary("erl", install=INSTALL),
            find_binary("epmd", "/usr/lib/erlang/bin/epmd", install=INSTALL),
        )
    root = Path(folder).resolve()
    if os.geteuid() != 0:
        raise ServerMissing(f"only root may run what is in {VARIABLE}: it mounts folders")
    path = f"{root}/usr/bin"
    erl, epmd = shutil.which("erl", path=path), shutil.which("epmd", path=path)
    if not (root / _SCRIPTS[0][1:]).exists() or erl is None or epmd is None:
        raise ServerMissing(f"{VARIABLE}={folder} has no {_SCRIPTS[0]} with an Erlang beside it")
    return Installation(_SCRIPTS[0], "/usr/bin/erl", "/usr/bin/epmd", root)
