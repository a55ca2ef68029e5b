"""Every error of the API as an RFC 9457 problem: what happened, where, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from notifier import errors, logs

CONTENT_TYPE = "application/problem+json"
#: Seconds a client should wait before it tries again; a broker restart takes about that long.
RETRY_AFTER_S = 5

_log = logs.get("api")


class ProblemBody(BaseModel):
    """An error, told so that whoever reads it can act on it (RFC 9457)."""

    model_config = ConfigDict(hide_input_in_errors=True)

    type: str = Field(description="Stable name of the kind of problem.", examples=["urn:notifier:problem:malformed"])
    title: str = Field(description="What happened.", examples=["This is not a CloudEvent"])
    status: int = Field(description="The HTTP status.", examples=[400])
    detail: str = Field(description="Why.", examples=["attribute 'source': Field required"])
    where: str = Field("", description="The attribute, field, header or dependency concerned.", examples=["source"])
    do: str = Field("", description="What to do about it.", examples=["correct the event and publish it again"])


class HttpProblem(HTTPException):
    """Raise it anywhere below a route. A `HTTPException`, because FastAPI lets only those through body parsing."""

    def __init__(
        self,
        status: int,
        code: str,
        what: str,
        why: str,
        *,
        where: str = "",
        do: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, why, dict(headers or {}))
        self.body = ProblemBody(
            type=f"urn:notifier:problem:{code}", title=what, status=status, detail=why, where=where, do=do
        )

    def response(self) -> Response:
        """The answer."""
        return JSONResponse(self.body.model_dump(), self.status_code, dict(self.headers or {}), CONTENT_TYPE)


#: error → status, code, what, do. The first class that matches wins, so the most specific come first.
_TABLE: tuple[tuple[type[errors.NotifierError], int, str, str, str], ...] = (
    (errors.EventTooLarge, 413, "too_large", "The event is too large", "publish a link to large content"),
    (errors.SchemaMismatch, 422, "schema", "The data breaks the schema of its event type", "correct the data"),
    (errors.PlanningError, 422, "planning", "A rule cannot be applied to this event", "correct the event or the rule"),
    (errors.InvalidEvent, 400, "malformed", "This is not a CloudEvent we can read", "correct the event"),
    (errors.ForbiddenTarget, 422, "forbidden_target", "Webhooks may not go there", "register a public https:// URL"),
    (errors.InvalidDestination, 422, "bad_destination", "Nothing can be delivered there", "correct the destination"),
    (errors.NotFound, 404, "not_found", "Not found", "check the id; old records expire"),
    (errors.BrokerUnavailable, 503, "broker_away", "RabbitMQ is away", "send the same request again"),
    (errors.Overloaded, 503, "overloaded", "Too much is waiting already", "send the same request again later"),
    (errors.StorageUnavailable, 503, "storage_away", "Redis is away", "send the same request again"),
    (errors.HistoryUnavailable, 503, "history_away", "The history is away", "send the same request again later"),
    (errors.Unavailable, 503, "unavailable", "A dependency is away", "send the same request again"),
    (errors.PublishRejected, 503, "publish_rejected", "RabbitMQ did not take it", "send the same request again"),
    (errors.RenderError, 422, "render_failed", "A template failed", "correct the template or the data"),
    (errors.ConfigurationError, 503, "configuration", "The service is not configured for this", "tell its operators"),
)


def translate(error: errors.NotifierError) -> HttpProblem:
    """The problem that tells a client about one of our errors."""
    for kind, status, code, what, do in _TABLE:
        if isinstance(error, kind):
            headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
            where = getattr(error, "field", "")
            return HttpProblem(status, code, what, str(error), where=where, do=do, headers=headers)
    return HttpProblem(500, "internal", "The service failed", type(error).__name__, do="tell its operators")


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem."""
    app.add_exception_handler(errors.NotifierError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(Exception, _surprise)


async def _ours(request: Request, error: Exception) -> Response:
    problem = translate(error) if isinstance(error, errors.NotifierError) else None
    if problem is None or problem.status_code == 500:
        return await _surprise(request, error)
    return problem.response()


async def _http(request: Request, error: Exception) -> Response:
    if isinstance(error, HttpProblem):
        return error.response()
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    what, why, do = {
        404: (
            "There is no such page",
            f"nothing is served at {request.url.path[:200]}",
            "see /openapi.json for all paths",
        ),
        405: ("This path has other methods", f"{request.method} is not among them", "use a method of the header Allow"),
        400: ("The request cannot be read", str(getattr(error, "detail", "")), "send a JSON body"),
    }.get(status, ("The request failed", str(getattr(error, "detail", "")), ""))
    where = request.url.path[:200]
    if status == 405:
        headers["Allow"] = ", ".join(sorted({*headers["Allow"].split(", "), *_methods(request)}))
    return HttpProblem(status, f"http_{status}", what, why, where=where, do=do, headers=headers).response()


def _methods(request: Request) -> set[str]:
    """Every method of a path. Starlette names those of one route, and a path has a route for each method."""
    operations = request.app.openapi()["paths"].get(getattr(request.scope.get("route"), "path_format", ""), {})
    # Not described: it is GET without the content.
    head = {**request.scope, "method": "HEAD"}
    is_head = any(route.matches(head)[0] is Match.FULL for route in request.app.routes)
    return {method.upper() for method in operations} | ({"HEAD"} if is_head else set())


async def _validation(_: Request, error: Exception) -> Response:
    mistakes: list[Any] = list(error.errors()) if isinstance(error, RequestValidationError) else []
    first = mistakes[0] if mistakes else {"loc": (), "msg": "not readable"}
    where = ".".join(str(part) for part in first["loc"])
    is_unreadable = first.get("type") == "json_invalid" or len(first["loc"]) <= 1
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    what = "The request cannot be read" if is_unreadable else "The request has a wrong field"
    why = str(first["msg"]) + more
    return HttpProblem(
        400 if is_unreadable else 422, "request", what, why, where=where, do="see /openapi.json for this path's fields"
    ).response()


async def _surprise(request: Request, error: Exception) -> Response:
    _log.error("request.failed", exc_info=error, extra={"fields": {"path": request.url.path, "method": request.method}})
    return HttpProblem(
        500, "internal", "The service failed", "an error nobody expected; it is in the log", do="tell its operators"
    ).response()


MEANINGS = {
    400: "The request cannot be read; `where` names the attribute or field.",
    401: "No bearer token, or one that is not known.",
    403: "The token lacks the role that `detail` names.",
    404: "Nothing is known under this id.",
    405: "The path has other methods, which the header `Allow` names.",
    408: "The request did not arrive in time.",
    413: "More bytes than this path takes.",
    415: "Not a content type this path reads.",
    422: "Readable but wrong: `where` names the field.",
    431: "Path and header lines have more bytes than `NOTIFIER_API_HEAD_BYTES`.",
    500: "An error nobody expected; it is in the log.",
    503: "RabbitMQ or Redis is away or refuses, or too much waits already (`overloaded`), or too many connections are "
    "open (`crowded`). Send it again after `Retry-After` seconds; nothing is doubled.",
}
#: What any request may be answered, before or instead of what its path says.
ANY_REQUEST = frozenset({400, 408, 413, 431, 500, 503})
#: What any request may be answered that needs a token.
ANY_CALLER = frozenset({401, 403})
#: Headers that go with a status, always.
_HEADERS = {
    401: {"WWW-Authenticate": "That a bearer token is wanted (RFC 6750)."},
    403: {"WWW-Authenticate": "That a bearer token is wanted, and of which role."},
    503: {"Retry-After": "Seconds."},
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems a path may answer besides those of any request, for its OpenAPI description."""
    return {status: {"description": MEANINGS[status], "content": content()} for status in statuses}


def content() -> dict[str, Any]:
    """What a problem is as the content of an answer."""
    return {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}


def is_ours(answer: Mapping[str, Any]) -> bool:
    """Whether a described answer is a problem and nothing else; FastAPI's own 422 is one of ours when it is sent."""
    return answer.get("content") == content() or "HTTPValidationError" in str(answer)


def reference(status: int) -> dict[str, str]:
    """Where a description says once what this problem is."""
    return {"$ref": f"#/components/responses/{status}"}


def components() -> dict[str, dict[str, Any]]:
    """Every problem, for `reference`."""
    return {
        str(status): {
            "description": meaning,
            "content": content(),
            "headers": {
                name: {"description": text, "required": True, "schema": {"type": "string"}}
                for name, text in _HEADERS.get(status, {}).items()
            },
        }
        for status, meaning in MEANINGS.items()
    }
