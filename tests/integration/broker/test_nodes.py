"""Celery's connections with a list of nodes: one that failed is tried last by all of them, and no password is shown."""

import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from amqp.transport import SSLTransport
from celery import Celery
from celery.app.utils import filter_hidden_settings
from kombu.transport.pyamqp import Connection

from notifier.broker import connection_watch, nodes
from notifier.celery import from_settings
from notifier.settings import Settings
from tests.servers.certificates import Certificate
from tests.servers.freezing import FreezingWay
from tests.servers.patience import PATIENCE_S, poll
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
    app = Celery("nodes", set_as_current=False, amqp="notifier.broker.nodes:NodeAMQP")
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


@pytest.fixture
def way(rabbitmq: RabbitMQ) -> Iterator[FreezingWay]:
    """To a node that freezes when it is told to."""
    nodes._shunned.clear()
    way = FreezingWay(rabbitmq.port)
    yield way
    way.close()
    nodes._shunned.clear()


@pytest.fixture
def app(broker_url: str, rabbitmq: RabbitMQ, way: FreezingWay) -> Iterator[Celery]:
    """Two nodes: the first is the one that freezes."""
    app = app_of(f"{broker_url.replace(f':{rabbitmq.port}/', f':{way.port}/')};{broker_url}")
    yield app
    app.pool.force_close_all()


@pytest.mark.parametrize("notices", ["celery", "we"])
def test_when_one_connection_finds_its_node_silent_all_to_that_node_are_closed_at_once(
    app: Celery, rabbitmq: RabbitMQ, way: FreezingWay, notices: str
) -> None:
    # Given two connections to a node that freezes, one of them with heartbeats
    with app.connection_for_read(heartbeat=1) as watched, app.pool.acquire() as other:
        watched.ensure_connection()
        other.ensure_connection()
        way.freeze()

        # When its silence is noticed: heartbeats are missed, or the kernel has got nothing
        if notices == "celery":
            poll(lambda: is_silent(watched), "missed heartbeats")
        else:
            poll(lambda: has_been_left(watched), "nothing for seconds")

        # Then the other one is closed too, says no goodbye, and goes to the next node
        assert not other.connected
        other.ensure_connection()
        assert other.port == rabbitmq.port


def test_a_node_that_talks_is_not_left_though_nobody_reads_what_it_says(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a process that reads nothing: what arrives stays in the kernel
    monkeypatch.setattr(connection_watch, "SILENT_S", 2.0)
    with app.connection_for_read(heartbeat=1) as connection:
        connection.ensure_connection()
        read = connection.amqp.bytes_recv
        heard: list[float] = []

        # When it looks for longer than a silent node is given
        def looked() -> bool:
            connection_watch.look()
            connection.amqp.send_heartbeat()
            heard.append(connection_watch.silence(connection.amqp.sock))
            return sum(after < before for before, after in itertools.pairwise(heard)) >= 6

        poll(looked, "six heartbeats")

        # Then it is still there
        assert connection.connected
        assert connection.amqp.bytes_recv == read


def test_whoever_waits_for_an_answer_that_never_comes_is_let_go_and_asks_another_node(
    app: Celery, rabbitmq: RabbitMQ, way: FreezingWay, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a connection without heartbeats, as Celery makes most of its own, whose node froze
    monkeypatch.setattr(connection_watch, "ANSWER_S", 1.0)
    with app.connection_for_write() as connection:
        channel = connection.channel()
        way.freeze()

        # When somebody asks there
        asking = threading.Thread(target=swallowing(connection, channel.exchange_declare), args=("x", "topic"))
        asking.start()
        poll(lambda: has_been_left(connection) and not asking.is_alive(), "an end of the waiting")

        # Then the next question goes to the other node
        connection.ensure_connection()
        assert connection.port == rabbitmq.port
        connection.channel().exchange_declare("x", "topic")


def test_a_silent_node_is_hung_up_on_without_the_goodbye_of_tls(certificate: Certificate) -> None:
    # Given a connection over TLS to a node that froze after its first words
    here, there = socket.socketpair()
    server = certificate.server_context()
    accepted: list[ssl.SSLSocket] = []
    shaking = threading.Thread(target=lambda: accepted.append(server.wrap_socket(there, server_side=True)))
    shaking.start()
    transport = SSLTransport("node")
    context = ssl.create_default_context(cafile=str(certificate.certificate))
    transport.sock, transport.connected = context.wrap_socket(here, server_hostname="localhost"), True
    shaking.join()
    amqp = Connection()
    amqp.transport = transport
    node = nodes.NodeConnection("amqps://one;amqps://two")
    node._connection = amqp

    # When it is left
    leaving = threading.Thread(target=node.hang_up, daemon=True)
    leaving.start()
    leaving.join(PATIENCE_S)

    # Then nobody waits
    assert not leaving.is_alive()
    assert node.amqp is None
    accepted[0].close()


def has_been_left(connection: nodes.NodeConnection) -> bool:
    connection_watch.look()
    return not connection.connected


def swallowing(connection: nodes.NodeConnection, ask: Callable[..., object]) -> Callable[..., None]:
    def run(*arguments: object) -> None:
        with suppress(*connection.connection_errors):
            ask(*arguments)

    return run


def is_silent(connection: nodes.NodeConnection) -> bool:
    try:
        connection.heartbeat_check()
    except connection.connection_errors:
        return True
    return False
