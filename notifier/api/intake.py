"""`BrokerIntake`: the API's events → RabbitMQ, by the same confirmed publisher that other services use."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from concurrent.futures import Future

from notifier.client.errors import AccessRefused, Rejected, SomeNotPublished, Unroutable
from notifier.client.errors import PublishError as ClientError
from notifier.client.publisher import Publisher, Receipt
from notifier.client.server_url import read_server_url
from notifier.domain.event import Event
from notifier.errors import BrokerUnavailable, PublishRejected, Unavailable

#: Seconds a readiness check waits for the broker's port.
_PROBE_TIMEOUT_S = 2.0


class BrokerIntake:
    """Hands events to RabbitMQ and waits for every confirm. Thread-safe, because the publisher is."""

    def __init__(self, publisher: Publisher, url: str) -> None:
        self._publisher = publisher
        address = read_server_url(url, ("amqp", "amqps"))
        self._host, self._port = address.host, address.port or (5671 if address.scheme == "amqps" else 5672)

    def accept(self, events: Sequence[Event], *, urgent: bool = False) -> None:
        """Returns once all are confirmed. Raises `BrokerUnavailable` or `PublishRejected`; some may be in then."""
        waiting = [self._submit(event, urgent) for event in events]
        failures = [error for future in waiting if (error := future.exception()) is not None]
        if failures:
            raise translated(failures[0], len(failures), len(events))

    def ready(self) -> str | None:
        """Why the broker cannot be reached, or None; asks its port only, so that a probe costs no login."""
        try:
            with contextlib.closing(socket.create_connection((self._host, self._port), _PROBE_TIMEOUT_S)):
                return None
        except OSError as error:
            return f"RabbitMQ at {self._host}:{self._port} cannot be reached: {error}"

    def blocked(self) -> str | None:
        """Why RabbitMQ holds events back although it can be reached, or None."""
        return f"RabbitMQ holds publishers back: {reason}" if (reason := self._publisher.blocked) else None

    def close(self) -> None:
        """Wait for what is on its way, then disconnect."""
        self._publisher.close()

    def _submit(self, event: Event, urgent: bool) -> Future[Receipt]:
        try:
            return self._publisher.submit_encoded(
                event.published, type=event.type, id=event.id, source=event.source, urgent=urgent
            )
        except ClientError as error:
            failed: Future[Receipt] = Future()
            failed.set_exception(error)
            return failed


def translated(error: BaseException, failed: int, total: int) -> Exception:
    """The client's error as one of ours; the client has its own tree, because it may not depend on the service."""
    if isinstance(error, SomeNotPublished):
        error = error.errors[0]
    what = f"{failed} of {total} events were not confirmed: {error}" if total > 1 else str(error)
    if isinstance(error, AccessRefused | Rejected | Unroutable):
        return PublishRejected(what)
    if isinstance(error, ClientError):
        return BrokerUnavailable(what)
    return Unavailable(what)
