"""`ConfirmChannel`: the channel of one exchange, in confirm mode, with the messages that go there.

A channel for each exchange, because RabbitMQ answers what it refuses (an exchange that is missing, a permission that is
missing) by closing the channel: only what goes to the same exchange is concerned, and the connection stays.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from notifier.client.errors import AccessRefused, PublishError, Rejected, Unroutable
from notifier.client.event import PRIORITY
from notifier.client.outbox import Outbox, Pending
from notifier.client.silence import Stall

#: Bytes of an AMQP property, and characters that surely fit.
_SHORT_STRING = 60


class ConfirmChannel:
    """Everything but the outbox runs on the link's thread. ``on_usable`` hears that the broker takes messages here."""

    def __init__(self, exchange: str, where: Callable[[], str], on_usable: Callable[[], None], stall: Stall) -> None:
        """``where`` says which node we are connected to; ``stall`` hears what is confirmed and refused."""
        self.outbox = Outbox()
        self.is_wanted = False
        """Whether there is to be a channel before there is anything to send."""
        self._stall = stall
        self._exchange = exchange
        self._where = where
        self._on_usable = on_usable
        self._channel: Any = None
        self._is_asked_for = False
        self._is_confirming = False
        self._returned: dict[str, str] = {}

    @property
    def is_usable(self) -> bool:
        """Whether the broker takes messages here now; any thread may ask."""
        channel = self._channel
        return self._is_confirming and channel is not None and bool(channel.is_open)

    def pump(self, connection: Any) -> None:
        """Send what is queued; the first time, and after a refusal, over a new channel."""
        if not self._is_asked_for and (self.is_wanted or self.outbox.has_queued()):
            self._is_asked_for = True
            connection.channel(on_open_callback=self._on_open)
        while self._is_confirming and self._channel.is_open and (pending := self.outbox.take()):
            try:
                self._channel.basic_publish(
                    pending.exchange, pending.routing_key, pending.body, _properties(pending), mandatory=True
                )
            except AMQPError:
                return  # the channel or connection is closing, and says why when it has closed

    def forget_channel(self) -> None:
        """It is gone, perhaps with its connection; what it had not confirmed is sent again by the next `pump`."""
        self._channel = None
        self._is_asked_for = self._is_confirming = False
        self._returned.clear()
        self.outbox.begin_again()

    def renew(self, connection: Any) -> None:
        """Give up a channel that is of no use, and send what it has not confirmed over another one."""
        if not self._is_confirming:
            return  # it is being opened
        former = self._channel
        self.forget_channel()
        if former.is_open:
            former.close()
        self.pump(connection)

    def fail(self, error_of: Callable[[Pending], PublishError]) -> None:
        """Nothing that is here can go anywhere."""
        for pending in self.outbox.clear():
            pending.settle(error_of(pending))

    def _on_open(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_return_callback(self._on_return)
        channel.add_on_close_callback(self._on_closed)
        channel.confirm_delivery(partial(self._on_confirm, channel), lambda _: self._on_confirming(channel))

    def _on_confirming(self, channel: Any) -> None:
        self._is_confirming = True
        self._on_usable()
        self.pump(channel.connection)

    def _on_confirm(self, channel: Any, frame: Any) -> None:
        if channel is not self._channel:
            return  # given up: its tags are another's by now
        method = frame.method
        is_nack = isinstance(method, pika.spec.Basic.Nack)
        (self._stall.refused if is_nack else self._stall.confirmed)(self._exchange)
        for pending in self.outbox.confirmed(method.delivery_tag, multiple=method.multiple):
            pending.settle(self._refusal(pending, is_nack))
        self.pump(channel.connection)

    def _refusal(self, pending: Pending, is_nack: bool) -> PublishError | None:
        if reason := self._returned.pop(pending.token, ""):
            return Unroutable(f"no queue takes it ({reason}): run `notifier topology apply`", pending.event_id)
        if is_nack:
            return Rejected("RabbitMQ refused it (nack): its queue is full or has lost its majority", pending.event_id)
        return None

    def _on_return(self, channel: Any, method: Any, properties: Any, _: bytes) -> None:
        if channel is self._channel:
            self._returned[properties.correlation_id] = method.reply_text

    def _on_closed(self, channel: Any, reason: Any) -> None:
        """404: the exchange is not there. 403: a permission is not. Anything else is the connection's trouble."""
        if channel is not self._channel:
            return  # given up before
        # A connection that ends, ends its channels too, with its own codes.
        code, text = (reason.reply_code, reason.reply_text) if isinstance(reason, ChannelClosedByBroker) else (0, "")
        if code == 404:
            self.fail(lambda p: Unroutable(f"{text}: run `notifier topology apply`", p.event_id))
        elif code == 403:
            # A permission on topics refuses some routing keys of an exchange, and names the one it refused.
            for pending in self.outbox.refused(lambda p: f"topic '{p.routing_key}'" in text):
                pending.settle(AccessRefused(self._missing_right(text), pending.event_id))
        self.forget_channel()
        if not channel.connection.is_open:
            return
        if code in (403, 404):
            self.pump(channel.connection)
        else:
            channel.connection.close()

    def _missing_right(self, text: str) -> str:
        # Without the name of the user: others than its owner read this, as the answer of the API.
        what = text.partition(" for user ")[0]
        return (
            f"RabbitMQ at {self._where()} refused it: {what}. Our user there needs the write permission on the "
            rf"exchange {self._exchange!r}; publishers have '^notifier\.(events|urgent)$' (rabbitmqctl set_permissions)"
        )


def _properties(pending: Pending) -> pika.BasicProperties:
    return pika.BasicProperties(
        content_type=pending.content_type,
        delivery_mode=2,
        priority=PRIORITY,
        message_id=pending.event_id[:_SHORT_STRING],
        # What a rule's `expires` counts from. Whole seconds, rounded up: nothing may end too early.
        timestamp=math.ceil(time.time()),
        correlation_id=pending.token,
    )
