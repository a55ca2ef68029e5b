"""POST /v1/events: take CloudEvents in, and answer only when somebody durable has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from notifier import metrics
from notifier.api import examples
from notifier.api.access import Role, Tokens, needs
from notifier.api.cloudevents_http import decode
from notifier.api.problems import responses
from notifier.api.threads import Threads
from notifier.domain.event import Event


class Intake(Protocol):
    """Whoever takes events over from the API. Called from threads."""

    def accept(self, events: Sequence[Event], *, urgent: bool = False) -> None:
        """Returns once all are safe. Raises `BrokerUnavailable` or `PublishRejected`: the caller still has them.

        ``urgent`` ones are taken in before all that wait (`topology.URGENT_EXCHANGE`).
        """


class AcceptedEvent(BaseModel):
    """An event that is safe and will be delivered or shown as a failure."""

    model_config = ConfigDict(hide_input_in_errors=True)

    id: str = Field(description="The CloudEvent's id.", examples=["1234"])
    source: str = Field(description="The CloudEvent's source.", examples=["/shop/orders"])
    key: str = Field(description="Ask what became of it at /v1/events/{key}.", examples=["evt_3kxq…"])
    note: str = Field(
        "",
        description="What was mended of it; publish it so. Left out when nothing was.",
        examples=["attribute 'methodName' was read as 'methodname'"],
    )


class Accepted(BaseModel):
    """All events of the request, in its order."""

    model_config = ConfigDict(hide_input_in_errors=True)

    accepted: list[AcceptedEvent]


def router(
    tokens: Tokens,
    threads: Threads,
    intake: Intake,
    validate: Callable[[Event], None],
    *,
    event_bytes: int,
    batch_bytes: int,
) -> APIRouter:
    """The route; ``validate`` raises `SchemaMismatch` when the data breaks a schema that the catalog knows."""
    routes = APIRouter(prefix="/v1", tags=["events"])

    def take_in(headers: Sequence[tuple[bytes, bytes]], body: bytes, urgent: bool) -> list[Event]:
        events = decode(headers, body, event_bytes=event_bytes, batch_bytes=batch_bytes)
        for event in events:
            validate(event)
        if events:
            intake.accept(events, urgent=urgent)
        metrics.EVENTS_RECEIVED.labels("http").inc(len(events))
        return events

    @routes.post(
        "/events",
        status_code=202,
        response_model_exclude_defaults=True,
        summary="Publish one or more CloudEvents",
        dependencies=[Depends(needs(tokens, Role.PUBLISH))],
        responses=responses(415, 422),
        openapi_extra={"requestBody": examples.EVENT_BODY, "parameters": examples.EVENT_HEADERS},
    )
    async def publish(
        request: Request,
        urgent: Annotated[
            bool, Query(description="Take them in before all events that wait: a login code, a password reset.")
        ] = False,
    ) -> Accepted:
        """Structured, binary and batched CloudEvents 1.0. Role: `publish`.

        **202** means that the broker has confirmed every event of the request; anything else means that none of them
        need be considered taken in, and that publishing the same request again is safe: `source` and `id` identify an
        event, and one that is known already is not delivered twice.
        """
        body = await request.body()
        events = await threads.publish(lambda: take_in(request.scope["headers"], body, urgent))
        return Accepted(accepted=[AcceptedEvent(id=e.id, source=e.source, key=e.key, note=e.note) for e in events])

    return routes
