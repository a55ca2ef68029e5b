"""`create_app`: the API put together from its parts, which are all arguments; there are no globals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from fastapi import FastAPI
from starlette.types import Scope

from notifier import __version__
from notifier.api import (
    bulk,
    deliveries,
    description,
    endpoints,
    events,
    failures,
    forgetting,
    limits,
    monitoring,
    problems,
    recipients,
    unsubscribing,
)
from notifier.api.access import Tokens, identify, needs_a_token
from notifier.api.edge import Edge
from notifier.api.threads import Threads
from notifier.channels.email.unsubscribe import UnsubscribeLinks
from notifier.domain.cloudevents import MAX_BYTES
from notifier.domain.event import Event
from notifier.failures.held import HeldDeliveries
from notifier.failures.operator import Operator
from notifier.forgetting import Forgetting
from notifier.health import Checks
from notifier.history.lookup import Lookup
from notifier.limits.board import LimitBoard
from notifier.storage.endpoints import Endpoints
from notifier.storage.recipients import Recipients
from notifier.storage.suppressions import Suppressions

#: Bytes of any body but events: a filter with 10,000 ids has 300 kB.
MAX_BODY_BYTES = 512 * 1024
#: Bytes of a body on a path that is open to everybody; mail programs POST 26 of them to an unsubscribe link.
MAX_OPEN_BODY_BYTES = 4096
#: A batch may have as many bytes as this many of the largest events.
BATCH_FACTOR = 16


@dataclass(frozen=True, slots=True)
class Services:
    """What the API is built on. Everything but ``intake`` may be called from several threads at once, and is."""

    tokens: Tokens
    intake: events.Intake
    validate: Callable[[Event], None]
    lookup: Lookup
    endpoints: Endpoints
    held: HeldDeliveries
    checked_url: Callable[[str], str]
    header_names: frozenset[str]
    """Of headers that endpoints may have besides the usual ones."""
    recipients: Recipients
    operator: Operator
    suppressions: Suppressions
    links: UnsubscribeLinks | None
    """None without NOTIFIER_SECRET_KEY: then no mail carries such a link either."""
    checks: Checks
    event_bytes: int = MAX_BYTES
    forgetting: Forgetting = field(kw_only=True)
    limits: LimitBoard = field(kw_only=True)


def create_app(services: Services) -> FastAPI:
    """The application."""
    # No /docs: that page loads its scripts from a stranger's server. docs/reference/http-api.md says the same.
    app = FastAPI(
        title=description.TITLE, version=__version__, description=description.ABOUT, redoc_url=None, docs_url=None
    )
    batch_bytes = services.event_bytes * BATCH_FACTOR
    threads = Threads()
    parts = (
        events.router(
            services.tokens,
            threads,
            services.intake,
            services.validate,
            event_bytes=services.event_bytes,
            batch_bytes=batch_bytes,
        ),
        deliveries.router(services.tokens, threads, services.lookup),
        endpoints.router(
            services.tokens,
            threads,
            services.endpoints,
            services.held,
            checked_url=services.checked_url,
            header_names=services.header_names,
        ),
        bulk.router(services.tokens, threads, services.recipients),
        recipients.router(services.tokens, services.recipients),
        failures.router(services.tokens, threads, services.operator),
        limits.router(services.tokens, threads, services.limits),
        forgetting.router(services.tokens, services.forgetting),
        monitoring.router(services.checks, services.operator),
    )
    for part in parts:
        app.include_router(part)
    if services.links is not None:
        app.include_router(unsubscribing.router(services.links, services.suppressions))
    problems.install(app)
    app.add_middleware(Edge, limit=_limit(services.tokens, batch_bytes))
    # Made once: the page is open, and making it costs tens of milliseconds.
    app.openapi = cache(lambda: description.describe(app.routes))  # type: ignore[method-assign]
    return app


def _limit(tokens: Tokens, batch_bytes: int) -> Callable[[Scope], int | None]:
    def limit(scope: Scope) -> int | None:
        if not needs_a_token(scope["path"]):
            return MAX_OPEN_BODY_BYTES
        authorization: bytes = dict(scope["headers"]).get(b"authorization", b"")
        identify(tokens, authorization.decode("latin-1"))
        if scope["path"] == bulk.PATH:
            return None
        return batch_bytes if scope["path"] == "/v1/events" else MAX_BODY_BYTES

    return limit


def describe() -> dict[str, Any]:
    """The OpenAPI description of an API with all its parts; calls none of them."""
    unused = cast(Any, None)
    links = UnsubscribeLinks("https://example.org", ["only to describe the path of these links"])
    services = Services(
        Tokens(()),
        unused,
        unused,
        unused,
        unused,
        unused,
        unused,
        unused,
        unused,
        unused,
        unused,
        links,
        unused,
        forgetting=unused,
        limits=unused,
    )
    return create_app(services).openapi()
