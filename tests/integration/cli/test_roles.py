"""`notifier worker`, `consume` and `beat` as processes: they start, say that they are ready, and leave on SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.servers.patience import PATIENCE_S
from tests.servers.ports import free_port
from tests.servers.processes import start, stop_group, wait_until

TEMPLATES = Path(__file__).parents[3] / "templates"


@pytest.fixture
def environment(broker_url: str, redis_url: str) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "PYTHONUNBUFFERED": "1",
        "NOTIFIER_BROKER_URL": broker_url,
        "NOTIFIER_REDIS_URL": redis_url,
        "NOTIFIER_TEMPLATES": str(TEMPLATES),
        "NOTIFIER_SECRET_KEY": "a-secret-key-for-tests-of-more-than-32-characters",
        "NOTIFIER_HTTP_PORT": str(free_port()),
    }


def _is_ready(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize("command", [["worker", "--queues", "high"], ["consume"], ["beat"]], ids=lambda c: c[0])
def test_a_role_starts_by_its_verb_and_leaves_on_sigterm(
    command: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    # Given
    log = tmp_path / "role.log"
    process = start([sys.executable, "-m", "notifier.cli", *command], log, environment)
    try:
        # When it is ready
        port = environment["NOTIFIER_HTTP_PORT"]
        wait_until(lambda: _is_ready(port), process, log)
        process.send_signal(signal.SIGTERM)

        # Then
        assert process.wait(PATIENCE_S) == 0, log.read_text()
    finally:
        stop_group(process, signal.SIGKILL)
