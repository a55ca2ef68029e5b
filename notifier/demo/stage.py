"""Start every process of the demo, and stop every one of them again, whatever happens in between."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from notifier.demo.catcher import Catcher
from notifier.demo.client import Api
from notifier.demo.gateway import Gateway, write_files
from notifier.demo.inbox import Inbox
from notifier.demo.interrupts import Interrupts
from notifier.demo.servers import free_port, launch_valkey, wait_for_valkey
from notifier.errors import NotifierError

#: Seconds a process may take to become ready, and to stop. It takes a few; a machine that is busy with other things
#: must only make the demo slower.
READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 8.0

_TENANT = "default"


@dataclass
class Stage:
    """The running demo."""

    templates: Path
    said: Callable[[str], None]
    """Called with a line for people after each step."""
    interrupts: Interrupts
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="notifier-demo-")))
    inbox: Inbox = field(default_factory=Inbox)
    catcher: Catcher = field(default_factory=Catcher)
    gateway: Gateway = field(default_factory=Gateway)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    api: Api = field(default_factory=lambda: Api("", ""))
    _closing: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Returns when everything is ready and the webhook endpoint is registered."""
        redis = free_port()
        with self.interrupts.held():
            smtp = self.inbox.start()
            self._closing.callback(self.inbox.stop)
            webhooks = self.catcher.start()
            self._closing.callback(self.catcher.stop)
            gateway = self.gateway.start()
            self._closing.callback(self.gateway.stop)
            self._set_templates(f"http://127.0.0.1:{gateway}")
            self.processes["valkey"] = launch_valkey(self.folder, redis)
        wait_for_valkey(self.processes["valkey"], self.folder, redis)
        self.said(f"inbox on port {smtp}, webhook receiver on {webhooks}, SMS provider on {gateway}, Valkey on {redis}")
        port, token = free_port(), secrets.token_urlsafe(24)
        environment = self._environment(redis=redis, smtp=smtp, api=port, token=token)
        celery = [sys.executable, "-m", "celery", "-A", "notifier"]
        health = free_port()
        self.said("starting the API, a worker and beat: some seconds, on a busy machine more")
        self._start("api", [sys.executable, "-m", "notifier.cli", "api"], environment)
        worker_options = [
            "-P",
            "gevent",
            "-n",
            f"demo-{secrets.token_hex(3)}@%h",
            "--without-gossip",
            "--without-mingle",
        ]
        self._start("worker", [*celery, "worker", *worker_options], {**environment, "NOTIFIER_HTTP_PORT": str(health)})
        self._start("beat", [*celery, "beat"], environment)
        self._wait("api", port)
        self._wait("worker", health)
        self.said(f"API on http://127.0.0.1:{port}, worker and beat are ready")
        self.api = Api(f"http://127.0.0.1:{port}", token)
        endpoint = self.api.add_endpoint(f"http://127.0.0.1:{webhooks}/webhooks", _TENANT)
        self.catcher.secret = endpoint["secret"]

    def stop(self) -> None:
        """End what was started, and delete what was written."""
        for name in ("beat", "api"):
            _signal(self.processes.get(name), signal.SIGTERM)
        # On Redis a worker looks up to 5 s for work before it notices that it should stop. Whatever it still does is
        # deleted in a moment.
        _signal(self.processes.get("worker"), signal.SIGKILL)
        for name in ("beat", "api", "worker"):
            _end(self.processes.get(name))
        _signal(self.processes.get("valkey"), signal.SIGTERM)
        _end(self.processes.get("valkey"))
        self._closing.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self, name: str, characters: int = 3000) -> str:
        """The end of a process's output."""
        file = self.folder / f"{name}.log"
        return file.read_text(errors="replace")[-characters:] if file.exists() else ""

    def _set_templates(self, gateway: str) -> None:
        """A copy of them, with a channel file of the provider that runs here."""
        self.templates = Path(shutil.copytree(self.templates, self.folder / "templates"))
        write_files(self.templates, gateway)

    def _environment(self, *, redis: int, smtp: int, api: int, token: str) -> dict[str, str]:
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("NOTIFIER_", "CELERY_"))}
        return {
            **inherited,
            "NOTIFIER_BROKER_URL": f"redis://127.0.0.1:{redis}/1",
            "NOTIFIER_REDIS_URL": f"redis://127.0.0.1:{redis}/0",
            "NOTIFIER_SMTP_URL": f"smtp+plain://127.0.0.1:{smtp}",
            "NOTIFIER_TEMPLATES": str(self.templates.resolve()),
            "NOTIFIER_EMAIL_FROM": "Juniper & Co. <hello@shop.example>",
            "NOTIFIER_EMAIL_HOSTNAME": "shop.example",
            "NOTIFIER_PUBLIC_URL": f"http://127.0.0.1:{api}",
            "NOTIFIER_SECRET_KEY": secrets.token_urlsafe(32),
            "NOTIFIER_API_TOKENS": f"admin:{token}",
            "NOTIFIER_API_PORT": str(api),
            "NOTIFIER_HTTP_PORT": "0",
            "NOTIFIER_CHANNEL_SMS_TOKEN": self.gateway.token,
            "NOTIFIER_WEBHOOK_ALLOW": "127.0.0.1",
            "NOTIFIER_WEBHOOK_HTTP": "true",
            "NOTIFIER_GRACE": "5",
            "NOTIFIER_LOG_FORMAT": "text",
        }

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log, self.interrupts.held():
            self.processes[name] = subprocess.Popen(  # noqa: S603 - our own words
                command,
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C goes to the demo alone, which then stops the others in order.
                start_new_session=True,
            )

    def _wait(self, name: str, port: int) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.processes[name].poll() is not None:
                raise NotifierError(f"{name} ended by itself; its last words:\n{self.log(name)}")
            if _is_ready(port):
                return
            time.sleep(0.05)
        raise NotifierError(f"{name} was not ready within {READY_TIMEOUT_S:.0f} s; it said:\n{self.log(name)}")


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _signal(process: subprocess.Popen[bytes] | None, number: signal.Signals) -> None:
    if process is not None and process.poll() is None:
        process.send_signal(number)


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
