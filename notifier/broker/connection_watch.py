"""Looks at a worker's connections to RabbitMQ: one whose node is silent, or that does not answer, is closed at once.

Celery looks at one of its connections, and only while it reads tasks. On its way there it asks for a dozen things, one
after the other and without a limit of time; a node that froze meanwhile would block it for ever.
"""

from __future__ import annotations

import logging
import socket
import struct
import sys
import time
from typing import Any

from notifier.broker.alarm import ALARM
from notifier.broker.nodes import Node, open_nodes
from notifier.client.silence import SILENT_S
from notifier.logs import get, wide

#: Seconds between two looks.
LOOK_EVERY_S = 0.5
#: Seconds within which whatever was asked is answered: more than a publish waits for its confirm (`publisher`).
ANSWER_S = 60.0
#: Where linux/tcp.h has `tcpi_last_data_recv` in its `tcp_info`: milliseconds since the kernel got anything.
_LAST_DATA_RECEIVED = 52

_log = get("worker")


def look() -> None:
    """Celery hears of it as of a lost connection, and goes to another node."""
    for node in open_nodes():
        connection = node.amqp
        if connection is None:
            continue  # closed with another one a moment ago
        # Where there are no heartbeats, a node that has nothing to say says nothing.
        if connection.heartbeat and silence(connection.sock) >= SILENT_S:
            _tell(node, f"it has said nothing for {SILENT_S:.0f} s")
            node.leave()
        # In an alarm no publish is confirmed, by any node.
        elif ALARM.reason is None and _unanswered_for(connection) >= ANSWER_S:
            _tell(node, f"it has not answered for {ANSWER_S:.0f} s")
            node.shun()
            # All of them: Celery makes those that it sends events by only together with the one that it reads tasks by.
            for each in open_nodes():
                each.hang_up()


def _tell(node: Node, reason: str) -> None:
    wide(_log, "broker.left", level=logging.WARNING, node=node.place, reason=reason)


def _unanswered_for(connection: Any) -> float:
    """Seconds for which somebody has waited for its answer."""
    since = [begun for each in (connection.channels or {}).values() for begun in each.waits]
    return time.monotonic() - min(since) if since else 0.0


def silence(sock: socket.socket) -> float:
    """Seconds since the kernel got anything from the other side; 0 where it does not say (not Linux).

    The kernel's word, because what it got while this process stood still has only not been read yet.
    """
    if sys.platform != "linux":
        return 0.0
    told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED + 4)
    return float(struct.unpack_from("I", told, _LAST_DATA_RECEIVED)[0]) / 1000
