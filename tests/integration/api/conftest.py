"""The API in this process, as `build_api` makes it, on a real Redis and a real RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from consumers.topology import apply_topology
from notifier.settings import Settings
from notifier.wiring.api import build_api
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

TEMPLATES = Path(__file__).parents[3] / "templates"
TOKENS = {role: f"{role}-token-0123456789" for role in ("publish", "read", "operate", "admin")}
SECRET_KEY = "a-secret-key-for-tests-of-more-than-32-characters"


@pytest.fixture(scope="module")
def api_settings(rabbitmq: RabbitMQ, redis_server: RedisServer) -> Iterator[Settings]:
    # Another module's endpoints are encrypted with another key.
    redis_server.flush()
    url = rabbitmq.new_vhost()
    apply_topology(url)
    yield Settings(
        broker_url=url,
        redis_url=redis_server.url,
        templates=TEMPLATES,
        secret_key=SECRET_KEY,
        public_url="https://mail.example.org",
        api_tokens=" ".join(f"{role}:{token}" for role, token in TOKENS.items()),
        event_max_bytes=64 * 1024,
    )
    rabbitmq.delete_vhost(url)


@pytest.fixture(scope="module")
def client(api_settings: Settings) -> Iterator[TestClient]:
    app, close = build_api(api_settings)
    yield TestClient(app, raise_server_exceptions=False)
    close()


@pytest.fixture
def fresh(redis_server: RedisServer) -> None:
    """Redis holds nothing."""
    redis_server.flush()
