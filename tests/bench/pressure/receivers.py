"""Two hundred webhook receivers on loopback addresses of their own: one nginx, and a process that hangs behind some.

Well ones answer 204. Of the ill ones some hang for thirty seconds before they answer, some answer 503 with Retry-After
at once, until a file appears that mends them all. nginx logs every request with its ``webhook-id``, so that what
arrived can be counted exactly.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.sinks import INSTALL
from tests.servers.ports import free_port
from tests.servers.processes import ServerMissing, start, stop_group, wait_until

WELL, HANGING, BUSY = 160, 20, 20
#: Seconds a hanging receiver takes; longer than any sender should wait.
HANGS_S = 30
#: What a busy receiver asks for.
RETRY_AFTER_S = 10

_CONFIGURATION = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
{user}
pid {directory}/nginx.pid;
error_log {directory}/nginx.log crit;
events {{ worker_connections 8192; }}
http {{
    log_format seen '$msec $status $uri $http_webhook_id';
    access_log {directory}/seen.log seen buffer=16k flush=200ms;
    keepalive_requests 10000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
{listen}
        location /well/ {{ return 204; }}
        location /hanging/ {{
            if (-f {directory}/mended) {{ return 204; }}
            proxy_read_timeout 120s;
            proxy_pass http://127.0.0.1:{slow_port};
        }}
        location /busy/ {{
            if (-f {directory}/mended) {{ return 204; }}
            add_header Retry-After {retry_after} always;
            return 503;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Seen:
    """One request as nginx logged it when it ended."""

    moment: float
    status: int
    path: str
    webhook_id: str


class Receivers:
    """All of them; `mend` makes the ill ones well."""

    def __init__(self, directory: Path) -> None:
        binary = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
        if binary is None:
            raise ServerMissing(f"nginx is not installed; run {INSTALL}")
        self._directory = directory
        self._slow = _slow(directory)
        slow_port = int((directory / "slow.log").read_text().split()[1])
        self._port = free_port()
        listen = "\n".join(f"        listen {address}:{self._port} backlog=1024;" for address in _addresses())
        configuration = directory / "nginx.conf"
        text = _CONFIGURATION.format(
            directory=directory, listen=listen, slow_port=slow_port, retry_after=RETRY_AFTER_S, user=_user()
        )
        configuration.write_text(text)
        log = directory / "nginx-start.log"
        self._nginx = start([binary, "-c", str(configuration), "-e", str(directory / "nginx.log")], log)
        wait_until((directory / "nginx.pid").exists, self._nginx, log)
        self._read = 0

    def urls(self) -> list[str]:
        """Those that are well, then those that hang, then those that are busy."""
        kinds = ["well"] * WELL + ["hanging"] * HANGING + ["busy"] * BUSY
        pairs = zip(_addresses(), kinds, strict=True)
        return [f"http://{address}:{self._port}/{kind}/{number}" for number, (address, kind) in enumerate(pairs)]

    def mend(self) -> None:
        """From the next request on."""
        (self._directory / "mended").touch()

    def sicken(self) -> None:
        """As at the start."""
        (self._directory / "mended").unlink(missing_ok=True)

    def fresh(self) -> Iterator[Seen]:
        """What was logged since the last call; up to 0.2 s old."""
        with (self._directory / "seen.log").open() as file:
            file.seek(self._read)
            while (line := file.readline()).endswith("\n"):
                moment, status, path, webhook_id = line.split(" ")
                yield Seen(float(moment), int(status), path, webhook_id.rstrip("\n"))
                self._read = file.tell()

    def close(self) -> None:
        """End both processes."""
        stop_group(self._nginx, signal.SIGTERM)
        stop_group(self._slow, signal.SIGKILL)


def _user() -> str:
    """As root, nginx would become somebody who cannot look into our temporary folder."""
    return "user root;" if os.geteuid() == 0 else ""


def _addresses() -> list[str]:
    return [f"127.0.1.{number}" for number in range(1, WELL + HANGING + BUSY + 1)]


def _slow(directory: Path) -> subprocess.Popen[bytes]:
    log = directory / "slow.log"
    process = start([sys.executable, "-m", "tests.bench.slow_receiver", str(HANGS_S), "127.0.0.1"], log)
    wait_until(lambda: re.match(rb"port \d+\n", log.read_bytes()) is not None, process, log)
    return process
