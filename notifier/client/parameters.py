"""AMQP URLs → pika's connection parameters, with the settings that keep a lost broker from going unnoticed.

`consumers` uses it too, so that both ends read a URL alike and as Celery does.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from os import PathLike
from typing import Any
from urllib.parse import unquote

import pika

from notifier.client.server_url import ServerUrl, UnreadableUrl, read_node_urls

#: Seconds; a dead connection is noticed within two of them.
HEARTBEAT_S = 30
#: Seconds, with several nodes: there is somewhere to go, so a node that says nothing is left soon (`silence`).
#: It sends something every half of them.
CLUSTER_HEARTBEAT_S = 4
#: Seconds a broker's memory or disk alarm may hold a publisher before its connection counts as lost.
BLOCKED_TIMEOUT_S = 30.0
#: Seconds for TCP, and for TCP, TLS and AMQP login together.
_CONNECT_TIMEOUT_S = 10.0
_LOGIN_TIMEOUT_S = 15.0
#: The same, with several nodes. The kernel of a frozen node accepts connections, and nobody ever says hello.
_CLUSTER_CONNECT_TIMEOUT_S = 2.0
_CLUSTER_LOGIN_TIMEOUT_S = 3.0
#: An idle connection across a firewall is probed after a minute instead of two hours.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


def connection_parameters(
    urls: str,
    name: str,
    *,
    ca_file: str | PathLike[str] | None = None,
    blocked_timeout: float | None = BLOCKED_TIMEOUT_S,
) -> tuple[pika.ConnectionParameters, ...]:
    """Of each node. Raises `ValueError` for what is no ``amqp[s]://user:password@host:port/vhost``, or a list of them.

    ``name`` is what RabbitMQ shows of the connection.
    """
    try:
        nodes = read_node_urls(urls, ("amqp", "amqps"))
    except UnreadableUrl as error:
        raise ValueError(f"not an AMQP URL: {error}") from None
    is_cluster = len(nodes) > 1
    shared = {
        "heartbeat": CLUSTER_HEARTBEAT_S if is_cluster else HEARTBEAT_S,
        "blocked_connection_timeout": blocked_timeout,
        "socket_timeout": _CLUSTER_CONNECT_TIMEOUT_S if is_cluster else _CONNECT_TIMEOUT_S,
        "stack_timeout": _CLUSTER_LOGIN_TIMEOUT_S if is_cluster else _LOGIN_TIMEOUT_S,
        "client_properties": _client_properties(name),
    }
    return tuple(_of_node(node, ca_file, shared) for node in nodes)


def _of_node(
    node: ServerUrl, ca_file: str | PathLike[str] | None, shared: Mapping[str, Any]
) -> pika.ConnectionParameters:
    tls = _tls(node.host, ca_file) if node.scheme == "amqps" else None
    return pika.ConnectionParameters(
        host=node.host,
        port=node.port or (5671 if tls else 5672),
        # Everything after the first slash, as Celery reads it: "", "/" and "%2f" are the default vhost.
        virtual_host=unquote(node.path) or "/",
        credentials=pika.PlainCredentials(node.username or "guest", node.password or "guest"),
        ssl_options=tls,
        tcp_options=dict(_KEEPALIVE),
        **shared,
    )


def place(parameters: pika.ConnectionParameters) -> str:
    """``host:port/vhost`` for messages; without user and password."""
    vhost = "" if parameters.virtual_host == "/" else parameters.virtual_host
    return f"{parameters.host}:{parameters.port}/{vhost}"


def _tls(host: str, ca_file: str | PathLike[str] | None) -> pika.SSLOptions:
    return pika.SSLOptions(ssl.create_default_context(cafile=ca_file), server_hostname=host)


def _client_properties(name: str) -> Mapping[str, Any]:
    return {"connection_name": name}
