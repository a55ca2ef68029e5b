"""An AMQP URL → pika's connection parameters, with the settings that keep a lost broker from going unnoticed.

`consumers` uses it too, so that both ends read a URL alike and as Celery does.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from os import PathLike
from typing import Any
from urllib.parse import unquote

import pika

from notifier.client.server_url import UnreadableUrl, read_server_url

#: Seconds; a dead connection is noticed within two of them.
HEARTBEAT_S = 30
#: Seconds a broker's memory or disk alarm may hold a publisher before its connection counts as lost.
BLOCKED_TIMEOUT_S = 30.0
#: Seconds for TCP, and for TCP, TLS and AMQP login together.
_CONNECT_TIMEOUT_S = 10.0
_LOGIN_TIMEOUT_S = 15.0
#: An idle connection across a firewall is probed after a minute instead of two hours.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


def connection_parameters(
    url: str,
    name: str,
    *,
    ca_file: str | PathLike[str] | None = None,
    blocked_timeout: float | None = BLOCKED_TIMEOUT_S,
) -> pika.ConnectionParameters:
    """Raises `ValueError` for what is no ``amqp[s]://user:password@host:port/vhost``. ``name`` is shown there."""
    try:
        found = read_server_url(url, ("amqp", "amqps"))
    except UnreadableUrl as error:
        raise ValueError(f"not an AMQP URL: {error}") from None
    tls = _tls(found.host, ca_file) if found.scheme == "amqps" else None
    return pika.ConnectionParameters(
        host=found.host,
        port=found.port or (5671 if tls else 5672),
        # Everything after the first slash, as Celery reads it: "", "/" and "%2f" are the default vhost.
        virtual_host=unquote(found.path) or "/",
        credentials=pika.PlainCredentials(found.username or "guest", found.password or "guest"),
        ssl_options=tls,
        heartbeat=HEARTBEAT_S,
        blocked_connection_timeout=blocked_timeout,
        socket_timeout=_CONNECT_TIMEOUT_S,
        stack_timeout=_LOGIN_TIMEOUT_S,
        tcp_options=dict(_KEEPALIVE),
        client_properties=_client_properties(name),
    )


def place(parameters: pika.ConnectionParameters) -> str:
    """``host:port/vhost`` for messages; without user and password."""
    vhost = "" if parameters.virtual_host == "/" else parameters.virtual_host
    return f"{parameters.host}:{parameters.port}/{vhost}"


def _tls(host: str, ca_file: str | PathLike[str] | None) -> pika.SSLOptions:
    return pika.SSLOptions(ssl.create_default_context(cafile=ca_file), server_hostname=host)


def _client_properties(name: str) -> Mapping[str, Any]:
    return {"connection_name": name}
