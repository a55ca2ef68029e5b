"""``notifier api``: uvicorn with a graceful stop. Plain asyncio, never monkey-patched."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from notifier import logs
from notifier.api.app import create_app
from notifier.api.connections import Bounds, protocol
from notifier.api.monitoring import measure
from notifier.health import HealthServer
from notifier.process import configure_logs
from notifier.settings import Settings
from notifier.wiring.api import build_services

_log = logs.get("api")

#: Seconds after which a thread that wants Python's lock gets it. A publish wants it six times, on its way through the
#: event loop, a thread of its own and the publisher's, each time behind everybody who lists; the default is 0.005.
SWITCH_S = 0.0005


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight may finish within the grace time."""
    configure_logs()
    sys.setswitchinterval(SWITCH_S)
    services, close = build_services(settings)
    # A listener that callers cannot fill: while every connection of the API is taken, probes are answered.
    health = HealthServer(
        services.checks, settings.http_host, settings.http_port, measure=lambda: measure(services.operator)
    )
    try:
        logs.wide(_log, "health.listening", host=settings.http_host, port=health.start())
        run(
            create_app(services),
            settings.http_host,
            settings.api_port,
            grace=settings.grace,
            bounds=Bounds(
                connections=settings.api_connections,
                per_address=settings.api_connections_per_address,
                head_bytes=settings.api_head_bytes,
                head_seconds=settings.api_head_seconds,
                idle_seconds=settings.api_idle_seconds,
            ),
        )
    finally:
        health.stop()
        close()


def run(
    app: FastAPI,
    host: str,
    port: int,
    *,
    grace: float,
    started: Callable[[int], object] | None = None,
    bounds: Bounds = Bounds(),  # noqa: B008 - a frozen value
) -> None:
    """Serve ``app``; ``started`` hears the port, which matters for port 0. Exits with 1 when the port is taken."""
    try:
        listener = _listen(host, port)
    except OSError as error:
        sys.stderr.write(f"notifier: cannot listen on {host}:{port}: {error}\nSet NOTIFIER_API_PORT to a free port.\n")
        raise SystemExit(1) from error
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        # A peer that names itself by X-Forwarded-For would be believed.
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, int(grace)),
        http=protocol(bounds),
        timeout_keep_alive=bounds.idle_seconds,
        lifespan="off",
        ws="none",
    )
    bound = int(listener.getsockname()[1])
    logs.wide(_log, "api.listening", host=host, port=bound)
    if started is not None:
        started(bound)
    with _signals_that_only_stop():
        uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def _signals_that_only_stop() -> Iterator[None]:
    """Makes SIGTERM and SIGINT end in a return.

    After its graceful stop uvicorn raises the signal again for the handler from before, whose default kills the process
    at once: with connections open, and an exit status that looks like a crash.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener
