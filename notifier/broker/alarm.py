"""Whether RabbitMQ blocks this process's publishers, as the connections that Celery makes are told.

RabbitMQ tells a connection when it publishes during a memory or disk alarm (`connection.blocked`), and again when the
alarm is over; both are read while a publish waits for its confirm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from notifier import metrics

#: py-amqp reads no reason out of the frame.
_WORDS = "RabbitMQ blocks publishers: an alarm of memory or disk (rabbitmq-diagnostics alarms)"


class _Alarm:
    """What was heard last."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def begin(self, _: str = "") -> None:
        """A connection was told that it is blocked."""
        metrics.BROKER_BLOCKED.set(1)
        self.reason = _WORDS

    def end(self) -> None:
        """A connection was told that it may go on, or a publish was confirmed."""
        if self.reason is not None:
            self.reason = None
            metrics.BROKER_BLOCKED.set(0)


@dataclass(frozen=True, slots=True)
class Callback:
    """A method among the settings of a connection, which `celery inspect stats` writes as JSON."""

    method: Callable[..., None]

    def __call__(self, *words: str) -> None:
        """What the connection calls."""
        self.method(*words)

    def __json__(self) -> str:
        """What kombu writes."""
        return self.method.__name__


#: One for the process: Celery makes its connections by itself, from settings.
ALARM = _Alarm()
