"""`Link`: one daemon thread that owns the connection to RabbitMQ, and reconnects; callers wait on futures.

With several nodes it goes to the next one whenever a connection ends, cannot be made or is silent (`silence`).

pika's BlockingConnection confirms one message at a time (1,640 a second). Here messages are written as they come and
confirms settle them, so many threads, or one with `publish_many`, share one connection at several times that rate.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pika
from pika.exceptions import AMQPError, ProbableAccessDeniedError, ProbableAuthenticationError

from notifier.client.confirm_channel import ConfirmChannel
from notifier.client.errors import (
    BrokerBlocked,
    BrokerUnreachable,
    NotConfirmed,
    PublisherClosed,
    PublishError,
)
from notifier.client.outbox import Pending
from notifier.client.parameters import place
from notifier.client.resolving import ResolvingServices
from notifier.client.silence import Silence, Stall

log = logging.getLogger("notifier.client")

#: Seconds between looks for messages whose time is over; also how late a timeout may be.
TICK_S = 0.2
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
#: A blocked broker never answers a goodbye; the socket is closed after this time all the same.
_GOODBYE_S = 1.0
#: Its own source: a thread in the background must not move the random numbers of the program it lives in.
_jitter = random.Random()  # noqa: S311 - spreads load, not a secret


class Link:
    """Everything named ``_on_…`` and `_serve` runs on the link's thread; the lock guards what callers share with it."""

    def __init__(
        self,
        nodes: Sequence[pika.ConnectionParameters],
        *,
        waits_for_alarms: bool = True,
        on_alarm: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._nodes = nodes
        self._waits_for_alarms = waits_for_alarms
        self._on_alarm = on_alarm
        self.reset()

    def reset(self) -> None:
        """Begin anew with nothing pending: at the start, and in a forked child, where the thread does not exist."""
        self._lock = threading.Lock()
        self._channels: dict[str, ConfirmChannel] = {}
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._is_closed = False
        self._pump_is_due = False
        self._connection: Any = None
        self._is_open = False
        self._was_usable = False
        self._alarm = ""
        self._trouble = "the connection is not open yet"
        self._turn = self._failed = 0
        self._silence = Silence(TICK_S)
        self._stall = Stall(TICK_S, has_others=self._has_others)

    @property
    def _has_others(self) -> bool:
        return len(self._nodes) > 1

    @property
    def _where(self) -> str:
        return place(self._node)

    @property
    def _node(self) -> pika.ConnectionParameters:
        return self._nodes[self._turn % len(self._nodes)]

    @property
    def trouble(self) -> str | None:
        """Why nothing can be published now, or None while there is an open channel."""
        with self._lock:
            return None if any(channel.is_usable for channel in self._channels.values()) else self._away()

    def open(self, exchange: str) -> None:
        """Connect, with a channel for this exchange, before there is anything to publish; and stay connected."""
        with self._lock:
            if self._is_closed or (exchange in self._channels and self._channels[exchange].is_usable):
                return
            self._channel(exchange).is_wanted = True
            self._ensure_thread()
            self._ask_for_pump()

    def submit(self, pending: Pending) -> None:
        """Queue a message; its future is settled by the broker's answer or by its deadline."""
        with self._lock:
            if self._is_closed:
                raise PublisherClosed("the publisher is closed", pending.event_id)
            if self._alarm and not self._waits_for_alarms:
                raise self._blocked(pending)
            self._channel(pending.exchange).outbox.put(pending)
            self._ensure_thread()
            self._ask_for_pump()

    @property
    def alarm(self) -> str:
        """Why RabbitMQ blocks publishers; empty while it does not, or was not asked."""
        return self._alarm

    def close(self, timeout: float) -> None:
        """Wait until everything is settled, at most ``timeout`` seconds; what is left fails with `PublisherClosed`."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        if thread is None:
            return
        give_up = time.monotonic() + timeout
        for channel in self._everywhere():
            channel.outbox.wait_until_settled(max(0, give_up - time.monotonic()))
        with self._lock:
            self._stopping.set()
            if self._connection is not None:
                self._connection.ioloop.add_callback_threadsafe(self._say_goodbye)
        thread.join(timeout + _GOODBYE_S)

    def _channel(self, exchange: str) -> ConfirmChannel:
        if (channel := self._channels.get(exchange)) is None:
            channel = self._channels[exchange] = ConfirmChannel(
                exchange, lambda: self._where, self._on_usable, self._stall
            )
        return channel

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._serve, name="notifier-publisher", daemon=True)
            self._thread.start()

    def _ask_for_pump(self) -> None:
        """One wake-up for all that is queued before the thread looks."""
        if self._is_open and not self._pump_is_due:
            self._pump_is_due = True
            self._connection.ioloop.add_callback_threadsafe(self._pump)

    def _serve(self) -> None:
        try:
            self._keep_connected()
        except Exception as error:  # our own mistake; nobody may wait for ever because of it
            log.exception("the publisher's thread failed")
            self._trouble = f"the publisher's thread failed: {type(error).__name__}: {error}"
            self._fail_all(self._unreachable)

    def _keep_connected(self) -> None:
        while not self._stopping.is_set():
            self._failed = 0 if self._connect_and_run() else self._failed + 1
            # All nodes in a row are one try.
            pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(self._failed // len(self._nodes), 10))
            give_up = time.monotonic() + pause * _jitter.uniform(0.5, 1)
            while time.monotonic() < give_up and not self._stopping.wait(TICK_S):
                self._expire()
            self._expire()
            self._turn += 1
        self._fail_all(lambda p: PublisherClosed(f"closed before it was confirmed ({self._trouble})", p.event_id))

    def _connect_and_run(self) -> bool:
        """One connection from its beginning to its end; whether it was ever usable."""
        connection = pika.SelectConnection(
            self._node,
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_open_error,
            on_close_callback=self._on_close,
            custom_ioloop=ResolvingServices(),
        )
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        with self._lock:
            self._connection = connection
        self._was_usable = False
        self._silence = Silence(TICK_S)
        self._stall.begin()
        self._tick()
        try:
            connection.ioloop.start()
        finally:
            with self._lock:
                self._connection = None
                self._is_open = self._pump_is_due = False
            # pika has no public way to drop a connection whose goodbye is never answered; its socket would stay open.
            if (transport := connection._transport) is not None:  # noqa: SLF001
                transport.abort()
                # It closes its socket in a callback: one more turn of the loop.
                connection.ioloop.add_callback_threadsafe(connection.ioloop.stop)
                connection.ioloop.start()
            connection.ioloop.close()
        return self._was_usable

    def _on_open(self, _: Any) -> None:
        self._trouble = ""
        self._hear("")
        with self._lock:
            self._is_open = True
        if self._stopping.is_set():
            self._say_goodbye()
        self._pump()

    def _on_usable(self) -> None:
        self._was_usable = True

    def _pump(self) -> None:
        with self._lock:
            self._pump_is_due = False
        for channel in self._everywhere():
            if self._connection.is_open:
                channel.pump(self._connection)

    def _on_blocked(self, _: Any, frame: Any) -> None:
        self._hear(str(frame.method.reason) or "alarm")
        log.warning("RabbitMQ at %s blocks publishers: %s", self._where, self._alarm)
        if not self._waits_for_alarms:
            # What was sent stays in the outbox until its tag is confirmed, but nobody waits for it any more.
            for channel in self._everywhere():
                for pending in channel.outbox.overdue(math.inf):
                    pending.settle(self._blocked(pending))

    def _on_unblocked(self, _: Any, __: Any) -> None:
        self._hear("")
        log.warning("RabbitMQ at %s takes messages again", self._where)

    def _hear(self, alarm: str) -> None:
        self._alarm = alarm
        self._on_alarm(alarm)

    def _on_open_error(self, connection: Any, error: Any) -> None:
        self._trouble = _words(error)
        is_refusal = isinstance(error, ProbableAuthenticationError | ProbableAccessDeniedError)
        if is_refusal and self._failed + 1 >= len(self._nodes):
            # Waiting does not mend a password; who publishes must hear of it at once. One node of several may only be
            # starting, without its virtual hosts.
            self._trouble = f"the login or the vhost was refused: {_words(error)}"
            self._fail_all(self._unreachable)
        else:
            log.warning("RabbitMQ at %s cannot be reached: %s", self._where, self._trouble)
        connection.ioloop.stop()

    def _on_close(self, connection: Any, error: Any) -> None:
        """What was sent and not confirmed is sent again, with the same event id, when there is a connection again."""
        with self._lock:
            self._is_open = False
        self._trouble = _words(error)
        for channel in self._everywhere():
            channel.forget_channel()
        if not self._stopping.is_set():
            log.warning("the connection to RabbitMQ at %s was lost: %s", self._where, self._trouble)
        connection.ioloop.stop()

    def _say_goodbye(self) -> None:
        if self._connection is None:
            return
        # Also one that is still being opened: left to the loop's end, its socket would stay open.
        if not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()
        self._connection.ioloop.call_later(_GOODBYE_S, self._connection.ioloop.stop)

    def _tick(self) -> None:
        self._expire()
        if self._connection is None:
            return
        if reason := self._given_up():
            # A goodbye would wait for its answer. `_on_close` hears of it.
            self._connection._terminate_stream(ConnectionError(reason))  # noqa: SLF001
        else:
            self._connection.ioloop.call_later(TICK_S, self._tick)

    def _given_up(self) -> str:
        """Why to make another connection, at another node if there is one."""
        if not self._connection.is_open:
            return ""
        if self._has_others and (reason := self._silence.look(self._connection.bytes_received)):
            return reason
        waits = not self._alarm and any(channel.outbox.has_unconfirmed for channel in self._everywhere())
        reason = self._stall.look(waits=waits)
        if reason and self._has_others and self._stall.is_first:
            # The node talks, and the next one may be the one that does not.
            log.warning("RabbitMQ at %s: %s; trying other channels", self._where, reason)
            self._stall.begin()
            for channel in self._everywhere():
                channel.renew(self._connection)
            return ""
        return reason

    def _expire(self) -> None:
        """Fail what has waited as long as its publisher allowed."""
        now = time.monotonic()
        for channel in self._everywhere():
            for pending in channel.outbox.overdue(now):
                pending.settle(self._overdue(pending))

    def _overdue(self, pending: Pending) -> PublishError:
        if self._alarm:
            return self._blocked(pending)
        if pending.sent:
            return NotConfirmed("sent, but not confirmed in time; publish it again with the same id", pending.event_id)
        return self._unreachable(pending)

    def _blocked(self, pending: Pending) -> PublishError:
        return BrokerBlocked(f"RabbitMQ blocks publishers: {self._alarm}", pending.event_id)

    def _unreachable(self, pending: Pending) -> PublishError:
        return BrokerUnreachable(self._away(), pending.event_id)

    def _away(self) -> str:
        return f"RabbitMQ at {self._where} cannot be reached: {self._trouble or 'no channel is open yet'}"

    def _fail_all(self, error_of: Callable[[Pending], PublishError]) -> None:
        for channel in self._everywhere():
            channel.fail(error_of)

    def _everywhere(self) -> list[ConfirmChannel]:
        with self._lock:
            return list(self._channels.values())


def _words(error: Any) -> str:
    """What a wrapped pika error says at its heart."""
    while True:
        inner = (getattr(error, "exceptions", None) or [getattr(error, "exception", None)])[-1]
        if inner is None and isinstance(error, AMQPError) and error.args and isinstance(error.args[0], BaseException):
            inner = error.args[0]
        if inner is None:
            break
        error = inner
    code = getattr(error, "reply_code", None)
    return f"{code} {error.reply_text}" if code else str(error) or type(error).__name__
