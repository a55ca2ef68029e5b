"""BusyBox httpd: the web server of routers and set-top boxes, whose CGI answers end their lines with a bare LF."""

import shutil
import signal
import socket
from pathlib import Path

from tests.servers.ports import free_port
from tests.servers.processes import find_binary, start, stop_group, wait_until

INSTALL = "apt-get install busybox"
_SCRIPT = """#!/bin/sh
body=$(cat)
# In one write: several of these scripts run at once.
printf '%s\\n' "$body" >>"{log}"
printf 'Content-Type: text/plain\\n\\nstored\\n'
"""


class BusyboxHttpd:
    """One server on a port of its own; every POST to `url` is stored and answered 200."""

    def __init__(self, directory: Path) -> None:
        binary = find_binary("busybox", install=INSTALL)
        self._directory = directory
        self._stored = directory / "stored"
        script = directory / "www" / "cgi-bin" / "hook"
        script.parent.mkdir(parents=True)
        script.write_text(_SCRIPT.format(log=self._stored))
        script.chmod(0o755)
        self._port = free_port()
        command = [binary, "httpd", "-f", "-p", f"127.0.0.1:{self._port}", "-h", str(directory / "www")]
        self._process = start(command, directory / "httpd.log")
        wait_until(self._listens, self._process, directory / "httpd.log")

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self._port}/cgi-bin/hook"

    @property
    def stored(self) -> list[bytes]:
        """The bodies that came, in order."""
        return self._stored.read_bytes().splitlines() if self._stored.exists() else []

    def close(self) -> None:
        """Ends the server and removes what it stored."""
        stop_group(self._process, signal.SIGTERM)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=10).close()
        except OSError:
            return False
        return True
