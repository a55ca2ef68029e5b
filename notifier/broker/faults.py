"""kombu's and py-amqp's errors as ours: the only place that translates them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from amqp.exceptions import AMQPError, MessageNacked
from kombu.exceptions import KombuError

from notifier.errors import BrokerUnavailable, PublishRejected


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raises `PublishRejected` for what the broker refused, and `BrokerUnavailable`, which says what was being done."""
    try:
        yield
    except (KombuError, AMQPError, MessageNacked, OSError) as error:
        # No error of py-amqp's tree; kombu wraps it in one of its own.
        if isinstance(error, MessageNacked) or isinstance(error.__cause__, MessageNacked):
            raise PublishRejected("the broker refused the message (queue full)") from error
        raise BrokerUnavailable(f"cannot {doing}: {type(error).__name__}: {error}") from error
