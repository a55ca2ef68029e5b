"""/healthz, /readyz and /metrics on the API's own port; the same answers as every other role's health server."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from notifier.health import Checks, answer


def router(checks: Checks) -> APIRouter:
    """Open to everybody who reaches the port: they carry no personal data, and probes have no tokens."""
    routes = APIRouter(tags=["monitoring"])

    # Not async: `ready` asks Redis and RabbitMQ, so it belongs on a thread.
    def monitor(request: Request) -> Response:
        reply = answer(request.url.path, checks, request.headers.get("accept", ""))
        return Response(reply.body, reply.status, media_type=reply.content_type)

    for path, summary in (
        ("/healthz", "Whether the process runs"),
        ("/readyz", "Whether it can work, and if not, why"),
        ("/metrics", "Metrics for Prometheus"),
    ):
        routes.add_api_route(path, monitor, methods=["GET"], summary=summary, response_class=Response)
        routes.add_api_route(path, monitor, methods=["HEAD"], include_in_schema=False)
    return routes
