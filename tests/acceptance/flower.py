"""Flower, Celery's own pages, beside a running service."""

import base64
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.acceptance.service import Service
from tests.servers.patience import PATIENCE_S
from tests.servers.ports import free_port
from tests.servers.processes import start, stop_group, wait_until
from tests.servers.rights import OPERATOR


@dataclass(frozen=True)
class Flower:
    """A running Flower behind a password."""

    port: int
    password: str

    def get(self, path: str, password: str | None = None) -> tuple[int, str]:
        """(status, body); status 0 while nobody listens."""
        given = base64.b64encode(f"ops:{self.password if password is None else password}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Basic {given}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ""
        except OSError:
            return 0, ""


@contextmanager
def running_flower(service: Service) -> Iterator[Flower]:
    """`celery -A notifier flower`, with the service's environment."""
    running = Flower(free_port(), "flower-password")
    command = [sys.executable, "-m", "celery", "-A", "notifier", "flower", "--address=127.0.0.1"]
    command += [f"--port={running.port}", f"--basic-auth=ops:{running.password}"]
    log = service.directory / "flower.log"
    process = start(command, log, service.as_(OPERATOR))
    wait_until(lambda: running.get("/healthcheck")[0] == 200, process, log)
    try:
        yield running
    finally:
        stop_group(process, signal.SIGTERM)
