"""POST /v1/recipients: any number of people in one request, as JSON Lines; read as they come, never kept."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.requests import ClientDisconnect, Request

from notifier import audit
from notifier.api.access import Role, Tokens, needs
from notifier.api.importing import BATCH, Import
from notifier.api.lines import Line, Lines
from notifier.api.models import ImportedBody
from notifier.api.problems import HttpProblem, responses
from notifier.api.threads import Threads
from notifier.storage.recipients import Recipients, Stored

PATH = "/v1/recipients"
#: Media types of JSON Lines: none is registered, the first is the usual one.
MEDIA_TYPES = ("application/x-ndjson", "application/jsonl", "application/json-lines")
_EXAMPLE = '{"id": "user-1", "email": "kim@example.org", "locale": "de"}\n{"id": "user-2", "phone": "+491701234567"}\n'
_BODY: dict[str, Any] = {
    "required": True,
    "description": "JSON Lines: a recipient on each line, with its `id` and what `PUT /v1/recipients/{id}` takes.",
    "content": {MEDIA_TYPES[0]: {"schema": {"type": "string"}, "example": _EXAMPLE}},
}


def router(tokens: Tokens, threads: Threads, recipients: Recipients) -> APIRouter:
    """The route; administrators may change people."""
    routes = APIRouter(tags=["recipients"])

    @routes.post(
        PATH,
        summary="Add or replace many people",
        dependencies=[Depends(needs(tokens, Role.ADMIN))],
        responses=responses(415),
        openapi_extra={"requestBody": _BODY},
    )
    async def bulk(
        request: Request, dry_run: Annotated[bool, Query(description="Only check; nothing is stored.")] = False
    ) -> ImportedBody:
        """Each line is stored as a `PUT` would store it; one that cannot be is left out and told. Role: `admin`.

        The body may be of any length: it is stored while it comes, and the answer follows its end. The same request
        again changes nothing, so one that was cut off is sent again.
        """
        _check_type(request)
        importing = Import(_checked_only if dry_run else recipients.put)
        try:
            await _take(request, threads, importing)
        except ClientDisconnect:
            # Nobody reads the answer; what has come is stored.
            raise HttpProblem(400, "cut_off", "The body has no end", "the connection was closed before it") from None
        finally:
            if not dry_run and importing.done.people:
                people, lines = importing.done.people, importing.done.lines
                audit.note("recipients.imported", people=people, lines=lines, by=request.state.caller.name)
        return ImportedBody.model_validate(importing.done)

    return routes


async def _take(request: Request, threads: Threads, importing: Import) -> None:
    lines, waiting = Lines(), list[Line]()
    async for data in request.stream():
        fed = lines.feed(data)
        while more := list(islice(fed, BATCH - len(waiting))):
            waiting += more
            if len(waiting) == BATCH:
                await threads.store(partial(importing.take, waiting))
                waiting = []
    waiting += lines.end()
    await threads.store(lambda: importing.take(waiting))


def _checked_only(_: object) -> Stored:
    return Stored()


def _check_type(request: Request) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in MEDIA_TYPES:
        raise HttpProblem(
            415,
            "media_type",
            "The body is of another type",
            f"this path takes JSON Lines, and the request says {given[:80]!r}",
            where="Content-Type",
            do=f"send one JSON object on each line, with Content-Type: {MEDIA_TYPES[0]}",
        )
