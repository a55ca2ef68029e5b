"""Webhook endpoints: register, look at, change, rotate the secret of, switch on and off, remove."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from notifier import audit
from notifier.api.access import Role, Tokens, needs
from notifier.api.models import (
    ACTING_S,
    BrowsingEndpoints,
    Disabling,
    EndpointBody,
    EndpointChange,
    EndpointPageBody,
    EndpointWithSecret,
    NewEndpoint,
    Pausing,
    ResumedBody,
    Resuming,
    Rotating,
)
from notifier.api.problems import responses
from notifier.api.threads import Threads
from notifier.channels.webhook.headers import check_headers
from notifier.domain.endpoint import Endpoint, EndpointState
from notifier.failures.held import HeldDeliveries
from notifier.storage.endpoints import Endpoints

Id = Annotated[str, Path(max_length=64, examples=["ep_5t2v…"])]
_NOT_THERE = responses(404)


def router(
    tokens: Tokens,
    threads: Threads,
    endpoints: Endpoints,
    held: HeldDeliveries,
    *,
    checked_url: Callable[[str], str],
    header_names: frozenset[str] = frozenset(),
) -> APIRouter:
    """The routes; ``checked_url`` gives a URL's one spelling or raises `ForbiddenTarget`.

    ``header_names`` are those that endpoints may have besides the usual ones.

    Operators may look and switch; where webhooks go, and with which secret, only administrators may change.
    """
    # The prefix stands in the inner routers: metrics name a route by its own path, which knows no outer prefix.
    routes = APIRouter(tags=["endpoints"])
    routes.include_router(_looking(tokens, threads, endpoints, held))
    routes.include_router(_holding(tokens, held))
    routes.include_router(_changing(tokens, endpoints, checked_url, header_names))
    return routes


def _looking(tokens: Tokens, threads: Threads, endpoints: Endpoints, held: HeldDeliveries) -> APIRouter:
    routes = APIRouter(prefix="/v1/endpoints", dependencies=[Depends(needs(tokens, Role.OPERATE))])

    def read(chosen: BrowsingEndpoints) -> EndpointPageBody:
        page = endpoints.page(chosen.tenant, limit=chosen.limit, after=chosen.after)
        counts = held.counts([endpoint.id for endpoint in page.endpoints])
        bodies = [_body(endpoint, counts.get(endpoint.id, 0)) for endpoint in page.endpoints]
        return EndpointPageBody(endpoints=bodies, next=page.next)

    @routes.get("", summary="Endpoints, page by page", response_model=EndpointPageBody)
    async def browse(chosen: Annotated[BrowsingEndpoints, Query()]) -> Response:
        """Of one tenant, or of all, in the order of their ids. Role: `operate`."""
        return await threads.list(lambda: read(chosen))

    @routes.get("/{id}", summary="One endpoint", responses=_NOT_THERE)
    def show(id: Id) -> EndpointBody:  # noqa: A002
        """Without its secret. Role: `operate`."""
        return _body(endpoints.get(id), held.counts([id]).get(id, 0))

    @routes.post("/{id}/disable", summary="Stop sending to it", responses=_NOT_THERE)
    def disable(request: Request, id: Id, why: Disabling | None = None) -> EndpointBody:  # noqa: A002
        """Deliveries to it end as `skipped`; once it is enabled, a replay sends them. Role: `operate`."""
        reason = why.reason if why else "disabled by an operator"
        return _switch(request, endpoints, id, EndpointState.DISABLED, reason)

    @routes.post("/{id}/enable", summary="Send to it again", responses=_NOT_THERE)
    def enable(request: Request, id: Id) -> EndpointBody:  # noqa: A002
        """What is held follows within a minute, as it is set to (`on_resume`); what was skipped waits for a replay.

        Role: `operate`.
        """
        return _switch(request, endpoints, id, EndpointState.ENABLED, "")

    return routes


def _holding(tokens: Tokens, held: HeldDeliveries) -> APIRouter:
    routes = APIRouter(prefix="/v1/endpoints", dependencies=[Depends(needs(tokens, Role.OPERATE))])

    @routes.post("/{id}/pause", summary="Hold its deliveries", responses=_NOT_THERE)
    def pause(request: Request, id: Id, why: Pausing | None = None) -> EndpointBody:  # noqa: A002
        """Nothing is sent and nothing is lost until it is resumed. Role: `operate`."""
        paused = held.pause(id, why.reason if why else "paused by an operator")
        _note(request, "paused", paused)
        return _body(paused, held.counts([id]).get(id, 0))

    @routes.post("/{id}/resume", summary="Send to it again, and its held deliveries", responses=_NOT_THERE)
    def resume(request: Request, id: Id, how: Resuming | None = None) -> ResumedBody:  # noqa: A002
        """After a pause, after it was disabled, or at once while its breaker is open. Role: `operate`.

        Answers when the held deliveries are queued, after 20 seconds at the latest: workers go on with what is still
        `held`.
        """
        with audit.steps(partial(audit.note, by=request.state.caller.name), "endpoint.resume", id=id):
            resumed, became = held.resume(id, how.held if how else None, seconds=ACTING_S)
        _note(request, "resumed", resumed)
        waiting = held.counts([id]).get(id, 0)
        return ResumedBody.model_validate(
            {**_fields(resumed, waiting), "delivered": became.delivered, "dropped": became.dropped}
        )

    return routes


def _changing(
    tokens: Tokens, endpoints: Endpoints, checked_url: Callable[[str], str], header_names: frozenset[str]
) -> APIRouter:
    routes = APIRouter(prefix="/v1/endpoints", dependencies=[Depends(needs(tokens, Role.ADMIN))])

    @routes.post("", status_code=201, summary="Register an endpoint")
    def add(request: Request, new: NewEndpoint) -> EndpointWithSecret:
        """Answers with its signing secret, this once. Every event published after the answer counts. Role: `admin`."""
        made = endpoints.add(
            new.tenant,
            checked_url(new.url),
            event_types=new.event_types,
            headers=check_headers(tuple(new.headers.items()), header_names),
            description=new.description,
            secret=new.secret,
            rate=new.rate,
            on_resume=new.on_resume,
        )
        _note(request, "added", made)
        return _with_secret(made)

    @routes.patch("/{id}", summary="Change an endpoint", responses=_NOT_THERE)
    def change(request: Request, id: Id, change: EndpointChange) -> EndpointBody:  # noqa: A002
        """What is left out stays. Deliveries that wait are sent to the new URL. Role: `admin`."""
        changed = endpoints.update(
            id,
            url=None if change.url is None else checked_url(change.url),
            event_types=change.event_types,
            headers=None if change.headers is None else check_headers(tuple(change.headers.items()), header_names),
            description=change.description,
            rate=change.rate,
            on_resume=change.on_resume,
        )
        _note(request, "changed", changed)
        return _body(changed)

    @routes.post("/{id}/rotate", summary="Give it a new secret", responses=_NOT_THERE)
    def rotate(request: Request, id: Id, how: Rotating | None = None) -> EndpointWithSecret:  # noqa: A002
        """For a day requests are signed with the old secret as well, so nothing breaks meanwhile. Role: `admin`."""
        rotated = endpoints.rotate(id, secret=how.secret if how else "")
        _note(request, "rotated", rotated)
        return _with_secret(rotated)

    @routes.delete("/{id}", status_code=204, summary="Remove an endpoint", responses=_NOT_THERE)
    def remove(request: Request, id: Id) -> None:  # noqa: A002
        """Deliveries on their way to it end as `skipped`. Role: `admin`."""
        gone = endpoints.get(id)
        endpoints.remove(id)
        _note(request, "removed", gone)

    return routes


def _switch(request: Request, store: Endpoints, id: str, state: EndpointState, reason: str) -> EndpointBody:  # noqa: A002
    switched = store.set_state(id, state, reason)
    _note(request, state.value, switched)
    return _body(switched)


def _fields(endpoint: Endpoint, held: int = 0) -> dict[str, Any]:
    ours = {
        "header_names": [name for name, _ in endpoint.headers],
        "health": endpoint.breaker.describe(time.time()) if endpoint.breaker else "",
        "held": held,
        "rate": str(endpoint.rate or ""),
    }
    return {**{name: getattr(endpoint, name) for name in EndpointBody.model_fields if name not in ours}, **ours}


def _body(endpoint: Endpoint, held: int = 0) -> EndpointBody:
    return EndpointBody.model_validate(_fields(endpoint, held))


def _with_secret(endpoint: Endpoint) -> EndpointWithSecret:
    return EndpointWithSecret.model_validate({**_fields(endpoint), "secret": endpoint.secrets[0]})


def _note(request: Request, verb: str, endpoint: Endpoint) -> None:
    audit.note(f"endpoint.{verb}", **audit.about_endpoint(endpoint), by=request.state.caller.name)
