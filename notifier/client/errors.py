"""Why an event was not published. In every case the publisher still has it; nothing is dropped in silence.

    PublishError            catch this one; ``event_id`` names the event
    ├── InvalidEvent        it can never be published like this: not JSON, too large, an impossible attribute
    ├── Rejected            the broker refused it: a queue is full
    ├── AccessRefused       its user may not write there; the message names the permission
    ├── Unroutable          no queue takes it: the service's topology is not there
    ├── BrokerUnreachable   no connection in the time given; it was not sent
    ├── BrokerBlocked       the broker blocks publishers (memory or disk alarm)
    ├── NotConfirmed        it was sent and nobody knows whether it arrived
    ├── PublisherClosed     `close` was called before, or before it could be sent
    └── SomeNotPublished    of `publish_many`: which events failed, and why

Publishing the same event again with the same ``id`` and ``source`` is always safe: the service sends nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence


class PublishError(Exception):
    """The event is not known to be with the broker."""

    def __init__(self, message: str, event_id: str = "") -> None:
        self.event_id = event_id
        super().__init__(f"event {event_id}: {message}" if event_id else message)


class InvalidEvent(PublishError, ValueError):
    """The event can never be published like this; trying again does not help."""


class Rejected(PublishError):
    """The broker said no (basic.nack): a queue is full or has lost its majority. Try again later."""


class AccessRefused(PublishError):
    """The broker's user may not write to the exchange (AMQP 403); waiting does not help, ``set_permissions`` does."""


class Unroutable(PublishError):
    """The exchange is missing, or no queue is bound to it: start the consumer, or run ``notifier topology apply``."""


class BrokerUnreachable(PublishError):
    """There was no connection in the time given, or the broker refused the login; the event was not sent."""


class BrokerBlocked(PublishError):
    """The broker stopped reading from publishers because it is short of memory or disk."""


class NotConfirmed(PublishError):
    """The event was sent, and the broker did not answer in the time given. Publish it again with the same id."""


class PublisherClosed(PublishError):
    """The publisher was closed before the event could be confirmed."""


class SomeNotPublished(PublishError):
    """`publish_many` could not publish all; ``errors`` holds one error, with its ``event_id``, per failed event."""

    def __init__(self, errors: Sequence[PublishError], total: int) -> None:
        self.errors = tuple(errors)
        super().__init__(f"{len(self.errors)} of {total} events were not published; the first: {self.errors[0]}")
