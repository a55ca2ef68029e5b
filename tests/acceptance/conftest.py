"""One running service per test, on servers of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.service import Service, environment
from tests.servers.http import HttpSink
from tests.servers.smtp import SmtpSink


@pytest.fixture
def service(
    broker_url: str, redis_url: str, smtp_sink: SmtpSink, http_sink: HttpSink, tmp_path: Path
) -> Iterator[Service]:
    """The service's environment with the topology applied; a test starts the roles it needs."""
    running = Service(
        tmp_path,
        environment(broker_url=broker_url, redis_url=redis_url, smtp_url=f"smtp+plain://127.0.0.1:{smtp_sink.port}"),
    )
    running.declare()
    yield running
    running.close()
