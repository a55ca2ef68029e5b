"""Servers of one figure: a RabbitMQ with the topology and a Redis, and the settings of a service on them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from celery import Celery

from consumers.topology import apply_topology
from notifier.environment import read_settings
from notifier.settings import Settings
from notifier.storage.connection import connect
from notifier.storage.store import Store
from tests.acceptance.service import environment
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer


@dataclass(frozen=True)
class Site:
    """What a figure is measured on."""

    rabbit: RabbitMQ
    broker_url: str
    redis: RedisServer
    store: Store
    templates: Path
    variables: dict[str, str]

    @property
    def settings(self) -> Settings:
        """Of a service here."""
        return read_settings({name: value for name, value in self.variables.items() if name.startswith("NOTIFIER_")})

    def app(self) -> Celery:
        """The service's Celery application, which publishes here. Once in a process: it reads the environment."""
        os.environ.update(self.variables)
        from notifier.celery import app

        return app


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Started and stopped; its templates are an empty folder to be filled."""
    for name in ("rabbitmq", "redis", "templates"):
        (folder / name).mkdir()
    rabbit, redis = RabbitMQ(folder / "rabbitmq"), RedisServer(folder / "redis", {"latency-tracking": "no"})
    broker_url, templates = rabbit.new_vhost(), folder / "templates"
    try:
        apply_topology(broker_url)
        store = connect(redis.url)
        variables = environment(
            broker_url=broker_url, redis_url=redis.url, smtp_url="smtp://127.0.0.1:9", templates=templates
        )
        yield Site(rabbit, broker_url, redis, store, templates, variables)
        store.close()
    finally:
        redis.close()
        rabbit.close()
