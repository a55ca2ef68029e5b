"""The service as an operator runs it: real processes, their environment, and how to kill them."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consumers.topology import apply_topology
from tests.servers.patience import PATIENCE_S
from tests.servers.ports import free_port
from tests.servers.processes import start, stop_group, wait_until
from tests.servers.rights import API, BEAT, CONSUMER, HISTORY, OPERATOR, WORKER, as_user
from tests.shop_folders import SHOP

ROLES = {"consumer": CONSUMER, "worker": WORKER, "beat": BEAT, "api": API, "history": HISTORY}
_SERVERS = ("NOTIFIER_BROKER_URL", "NOTIFIER_REDIS_URL")
SECRET_KEY = "acceptance-secret-key-of-more-than-32-characters"
ADMIN_TOKEN = "acceptance-admin-token"


@dataclass
class Process:
    """One process of the service."""

    role: str
    popen: subprocess.Popen[bytes]
    log: Path
    health_port: int

    def kill(self) -> None:
        """kill -9, as the kernel's OOM killer does."""
        os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def terminate(self, timeout: float = PATIENCE_S) -> int:
        """SIGTERM, as an orchestrator does; returns the exit status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(timeout)

    def output(self) -> str:
        """Everything it has written."""
        return self.log.read_text(errors="replace")


@dataclass
class Service:
    """Starts and stops roles against the given servers; everything is stopped by `close`."""

    directory: Path
    environment: dict[str, str]
    processes: list[Process] = field(default_factory=list)

    def declare(self) -> None:
        """What `notifier topology apply` declares, by the user it is run as; without a process of its own."""
        apply_topology(self.as_(OPERATOR)["NOTIFIER_BROKER_URL"])

    def consumer(self) -> Process:
        """An intake process."""
        return self._start("consumer", [sys.executable, "-m", "consumers"])

    def worker(self, *options: str) -> Process:
        """A stock Celery worker, started as its documentation says."""
        celery = [sys.executable, "-m", "celery", "-A", "notifier", "worker", "-P", "gevent", *options]
        return self._start("worker", celery)

    def beat(self) -> Process:
        """The scheduler."""
        celery = [sys.executable, "-m", "celery", "-A", "notifier", "beat"]
        return self._start("beat", celery)

    def history(self, *, waits: bool = True) -> Process:
        """What moves what ended to PostgreSQL; waits until it is ready."""
        return self._start("history", [sys.executable, "-m", "notifier.cli", "history", "run"], waits=waits)

    def api(self) -> Process:
        """The HTTP API."""
        return self._start("api", [sys.executable, "-m", "notifier.cli", "api"])

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A `notifier …` command, run to its end."""
        return subprocess.run(
            [sys.executable, "-m", "notifier.cli", *arguments],
            input=stdin,
            env=self.as_(OPERATOR),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def celery(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A stock `celery -A notifier …` command, run to its end."""
        return self.python("-m", "celery", "-A", "notifier", *arguments)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python …` with the service's environment, run to its end."""
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.as_(OPERATOR),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def as_(self, user: str) -> dict[str, str]:
        """The environment of a role: the same servers, by the user that operators are told to make for it."""
        addresses = {name: self.environment[name] for name in _SERVERS}
        # A test that tries a login of its own keeps it.
        ours = {
            name: as_user(url, user) for name, url in addresses.items() if "@" not in url or "//guest:guest@" in url
        }
        return self.environment | ours

    def close(self) -> None:
        """Stop whatever still runs."""
        for process in self.processes:
            if process.popen.poll() is None:
                stop_group(process.popen, signal.SIGKILL)

    def _start(self, role: str, command: list[str], *, waits: bool = True) -> Process:
        port = free_port()
        log = self.directory / f"{role}-{len(self.processes)}.log"
        variable = "NOTIFIER_API_PORT" if role == "api" else "NOTIFIER_HTTP_PORT"
        environment = {**self.as_(ROLES[role]), variable: str(port)}
        process = Process(role, start(command, log, environment), log, port)
        self.processes.append(process)
        if waits:
            wait_until(lambda: is_ready(port), process.popen, log)
        return process


def is_ready(port: int) -> bool:
    """Whether /readyz says so."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ask(port: int, path: str, *, token: str = ADMIN_TOKEN, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    """One request to the API: (status, JSON)."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def environment(
    *, broker_url: str, redis_url: str, smtp_url: str, templates: Path = SHOP, **more: str
) -> dict[str, str]:
    """The NOTIFIER_* variables of a deployment, beside what a process needs of ours."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **inherited,
        "PYTHONUNBUFFERED": "1",
        "NOTIFIER_BROKER_URL": broker_url,
        "NOTIFIER_REDIS_URL": redis_url,
        "NOTIFIER_SMTP_URL": smtp_url,
        "NOTIFIER_TEMPLATES": str(templates),
        "NOTIFIER_SECRET_KEY": SECRET_KEY,
        "NOTIFIER_API_TOKENS": f"admin:{ADMIN_TOKEN}",
        "NOTIFIER_WEBHOOK_ALLOW": "127.0.0.1",
        "NOTIFIER_WEBHOOK_HTTP": "true",
        "NOTIFIER_LOG_LEVEL": "info",
        # Of the roles whose port nobody asks for: the API's probes go to its own here.
        "NOTIFIER_HTTP_PORT": "0",
        **more,
    }
