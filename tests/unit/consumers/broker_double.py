"""A broker at the end of no socket: its channels remember what they are told, and answer when a test says so."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pika
from pika.exceptions import ChannelWrongStateError
from pika.spec import Basic

from notifier.errors import BrokerUnavailable


class Channel:
    """What pika's channel is to us. Published messages are confirmed at once unless a test holds that back."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_open = True
        self.confirms = True
        self.published: list[tuple[str, str, bytes, pika.BasicProperties]] = []
        self.settled: list[tuple[str, int]] = []
        """``ack``, ``ack up to`` and ``reject`` with the tag, in order."""
        self.prefetch = 0
        self.consumers: dict[str, Callable[..., None]] = {}
        self.depths: dict[str, int] = {}
        self.asked: list[str] = []
        """Queues whose depth was asked for."""
        self._on_confirm: Callable[[Any], None] = lambda _: None
        self._on_return: Callable[..., None] = lambda *_: None
        self.on_close: list[Callable[..., None]] = []
        self._on_cancel: list[Callable[..., None]] = []

    # What the consumer calls.

    def add_on_close_callback(self, told: Callable[..., None]) -> None:
        self.on_close.append(told)

    def add_on_cancel_callback(self, told: Callable[..., None]) -> None:
        self._on_cancel.append(told)

    def add_on_return_callback(self, told: Callable[..., None]) -> None:
        self._on_return = told

    def confirm_delivery(self, told: Callable[[Any], None], done: Callable[[Any], None]) -> None:
        self._on_confirm = told
        done(None)

    def basic_qos(self, *, prefetch_count: int, callback: Callable[[Any], None]) -> None:
        self.prefetch = prefetch_count
        callback(None)

    def basic_consume(self, queue: str, told: Callable[..., None], *, callback: Callable[[Any], None]) -> str:
        self.consumers[queue] = told
        callback(SimpleNamespace(method=SimpleNamespace(consumer_tag=f"tag of {queue}")))
        return f"tag of {queue}"

    def basic_cancel(self, tag: str, callback: Callable[[Any], None]) -> None:
        del self.consumers[tag.removeprefix("tag of ")]
        callback(None)

    def queue_declare(self, queue: str, *, passive: bool, callback: Callable[[Any], None]) -> None:
        assert passive
        self.asked.append(queue)
        callback(SimpleNamespace(method=SimpleNamespace(message_count=self.depths.get(queue, 0))))

    def basic_publish(
        self, exchange: str, key: str, body: bytes, properties: pika.BasicProperties, *, mandatory: bool
    ) -> None:
        if not self.is_open:
            raise ChannelWrongStateError("closed")
        assert mandatory
        self.published.append((exchange, key, body, properties))
        if self.confirms:
            asyncio.get_running_loop().call_soon(self.confirm, len(self.published))

    def basic_ack(self, tag: int, multiple: bool = False) -> None:
        self.settled.append(("ack up to" if multiple else "ack", tag))

    def basic_reject(self, tag: int, *, requeue: bool) -> None:
        assert not requeue
        self.settled.append(("reject", tag))

    def close(self) -> None:
        self.is_open = False

    # What a test says in the broker's name.

    def confirm(self, tag: int, *, multiple: bool = False) -> None:
        self._on_confirm(SimpleNamespace(method=Basic.Ack(tag, multiple)))

    def refuse(self, tag: int, *, multiple: bool = False) -> None:
        self._on_confirm(SimpleNamespace(method=Basic.Nack(tag, multiple)))

    def give_back(self, place: int) -> None:
        exchange, key, body, properties = self.published[place]
        method = SimpleNamespace(routing_key=key, exchange=exchange, reply_text="NO_ROUTE")
        self._on_return(self, method, properties, body)

    def break_off(self, reason: BaseException) -> None:
        self.is_open = False
        for told in self.on_close:
            told(self, reason)

    def deliver(self, queue: str, tag: int, body: bytes, **properties: Any) -> None:
        method = SimpleNamespace(delivery_tag=tag, routing_key=queue)
        self.consumers[queue](self, method, pika.BasicProperties(**properties), body)


class Connection:
    """What `BrokerConnection` is to the parts that use it."""

    where = "broker.example:5672"

    def __init__(self, *, has_others: bool = False) -> None:
        self.lost: asyncio.Future[BrokerUnavailable] = asyncio.get_running_loop().create_future()
        self.channels: list[Channel] = []
        self.is_blocked = False
        self.has_others = has_others

    async def channel(self) -> Channel:
        if self.lost.done():
            raise self.lost.result()
        self.channels.append(Channel(len(self.channels)))
        return self.channels[-1]

    async def call(self, answer: asyncio.Future[Any], ask: Callable[[], Any]) -> Any:
        ask()
        return await answer


async def turns(count: int = 20) -> None:
    """Let whatever can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)
