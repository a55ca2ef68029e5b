"""Where the bench's mails and webhooks go: C programs in processes of their own, cheaper than what they measure.

`smtp-sink` (postfix) and nginx when they are installed, else Python, in a process too; the report then says so, because
such a sink takes CPU away from the workers.
"""

import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Protocol

from tests.bench.relay import Relay
from tests.servers.ports import free_port
from tests.servers.processes import start, stop_group, wait_until

INSTALL = "scripts/install-bench-servers"
_SMTP_SINK = ("smtp-sink", "/usr/sbin/smtp-sink")
_NGINX = ("nginx", "/usr/sbin/nginx")
_NGINX_CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 10000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location = /count {{ stub_status; }}
        location / {{ return 204; }}
    }}
}}
"""


class Sink(Protocol):
    """A receiver in a process of its own that counts what it takes."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def count(self) -> int:
        """Messages taken so far."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class SmtpSinkProcess:
    """postfix's smtp-sink, which writes running counters after every message."""

    name = "smtp-sink"

    def __init__(self, binary: str, directory: Path) -> None:
        self.port = free_port()
        self._log = directory / "smtp-sink.log"
        # As root it wants to be somebody else; with -c it prints `sess=… quit=… mesg=…` and a carriage return.
        user = ["-u", "nobody"] if _is_root() else []
        self.process = start([binary, *user, "-c", f"127.0.0.1:{self.port}", "1024"], self._log)
        wait_until(lambda: _accepts(self.port), self.process, self._log)

    def count(self) -> int:
        """Messages taken so far."""
        return last_number(self._log, rb"mesg=(\d+)\r")

    def close(self) -> None:
        """End it."""
        stop_group(self.process, signal.SIGKILL)


class NginxSink:
    """nginx answering 204; its own status page counts requests, ours for the count among them."""

    name = "nginx"

    def __init__(self, binary: str, directory: Path) -> None:
        self.port = free_port()
        self._asked = 0
        configuration = directory / "nginx.conf"
        configuration.write_text(_NGINX_CONFIGURATION.format(directory=directory, port=self.port))
        log = directory / "nginx-start.log"
        self.process = start([binary, "-c", str(configuration), "-e", str(directory / "nginx.log")], log)
        wait_until(lambda: _accepts(self.port), self.process, log)

    def count(self) -> int:
        """Requests answered so far."""
        self._asked += 1
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/count", timeout=10) as answer:
            # The third line: accepts, handled, requests.
            return int(answer.read().split(b"\n")[2].split()[2]) - self._asked

    def close(self) -> None:
        """End it, workers included."""
        stop_group(self.process, signal.SIGTERM)


class PythonSink:
    """`tests.bench.python_sink` in a process: slower than C."""

    name = "Python HTTP sink"

    def __init__(self, directory: Path) -> None:
        self.log = directory / "python-http-sink.log"
        self.process = start([sys.executable, "-m", "tests.bench.python_sink"], self.log)
        wait_until(lambda: re.match(rb"port \d+\n", self.log.read_bytes()) is not None, self.process, self.log)
        self.port = int(self.log.read_text().split()[1])

    def count(self) -> int:
        """Requests taken so far."""
        return last_number(self.log, rb"\n(\d+) ")

    def close(self) -> None:
        """End it."""
        stop_group(self.process, signal.SIGKILL)


def smtp_sink(directory: Path) -> Sink:
    """The fastest SMTP sink of this machine."""
    binary = _installed(_SMTP_SINK)
    return SmtpSinkProcess(binary, directory) if binary else Relay(directory / "mails")


def http_sink(directory: Path) -> Sink:
    """The fastest webhook receiver of this machine."""
    binary = _installed(_NGINX)
    return NginxSink(binary, directory) if binary else PythonSink(directory)


def last_number(log: Path, pattern: bytes) -> int:
    """The newest match at the end of a growing file; 0 when there is none yet."""
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 400))
        found = re.findall(pattern, file.read())
    return int(found[-1]) if found else 0


def _installed(candidates: tuple[str, ...]) -> str | None:
    return next((path for candidate in candidates if (path := shutil.which(candidate))), None)


def _is_root() -> bool:
    return Path("/proc/self").stat().st_uid == 0


def _accepts(port: int) -> bool:
    import socket

    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False
