"""Celery with several RabbitMQ nodes: which one a connection begins with, and how soon a silent one is left.

Every connection of kombu's begins with the first address, and Celery opens six to get a worker going again: with a
frozen node in front each of them would wait for it. So a node that failed a moment ago is tried last, by all of them;
and when one of them finds its node silent, all that are open to it are closed without a goodbye (`connection_watch`).
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import kombu
from amqp.exceptions import MessageNacked
from celery.app.amqp import AMQP
from celery.app.defaults import NAMESPACES
from kombu.connection import ConnectionPool, PooledConnection
from kombu.transport import pyamqp
from kombu.utils.url import parse_url

#: Seconds of a heartbeat: a node says something every half of it. Celery itself leaves one after two of them without a
#: word, and then every connection of ours to it.
HEARTBEAT_S = 4
HEARTBEAT_LOOKS = 4
#: Seconds until a node has said hello; the kernel of a frozen one accepts connections.
CONNECT_TIMEOUT_S = 2
#: With one address. Celery's own setting, which its workers throw away under gevent: they would wait for ever.
_ALONE_TIMEOUT_S = int(NAMESPACES["broker"]["connection_timeout"].default)
#: Endings of the names of Celery's exchanges for events and for remote control.
_FOR_WHOEVER_LISTENS = ("celeryev", ".pidbox")
#: Bytes asked of a socket at least: some small task messages. More would be copied again with each frame that is taken.
_READ_AHEAD = 16 * 1024
#: Seconds for which a node that failed is tried last.
_SHUNNED_S = 30.0
#: host:port → monotonic seconds until which it is tried last. Of the process, because the node is.
_shunned: dict[str, float] = {}
#: Connections that were opened, and are still somebody's.
_open: WeakSet[Node] = WeakSet()


class _Answers:
    """What waits for answers on a channel, or on a connection; py-amqp does so for ever unless told."""

    waits: list[float]
    """Monotonic seconds since which somebody waits."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.waits = []
        super().__init__(*args, **options)

    def wait(self, *args: Any, **options: Any) -> Any:
        """As py-amqp's, and known to whoever looks for answers that do not come."""
        begun = time.monotonic()
        self.waits.append(begun)
        try:
            return super().wait(*args, **options)  # type: ignore[misc]
        finally:
            self.waits.remove(begun)


class _Channel(_Answers, pyamqp.Channel):
    def basic_publish_confirm(self, *args: Any, **options: Any) -> Any:
        """As py-amqp's, and content when a message for whoever listens has reached those who do.

        On RabbitMQ 4.3 a queue at a node that is down refuses what it is sent, until the node is back. One of another
        worker's or of Flower's is enough: kombu takes the refusal for a lost connection, and publishes again for ever.
        """
        try:
            return super().basic_publish_confirm(*args, **options)
        except MessageNacked:
            if not str(options.get("exchange")).endswith(_FOR_WHOEVER_LISTENS):
                raise


class _Connection(_Answers, pyamqp.Connection):
    Channel = _Channel

    def Transport(self, *arguments: Any, **options: Any) -> Any:  # noqa: N802 - py-amqp's name
        """py-amqp's, which asks the socket for each frame three times, reading what has arrived at once.

        A task message is three frames: 26 µs instead of 41 under gevent.
        """
        transport = super().Transport(*arguments, **options)
        set_up = transport._setup_transport  # noqa: SLF001

        def set_up_and_read_ahead() -> None:
            set_up()
            receive = transport._quick_recv  # noqa: SLF001
            transport._quick_recv = lambda size: receive(max(size, _READ_AHEAD))  # noqa: SLF001

        transport._setup_transport = set_up_and_read_ahead  # noqa: SLF001
        return transport


class Node(kombu.Connection):
    """A connection to one of several nodes; with one address kombu's, with a time for the login."""

    def _connection_factory(self) -> Any:
        self.connect_timeout = self.connect_timeout or (CONNECT_TIMEOUT_S if self.alt else _ALONE_TIMEOUT_S)
        for _ in self.alt:
            if _shunned.get(self.place, 0) <= time.monotonic():
                break
            self.maybe_switch_next()
        # After that, which makes another transport.
        if self.transport.driver_type == "amqp":
            self.transport.Connection = _Connection  # type: ignore[attr-defined]
        try:
            opened = super()._connection_factory()
        except self.recoverable_connection_errors:
            self.shun()
            raise
        if self.alt:
            _open.add(self)
        return opened

    def heartbeat_check(self, rate: int = 2) -> Any:
        """Asked by Celery's worker several times in each heartbeat; raises when the node is silent."""
        try:
            return super().heartbeat_check(rate)
        except self.recoverable_connection_errors:
            self.leave()
            raise

    @property
    def place(self) -> str:
        """host:port of the node."""
        host = self.hostname or ""
        # A connection that nothing has switched yet has the whole address as its host.
        found = parse_url(host) if "://" in host else {"hostname": host, "port": self.port}
        return f"{found['hostname']}:{found['port'] or ''}"

    @property
    def amqp(self) -> Any:
        """py-amqp's connection while it is open; kombu's own property would open one."""
        connection = getattr(self, "_connection", None)
        return connection if connection is not None and connection.connected else None

    def leave(self) -> None:
        """On all connections to this node: whoever waits there for an answer, or says goodbye, would wait for ever."""
        self.shun()
        for each in open_nodes():
            if each.place == self.place:
                each.hang_up()

    def shun(self) -> None:
        """Try the node last for a while."""
        if self.alt:
            _shunned[self.place] = time.monotonic() + _SHUNNED_S

    def hang_up(self) -> None:
        """Close the connection without a word: kombu's own way says goodbye and waits."""
        if (connection := self.amqp) is not None:
            with suppress(OSError):
                # TLS has a goodbye as well, which py-amqp would wait for.
                connection.sock.settimeout(0)
            connection.collect()


def open_nodes() -> list[Node]:
    """Connections of this process to one of several nodes."""
    return [each for each in _open if each.amqp is not None]


class _PooledNode(Node, PooledConnection):
    """kombu's pools make their connections of a class of their own."""


class _Pool(ConnectionPool):
    def new(self) -> _PooledNode:
        """As kombu's, of our class."""
        return _PooledNode(pool=self, **dict(self.connection._info(resolve=False)))  # noqa: SLF001


class NodeConnection(Node):
    """What Celery connects with."""

    def Pool(self, limit: int | None = None, **_: Any) -> ConnectionPool:  # noqa: N802 - kombu's name
        """As kombu's, of our class."""
        return _Pool(self, limit)


class NodeAMQP(AMQP):
    """What Celery makes its connections with."""

    Connection = NodeConnection
