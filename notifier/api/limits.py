"""Rate limits: what is in force and who waits; changed while everything runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from notifier import audit
from notifier.api.access import Role, Tokens, needs
from notifier.api.problems import HttpProblem, responses
from notifier.api.threads import Threads
from notifier.domain.limit import MAX_NAME, RATE_PATTERN, UNLIMITED, Rate, Scope, ScopeKind, parse_limit
from notifier.errors import NotFound
from notifier.limits.board import LimitBoard

ScopeName = Annotated[
    str,
    Path(
        max_length=MAX_NAME + 10,
        examples=["domain:gmail.com"],
        json_schema_extra={"pattern": rf"^(?:{'|'.join(ScopeKind)})(?::\S{{1,{MAX_NAME}}})?$"},
    ),
]


class LimitBody(BaseModel):
    """One rate limit."""

    model_config = ConfigDict(from_attributes=True, hide_input_in_errors=True)

    scope: str = Field(description="A kind and a name; a kind alone is for each of that kind.", examples=["relay"])
    rate: str = Field(description="As it was written, or `unlimited`.", examples=["20/s burst 40"])
    origin: str = Field(description="Who says so.", examples=["set live"])
    per_second: float | None = Field(description="In force now; null is no limit.")
    factor: float = Field(description="Its share of the rate while it is slowed down; 1 otherwise.")
    waiting: int = Field(description="Deliveries in its line, about.")
    line: float = Field(description="Seconds until the last of them may go.")


class BrowsingLimits(BaseModel):
    """A page of limits."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    limit: int | None = Field(None, ge=1, le=1000, description="How many; all, if left out.")
    after: str = Field("", max_length=MAX_NAME + 10, description="The last `scope` of the page before.")


class LimitChange(BaseModel):
    """A rate to set live."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    rate: str = Field(
        max_length=60,
        description="`20/s`, `5/10s burst 2`, or `unlimited`.",
        examples=["20/s burst 40"],
        json_schema_extra={"pattern": rf"^\s*(?:{UNLIMITED}|{RATE_PATTERN})\s*$"},
    )


def router(tokens: Tokens, threads: Threads, board: LimitBoard) -> APIRouter:
    """The routes. Operators may do all of it: a limit only moves when things are sent."""
    operate = [Depends(needs(tokens, Role.OPERATE))]
    routes = APIRouter(prefix="/v1/limits", tags=["limits"], dependencies=operate)

    @routes.get("", summary="Every rate limit", response_model=list[LimitBody])
    async def browse(chosen: Annotated[BrowsingLimits, Query()]) -> Response:
        """From settings, rules, endpoints and what was set live or learned, in the order of their scopes.

        With `limit` so many; fewer are the last page. Role: `operate`.
        """
        return await threads.list(
            lambda: [LimitBody.model_validate(view) for view in board.list(chosen.limit, chosen.after)]
        )

    @routes.put("/{scope:path}", status_code=204, summary="Set a limit")
    def change(request: Request, scope: ScopeName, change: LimitChange) -> None:
        """Every worker follows within about a second, until it is reset. Role: `operate`."""
        wanted, rate = _parsed(scope, change.rate)
        board.set(wanted, rate)
        audit.note("limit.set", scope=str(wanted), rate=change.rate, by=request.state.caller.name)

    @routes.delete("/{scope:path}", status_code=204, summary="Reset a limit", responses=responses(404))
    def reset(request: Request, scope: ScopeName) -> None:
        """Back to what is configured, at full rate. Role: `operate`."""
        wanted, _ = _parsed(scope, "unlimited")
        if not board.reset(wanted):
            raise NotFound(f"nothing was set for {wanted}")
        audit.note("limit.reset", scope=str(wanted), by=request.state.caller.name)

    return routes


def _parsed(scope: str, rate: str) -> tuple[Scope, Rate | None]:
    try:
        return Scope.parse(scope), parse_limit(rate)
    except ValueError as error:
        raise HttpProblem(422, "limit", "This is no rate limit", str(error), do="correct the scope or rate") from error
