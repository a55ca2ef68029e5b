"""What became of an event or a delivery."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from notifier.api.access import Role, Tokens, needs
from notifier.api.models import DeliveryBody, EventBody
from notifier.api.problems import responses
from notifier.api.threads import Threads
from notifier.domain.ids import event_key
from notifier.errors import NotFound
from notifier.history.lookup import Found, Lookup

Key = Annotated[str, Path(max_length=1024, description="`evt_…` key, or the CloudEvent's id together with `?source=`.")]
Source = Annotated[str, Query(max_length=1024, description="The CloudEvent's source, when `key` is its id.")]
Page = Annotated[int, Query(ge=0, le=1_000_000, description="Page of a large fan-out.")]


def router(tokens: Tokens, threads: Threads, lookup: Lookup) -> APIRouter:
    """The routes; not async, because what they ask is not."""
    routes = APIRouter(prefix="/v1", tags=["deliveries"])

    def read(key: str, source: str, page: int, may_read: bool) -> EventBody:
        wanted = event_key(source, key) if source else key
        found = lookup.event(wanted, page)
        if found is None:
            raise NotFound(_no_event(key, source))
        shown = lookup.deliveries_of(found) if may_read else Found(())
        return EventBody(
            key=found.key,
            id=found.id,
            source=found.source,
            type=found.type,
            tenant=found.tenant,
            received=found.received,
            status=found.status,
            reason=found.reason,
            parked=found.parked,
            planned=found.planned,
            deliveries=[DeliveryBody.model_validate(record) for record in shown.records] if may_read else None,
            next_page=found.next_page if may_read else None,
            note=found.note,
            kept_in=found.kept_in,
            missing=shown.missing,
        )

    @routes.get(
        "/events/{key:path}",
        summary="One event and its deliveries",
        dependencies=[Depends(needs(tokens, Role.READ, Role.PUBLISH))],
        responses=responses(404),
        response_model=EventBody,
    )
    async def show_event(request: Request, key: Key, source: Source = "", page: Page = 0) -> Response:
        """What became of an event, with statuses and attempts of everything it caused. Role: `read`, or `publish`.

        A token that may only publish is told where the event stands and why, and nothing of its deliveries.
        """
        # A page of a large fan-out has a thousand deliveries with their attempts.
        may_read = Role.READ in request.state.caller.roles
        return await threads.look(lambda: read(key, source, page, may_read))

    @routes.get(
        "/deliveries/{id}",
        summary="One delivery and its attempts",
        dependencies=[Depends(needs(tokens, Role.READ))],
        responses=responses(404),
    )
    def show_delivery(id: Annotated[str, Path(max_length=64, examples=["dlv_7qk2…"])]) -> DeliveryBody:  # noqa: A002
        """Status and every attempt of one delivery. Role: `read`."""
        record = lookup.delivery(id)
        if record is None:
            settings = "NOTIFIER_RETENTION_SENT, NOTIFIER_HISTORY_RETENTION"
            raise NotFound(f"no delivery {id!r} is known; records expire, see {settings}")
        return DeliveryBody.model_validate(record)

    return routes


def _no_event(key: str, source: str) -> str:
    if source or key.startswith("evt_"):
        return (
            f"no event {key!r} is known here: it was not taken in yet, its message does not say which event it is "
            "(then it is parked under raw_…), or its record has expired"
        )
    return f"{key!r} is not an evt_ key; give the CloudEvent's source too: ?source=/shop/orders"
