"""/healthz, /readyz and /metrics on the API's own port, besides the listener that every role has for them.

Callers can fill the API's port, so what must always answer (probes, Prometheus) asks the other one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from notifier import metrics
from notifier.api.problems import content
from notifier.domain.topology import FAILURE_QUEUES
from notifier.errors import StorageUnavailable
from notifier.failures.operator import Operator
from notifier.health import Checks, answer


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": sorted(properties), "properties": properties, "additionalProperties": False}


_TEXT = {"type": "string"}
_ALIVE = _object({"status": _TEXT, "version": _TEXT, "zones": {**_TEXT, "description": "Version of the time zones."}})
_READY = _object({"status": {"enum": ["ok", "not ready"]}, "checks": {"type": "object", "additionalProperties": _TEXT}})
_METRICS = {"content": {kind: {"schema": _TEXT} for kind in ("text/plain", "application/openmetrics-text")}}


def _told(schema: dict[str, Any], more: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """An answer, for the OpenAPI description."""
    return {"description": "In words.", "content": {"application/json": {"schema": schema}, **more}}


def router(checks: Checks, operator: Operator) -> APIRouter:
    """Open to everybody who reaches the port: they carry no personal data, and probes have no tokens.

    The size of the failure queues is told here and by no other role, so nothing is told twice.
    """
    routes = APIRouter(tags=["monitoring"])

    # Not async: `ready` asks Redis and RabbitMQ, so it belongs on a thread.
    def monitor(request: Request) -> Response:
        if request.url.path == "/metrics":
            measure(operator)
        reply = answer(request.url.path, checks, request.headers.get("accept", ""))
        return Response(reply.body, reply.status, media_type=reply.content_type)

    pages: tuple[tuple[str, str, dict[int | str, dict[str, Any]]], ...] = (
        ("/healthz", "Whether the process runs", {200: _told(_ALIVE)}),
        ("/readyz", "Whether it can work, and if not, why", {200: _told(_READY), 503: _told(_READY, content())}),
        ("/metrics", "Metrics for Prometheus", {200: {"description": "In the format that was asked for.", **_METRICS}}),
    )
    for path, summary, responses in pages:
        routes.add_api_route(
            path, monitor, methods=["GET"], summary=summary, response_class=Response, responses=responses
        )
        routes.add_api_route(path, monitor, methods=["HEAD"], include_in_schema=False)
    return routes


def measure(operator: Operator) -> None:
    """How much lies in the failure queues, for whoever asks for the metrics now."""
    sizes = dict.fromkeys(FAILURE_QUEUES, 0)
    try:
        for (queue, _), count in operator.counts().items():
            sizes[queue] = sizes.get(queue, 0) + count
    except StorageUnavailable:
        # No sample instead of an old one: an alert on absence is right, one that sleeps on a stale number is not.
        metrics.PARKED_NOW.clear()
        return
    for queue, size in sizes.items():
        metrics.PARKED_NOW.labels(queue).set(size)
