"""Celery's connections with a list of nodes: one that failed is tried last by all of them, and no password is shown."""

from collections.abc import Iterator

import pytest
from celery import Celery
from celery.app.utils import filter_hidden_settings

from notifier.celery import from_settings
from notifier.settings import Settings
from notifier.worker import nodes
from tests.servers.freezing import FreezingWay
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ


@pytest.fixture
def mute() -> Iterator[FreezingWay]:
    """A frozen node: its kernel accepts connections, and nobody ever says hello."""
    nodes._shunned.clear()
    way = FreezingWay(None)
    yield way
    way.close()
    nodes._shunned.clear()


def app_of(urls: str) -> Celery:
    app = Celery("nodes", set_as_current=False, amqp="notifier.worker.nodes:NodeAMQP")
    app.conf.update(from_settings(Settings(broker_url=urls)))
    return app


def test_a_node_that_failed_is_tried_last_by_every_connection_that_follows(
    broker_url: str, rabbitmq: RabbitMQ, mute: FreezingWay
) -> None:
    # Given a list whose first node is frozen, and a connection that has found the second one
    frozen = broker_url.replace(f":{rabbitmq.port}/", f":{mute.port}/")
    app = app_of(f"{frozen},{broker_url}")
    with app.connection_for_read() as first:
        first.ensure_connection()
        assert first.port == rabbitmq.port
    assert mute.accepted == 1

    # When Celery makes more of them, also in its pool
    with app.connection_for_write() as second, app.pool.acquire() as pooled:
        second.ensure_connection()
        pooled.ensure_connection()

        # Then none of them asks the frozen one
        assert (second.port, pooled.port) == (rabbitmq.port, rabbitmq.port)
    assert mute.accepted == 1
    app.pool.force_close_all()


def test_when_all_failed_a_moment_ago_they_are_tried_all_the_same(broker_url: str, rabbitmq: RabbitMQ) -> None:
    nodes._shunned.update({f"127.0.0.1:{rabbitmq.port}": float("inf"), "127.0.0.1:1": float("inf")})
    with app_of(f"{broker_url.replace(str(rabbitmq.port), '1')};{broker_url}").connection_for_read() as connection:
        connection.ensure_connection()
        assert connection.port == rabbitmq.port
    nodes._shunned.clear()


def test_with_one_address_nothing_is_different() -> None:
    (one, several) = (app_of(urls) for urls in ("amqp://a", "amqp://a;amqp://b"))
    assert (one.conf.broker_heartbeat, one.conf.broker_connection_timeout) == (120, 4)
    assert (several.conf.broker_heartbeat, several.conf.broker_connection_timeout) == (4, 2)


def test_celerys_views_show_no_password_of_any_node() -> None:
    # Given two nodes
    app = app_of("amqp://me:onesecret@one/shop, amqp://me:twosecret@two/shop")

    # Then `celery report`, `inspect conf`, and the banner of a worker show neither
    shown = f"{filter_hidden_settings(app.conf.table())}{app.connection_for_read().as_uri()}{app.connection()!r}"
    assert "secret" not in shown


def test_when_one_connection_misses_its_heartbeats_all_to_that_node_are_closed_at_once(
    broker_url: str, rabbitmq: RabbitMQ
) -> None:
    # Given two connections by a way that freezes
    nodes._shunned.clear()
    way = FreezingWay(rabbitmq.port)
    app = app_of(f"{broker_url.replace(f':{rabbitmq.port}/', f':{way.port}/')};{broker_url}")
    with app.connection_for_read(heartbeat=1) as watched, app.pool.acquire() as other:
        watched.ensure_connection()
        other.ensure_connection()
        way.freeze()

        # When the heartbeats of one are missed
        poll(lambda: is_silent(watched), "missed heartbeats")

        # Then the other one is closed too, says no goodbye, and goes to the next node
        assert not other.connected
        other.ensure_connection()
        assert other.port == rabbitmq.port
    app.pool.force_close_all()
    way.close()
    nodes._shunned.clear()


def is_silent(connection: nodes.NodeConnection) -> bool:
    try:
        connection.heartbeat_check()
    except connection.connection_errors:
        return True
    return False
