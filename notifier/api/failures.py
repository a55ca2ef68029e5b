"""Failure queues over HTTP: list, show, replay and discard, for operators."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from notifier import audit
from notifier.api.access import Role, Tokens, needs
from notifier.api.models import (
    ACTING_S,
    Browsing,
    Chosen,
    Filter,
    ParkedBody,
    ParkedPageBody,
    PayloadBody,
    Replaying,
    ShownBody,
    SummaryBody,
    UnmatchedBody,
)
from notifier.api.problems import HttpProblem, responses
from notifier.api.threads import Threads
from notifier.failures.operator import Operator, Summary
from notifier.failures.payload import Payload, Unseen
from notifier.storage.parked import ParkedFilter


def router(tokens: Tokens, threads: Threads, operator: Operator, clock: Callable[[], float] = time.time) -> APIRouter:
    """The routes; reading them is for operators too, because reasons quote what other servers said."""
    routes = APIRouter(tags=["failures"], dependencies=[Depends(needs(tokens, Role.OPERATE))])
    # First, so that another method than POST on these is told of them, not of an entry with such an id.
    routes.include_router(_acting(operator, clock))
    routes.include_router(_looking(threads, operator, clock))
    return routes


def _looking(threads: Threads, operator: Operator, clock: Callable[[], float]) -> APIRouter:
    # As with endpoints the prefix stands here: metrics name a route by its own path.
    routes = APIRouter(prefix="/v1/failures")

    def read(chosen: Browsing) -> ParkedPageBody:
        page = operator.search(_filter(chosen, clock()), limit=chosen.limit, after=chosen.after)
        counts: dict[str, dict[str, int]] = {}
        for (name, why), count in operator.counts().items():
            counts.setdefault(name, {})[str(why)] = count
        entries = [ParkedBody.model_validate(entry) for entry in page.entries]
        return ParkedPageBody(entries=entries, next=page.cursor, counts=counts)

    @routes.get("", summary="What lies in the failure queues", response_model=ParkedPageBody)
    async def browse(chosen: Annotated[Browsing, Query()]) -> Response:
        """Newest first, with the counts of everything by queue and cause. Role: `operate`."""
        return await threads.list(lambda: read(chosen))

    @routes.get("/unmatched", summary="Types of events no rule wanted", response_model=list[UnmatchedBody])
    async def unmatched() -> Response:
        """The most frequent first, of the last month; of very many types only these. Role: `operate`."""
        return await threads.list(
            lambda: [UnmatchedBody(type=kind, count=count) for kind, count in operator.unmatched()]
        )

    @routes.get("/{id}", summary="One entry", responses=responses(404))
    def show(
        request: Request,
        id: Annotated[str, Path(max_length=64)],  # noqa: A002
        payload: Annotated[bool, Query(description="With what was published; who looks is logged.")] = False,
    ) -> ShownBody:
        """Why one delivery or event is parked. Role: `operate`.

        The payload is looked for in the queue itself, for 20 seconds at most: after that `payload` is null and
        `remaining` says how many messages were not looked at. The same request goes on with those.
        """
        shown = ShownBody.model_validate(operator.show(id))
        if payload:
            _add_payload(request, shown, operator.look(id, ACTING_S))
        return shown

    return routes


def _add_payload(request: Request, shown: ShownBody, looked: Payload | Unseen) -> None:
    if isinstance(looked, Unseen):
        shown.remaining = looked.messages
        return
    shown.payload = PayloadBody.model_validate(looked)
    audit.note("failures.payload_shown", id=shown.id, by=request.state.caller.name)


def _acting(operator: Operator, clock: Callable[[], float]) -> APIRouter:
    routes = APIRouter(prefix="/v1/failures")

    @routes.post("/replay", summary="Send parked entries again", response_model_exclude_none=True)
    def replay(request: Request, chosen: Replaying) -> SummaryBody:
        """Sends the chosen entries back to their queues; what was sent meanwhile is never sent twice. Role: `operate`.

        Answers when it is done, after 20 seconds at the latest: then with `remaining`, for which the same request is
        sent again `again_after` seconds later. `notifier failures replay` takes as long as it takes.
        """
        wanted = _filter(_something(chosen), clock())
        if chosen.dry_run:
            return _counted(operator.count(wanted))
        with _steps(request, "replay", operator, wanted):
            summary = operator.replay(wanted, rate=chosen.rate, seconds=ACTING_S)
        return _told(request, "replayed", summary)

    @routes.post("/discard", summary="Drop parked entries for good", response_model_exclude_none=True)
    def discard(request: Request, chosen: Chosen) -> SummaryBody:
        """Drops the chosen entries from their queues; the ledger keeps that they failed. Role: `operate`.

        Answers as a replay does.
        """
        wanted = _filter(_something(chosen), clock())
        if chosen.dry_run:
            return _counted(operator.count(wanted))
        with _steps(request, "discard", operator, wanted):
            summary = operator.discard(wanted, seconds=ACTING_S)
        return _told(request, "discarded", summary)

    return routes


def _filter(chosen: Filter, now: float) -> ParkedFilter:
    return ParkedFilter(
        ids=tuple(chosen.ids) if isinstance(chosen, Chosen) else (),
        queue=chosen.queue,
        cause=chosen.cause,
        rule=chosen.rule,
        tenant=chosen.tenant,
        event_type=chosen.event_type,
        older_than=None if chosen.older_than is None else now - chosen.older_than,
        newer_than=None if chosen.newer_than is None else now - chosen.newer_than,
    )


def _something(chosen: Chosen) -> Chosen:
    """Raises a 422 for a filter that names nothing: everything must be asked for by queue or age, never by mistake."""
    named = (chosen.ids, chosen.queue, chosen.cause, chosen.rule, chosen.tenant, chosen.event_type)
    if not any(named) and chosen.older_than is None and chosen.newer_than is None:
        raise HttpProblem(
            422,
            "nothing_chosen",
            "Nothing is chosen",
            "a filter without any condition would take everything",
            where="body",
            do="name ids, queue, cause, rule, tenant, older_than or newer_than; older_than 0 is everything",
        )
    return chosen


def _counted(chosen: int) -> SummaryBody:
    return SummaryBody(chosen=chosen, done=0, already_sent=0, missing=0)


def _steps(request: Request, verb: str, operator: Operator, wanted: ParkedFilter) -> AbstractContextManager[None]:
    by_caller = partial(audit.note, by=request.state.caller.name)
    return audit.steps(by_caller, f"failures.{verb}", chosen=operator.count(wanted))


def _told(request: Request, verb: str, summary: Summary) -> SummaryBody:
    left = {"remaining": summary.remaining} if summary.remaining else {}
    audit.note(f"failures.{verb}", chosen=summary.chosen, done=summary.done, **left, by=request.state.caller.name)
    told = SummaryBody.model_validate(summary)
    return told if left else told.model_copy(update={"remaining": None, "again_after": None})
