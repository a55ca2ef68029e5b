"""`Publisher`: publishes events safely from any thread; returns when the broker has the event, or raises."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from os import PathLike
from types import TracebackType
from typing import Any
from uuid import uuid4

from notifier.client.errors import InvalidEvent, PublishError, SomeNotPublished
from notifier.client.event import CONTENT_TYPE, Event, encode
from notifier.client.link import TICK_S, Link
from notifier.client.outbox import Pending
from notifier.client.parameters import connection_parameters

#: Where the service listens.
EXCHANGE = "notifier.events"
#: Where it listens for events that must not wait behind others.
URGENT_EXCHANGE = "notifier.urgent"
#: Seconds one event may take, reconnects included.
TIMEOUT_S = 10.0
#: Events of one `publish_many` that are unsettled at a time.
_WINDOW = 1000
#: Bytes an AMQP routing key may have.
_ROUTING_KEY_BYTES = 255


@dataclass(frozen=True, slots=True)
class Receipt:
    """The broker has the event. ``source`` and ``id`` are what `notifier show` and the API ask for."""

    id: str
    source: str


class Publisher:
    """One connection for a whole process: thread-safe, reconnecting, safe to use after a fork.

    Nothing is connected before the first event. An event counts as published when RabbitMQ confirmed it on a majority
    of its nodes; until then `publish` waits, at most ``timeout`` seconds, and raises a `PublishError` if it cannot be.
    """

    def __init__(
        self,
        url: str,
        *,
        source: str = "",
        tenant: str | None = None,
        timeout: float = TIMEOUT_S,
        exchange: str = EXCHANGE,
        ca_file: str | PathLike[str] | None = None,
        name: str = "notifier publisher",
        waits_for_alarms: bool = True,
        on_alarm: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``source`` names your service, such as ``/shop/orders``. Raises `ValueError` when ``url`` is not AMQP's.

        Several nodes of one cluster are the whole address of each with a semicolon or a comma between them: when one is
        killed, frozen or does not confirm, the next one is used within seconds.

        While the broker blocks publishers (memory or disk alarm), events wait until their timeout and then raise
        `BrokerBlocked`; with ``waits_for_alarms=False`` they raise at once, for callers who can tell others to wait.
        ``on_alarm`` hears the broker's words when that begins, and the empty string when events flow again; it is
        called by the publisher's own thread and must return at once.
        """
        self._source = source
        self._tenant = tenant
        self._timeout = timeout
        self._exchange = exchange
        # An exchange of the caller's own, as in tests, takes both kinds.
        self._urgent_exchange = URGENT_EXCHANGE if exchange == EXCHANGE else exchange
        nodes = connection_parameters(url, name, ca_file=ca_file)
        self._link = Link(nodes, waits_for_alarms=waits_for_alarms, on_alarm=on_alarm)
        _at_the_end_of(self)

    def publish(
        self,
        type: str,  # noqa: A002 (the attribute's name in CloudEvents)
        data: Any = None,
        *,
        id: str | None = None,  # noqa: A002
        source: str | None = None,
        subject: str | None = None,
        tenant: str | None = None,
        time: datetime | None = None,
        expirytime: datetime | None = None,
        traceparent: str | None = None,
        partitionkey: str | None = None,
        dataschema: str | None = None,
        extensions: Mapping[str, str | int | bool] | None = None,
        urgent: bool = False,
        timeout: float | None = None,
    ) -> Receipt:
        """Publish one event and wait until the broker has it.

        Give ``id`` your own stable id (of the order, of the outbox row) and a repeated call sends nothing twice.
        ``urgent`` events are taken in before all others, however many wait: a login code, a password reset.
        """
        event = Event(
            type=type,
            data=data,
            id=str(uuid4()) if id is None else id,
            source=source or "",
            subject=subject,
            tenant=tenant,
            time=time,
            expirytime=expirytime,
            traceparent=traceparent,
            partitionkey=partitionkey,
            dataschema=dataschema,
            extensions=extensions or {},
        )
        return self.submit(event, urgent=urgent, timeout=timeout).result()

    def publish_many(self, events: Iterable[Event], *, timeout: float | None = None) -> list[Receipt]:
        """Publish events, many at a time, in order; ``timeout`` is for each. Thousands a second.

        Raises `SomeNotPublished` with one error per failed event after all the others were published.
        """
        receipts: list[Receipt] = []
        errors: list[PublishError] = []
        waiting: deque[Future[Receipt]] = deque()
        for event in events:
            waiting.append(self._begin(event, timeout))
            if len(waiting) >= _WINDOW:
                _collect(waiting.popleft(), receipts, errors)
        while waiting:
            _collect(waiting.popleft(), receipts, errors)
        if errors:
            raise SomeNotPublished(errors, len(receipts) + len(errors))
        return receipts

    def submit(self, event: Event, *, urgent: bool = False, timeout: float | None = None) -> Future[Receipt]:
        """Publish without waiting: the future gives the `Receipt` or raises the `PublishError`.

        From asyncio: ``await asyncio.wrap_future(publisher.submit(event))``. Raises `InvalidEvent` at once.
        """
        full = replace(event, source=event.source or self._source, tenant=event.tenant or self._tenant)
        return self.submit_encoded(
            encode(full), type=full.type, id=full.id, source=full.source, urgent=urgent, timeout=timeout
        )

    def submit_encoded(
        self,
        body: bytes,
        *,
        type: str,  # noqa: A002
        id: str,  # noqa: A002
        source: str,
        urgent: bool = False,
        timeout: float | None = None,
    ) -> Future[Receipt]:
        """Publish an event that is structured CloudEvents JSON already, as the service's own API holds it."""
        pending = Pending(
            event_id=id,
            body=body,
            exchange=self._urgent_exchange if urgent else self._exchange,
            routing_key=_routing_key(type),
            content_type=CONTENT_TYPE,
            deadline=time.monotonic() + (self._timeout if timeout is None else timeout),
            receipt=Receipt(id, source),
        )
        self._link.submit(pending)
        return pending.future

    @property
    def blocked(self) -> str:
        """Why RabbitMQ blocks this publisher (a memory or disk alarm), in its words; empty while it does not.

        RabbitMQ says so to connections that publish: before the first event nothing is known.
        """
        return self._link.alarm

    def open(self) -> None:
        """Connect now instead of with the first event; returns at once."""
        self._link.open(self._exchange)

    @property
    def trouble(self) -> str | None:
        """Why nothing can be published at this moment, in words, or None while there is an open channel."""
        return self._link.trouble

    def close(self, timeout: float = TIMEOUT_S) -> None:
        """Wait until everything submitted is settled, then disconnect. The end of the process does this too."""
        self._link.close(timeout)

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, event: Event, timeout: float | None) -> Future[Receipt]:
        try:
            return self.submit(event, timeout=timeout)
        except InvalidEvent as error:
            failed: Future[Receipt] = Future()
            failed.set_exception(error)
            return failed


def _collect(future: Future[Receipt], receipts: list[Receipt], errors: list[PublishError]) -> None:
    try:
        receipts.append(future.result())
    except PublishError as error:
        errors.append(error)


def _routing_key(event_type: str) -> str:
    """The event's type, so that other consumers may bind to it; cut where AMQP cuts."""
    return event_type.encode("utf-8")[:_ROUTING_KEY_BYTES].decode("utf-8", "ignore")


def _at_the_end_of(publisher: Publisher) -> None:
    """Flush at exit and start anew in forked children, without keeping a forgotten publisher alive."""
    link = publisher._link  # noqa: SLF001
    weak = weakref.ref(link)

    def flush() -> None:
        if (alive := weak()) is not None:
            alive.close(TIMEOUT_S)

    def begin_anew() -> None:
        if (alive := weak()) is not None:
            alive.reset()

    atexit.register(flush)
    os.register_at_fork(after_in_child=begin_anew)
    # At exit `flush` must come first: a finalizer's own end would cut it short.
    weakref.finalize(publisher, link.close, TICK_S).atexit = False
