"""`BrokerIntake`: the API's events → RabbitMQ, by the same confirmed publisher that other services use."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from notifier.client.errors import AccessRefused, Rejected, SomeNotPublished, Unroutable
from notifier.client.errors import PublishError as ClientError
from notifier.client.publisher import Publisher, Receipt
from notifier.domain.event import Event
from notifier.errors import BrokerUnavailable, PublishRejected, Unavailable


class BrokerIntake:
    """Hands events to RabbitMQ and waits for every confirm. Thread-safe, because the publisher is."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def accept(self, events: Sequence[Event], *, urgent: bool = False) -> None:
        """Returns once all are confirmed. Raises `BrokerUnavailable` or `PublishRejected`; some may be in then."""
        waiting = [self._submit(event, urgent) for event in events]
        failures = [error for future in waiting if (error := future.exception()) is not None]
        if failures:
            raise translated(failures[0], len(failures), len(events))

    def ready(self) -> str | None:
        """Why nothing can be published now, or None while there is an open channel."""
        self.connect()
        return self._publisher.trouble

    def connect(self) -> None:
        """Begin to connect, so that a process that takes no events yet says whether it could."""
        self._publisher.open()

    def blocked(self) -> str | None:
        """Why RabbitMQ blocks events although it can be reached, or None."""
        return f"RabbitMQ blocks publishers: {reason}" if (reason := self._publisher.blocked) else None

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
