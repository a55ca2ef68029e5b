"""Celery with several RabbitMQ nodes: which one a connection begins with, and how soon a silent one is left.

Every connection of kombu's begins with the first address, and Celery opens six to get a worker going again: with a
frozen node in front each of them would wait for it. So a node that failed a moment ago is tried last, by all of them;
and when one of them has missed its heartbeats, all that are open to that node are closed without a goodbye.
"""

from __future__ import annotations

import time
from typing import Any
from weakref import WeakSet

import kombu
from celery.app.amqp import AMQP
from kombu.connection import ConnectionPool, PooledConnection
from kombu.utils.url import parse_url

#: Seconds of a heartbeat; a node is left after two without a word (py-amqp), looked at every second.
HEARTBEAT_S = 4
HEARTBEAT_LOOKS = 4
#: Seconds until a node has said hello; the kernel of a frozen one accepts connections.
CONNECT_TIMEOUT_S = 2
#: Seconds for which a node that failed is tried last.
_SHUNNED_S = 30.0
#: host:port → monotonic seconds until which it is tried last. Of the process, because the node is.
_shunned: dict[str, float] = {}
#: Connections that were opened, and are still somebody's.
_open: WeakSet[_Shunning] = WeakSet()


class _Shunning(kombu.Connection):
    """As kombu's, and of one address exactly that."""

    def _connection_factory(self) -> Any:
        if not self.alt:
            return super()._connection_factory()
        for _ in self.alt:
            if _shunned.get(self._node, 0) <= time.monotonic():
                break
            self.maybe_switch_next()
        try:
            opened = super()._connection_factory()
        except self.recoverable_connection_errors:
            self._shun()
            raise
        _open.add(self)
        return opened

    def heartbeat_check(self, rate: int = 2) -> Any:
        """Asked by Celery's worker several times in each heartbeat; raises when the node is silent."""
        try:
            return super().heartbeat_check(rate)
        except self.recoverable_connection_errors:
            self._shun()
            self._hang_up()
            raise

    @property
    def _node(self) -> str:
        host = self.hostname or ""
        # A connection that nothing has switched yet has the whole address as its host.
        found = parse_url(host) if "://" in host else {"hostname": host, "port": self.port}
        return f"{found['hostname']}:{found['port'] or ''}"

    def _shun(self) -> None:
        if self.alt:
            _shunned[self._node] = time.monotonic() + _SHUNNED_S

    def _hang_up(self) -> None:
        """On all connections to this node: whoever waits there for an answer, or says goodbye, would wait for ever."""
        node = self._node
        for other in [each for each in _open if each._node == node]:  # noqa: SLF001 - of this class
            # py-amqp's, not kombu's, which says goodbye and waits.
            if (connection := getattr(other, "_connection", None)) is not None:
                connection.collect()


class _PooledConnection(_Shunning, PooledConnection):
    """kombu's pools make their connections of a class of their own."""


class _Pool(ConnectionPool):
    def new(self) -> _PooledConnection:
        """As kombu's, of our class."""
        return _PooledConnection(pool=self, **dict(self.connection._info(resolve=False)))  # noqa: SLF001


class NodeConnection(_Shunning):
    """What Celery connects with."""

    def Pool(self, limit: int | None = None, **_: Any) -> ConnectionPool:  # noqa: N802 - kombu's name
        """As kombu's, of our class."""
        return _Pool(self, limit)


class NodeAMQP(AMQP):
    """What Celery makes its connections with."""

    Connection = NodeConnection
