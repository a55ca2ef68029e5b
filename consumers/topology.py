"""Declares the broker's exchanges and queues from `notifier.domain.topology`, and explains it when the broker refuses.

It also declares what Celery's native delayed delivery needs, exactly as kombu 5.7 does: only a *worker* would do so
otherwise, and a delayed task published before the first worker ran is a 404, or lost without confirms.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from os import PathLike
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker

from consumers.connection import parameters, translated
from consumers.policies import Management, limit_advice, policies_for
from notifier.client.parameters import place
from notifier.domain.rule import WORK_QUEUES
from notifier.domain.topology import (
    EXCHANGES,
    FAILURE_QUEUES,
    FORMER_BINDINGS,
    QUEUES,
    TASKS_EXCHANGE,
    Exchange,
    Queue,
)
from notifier.errors import TopologyConflict

#: kombu's constants: 28 levels of 2^n seconds, so a delay may be 8.5 years.
LEVELS = 28
DELIVERY_EXCHANGE = "celery_delayed_delivery"
#: "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'a' in vhost '/': received the value '20' of …"
_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for (?P<kind>queue|exchange) '(?P<name>[^']+)'"
    r"[^:]*: (?P<difference>.*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Binding:
    """Messages of ``source`` whose routing key matches go to ``target``."""

    source: str
    target: str
    routing_key: str
    target_is_queue: bool


@dataclass(frozen=True, slots=True)
class _Declared:
    """One thing that is on the broker now. ``note`` is what an operator has to do besides, if anything."""

    kind: str
    """policy | exchange | queue | binding."""
    name: str
    arguments: dict[str, str | int] = field(default_factory=dict)
    note: str = ""


def exchanges() -> Iterator[Exchange]:
    """Every exchange, delays included."""
    yield from EXCHANGES
    yield from (Exchange(level_name(level)) for level in reversed(range(LEVELS)))
    yield Exchange(DELIVERY_EXCHANGE)


def queues() -> Iterator[Queue]:
    """Every queue, delays included; each one after the queue its dead letters go to."""
    yield from QUEUES
    for level in range(LEVELS):
        arguments: dict[str, str | int] = {
            "x-queue-type": "quorum",
            "x-overflow": "reject-publish",
            "x-message-ttl": 2**level * 1000,
            "x-dead-letter-exchange": level_name(level - 1) if level else DELIVERY_EXCHANGE,
            "x-dead-letter-strategy": "at-least-once",
        }
        yield Queue(level_name(level), level_name(level), _bit(level, "1"), arguments)


def bindings() -> Iterator[_Binding]:
    """Every binding, delays included."""
    yield from (_Binding(queue.exchange, queue.name, queue.routing_key, True) for queue in queues())
    for level in range(LEVELS):
        following = level_name(level - 1) if level else DELIVERY_EXCHANGE
        yield _Binding(level_name(level), following, _bit(level, "0"), False)
    for name in WORK_QUEUES:
        yield _Binding(DELIVERY_EXCHANGE, TASKS_EXCHANGE, f"#.{name}", False)
        yield _Binding(TASKS_EXCHANGE, name, f"#.{name}", True)


def level_name(level: int) -> str:
    """The exchange, and the queue, that holds a message for 2^level seconds."""
    return f"celery_delayed_{level}"


def _bit(level: int, value: str) -> str:
    """The routing keys whose bit for this level is ``value``; the first word is the bit of the highest level."""
    return "*." * (LEVELS - 1 - level) + f"{value}.#"


def describe() -> dict[str, Any]:
    """The topology as JSON for ``notifier topology show``."""
    return {
        "exchanges": [asdict(exchange) for exchange in exchanges()],
        "queues": [{"name": queue.name, "arguments": queue.arguments} for queue in queues()],
        "bindings": [asdict(binding) for binding in bindings()],
    }


async def apply(urls: str, ca_file: str | PathLike[str] | None = None) -> list[_Declared]:
    """`apply_topology` from a coroutine."""
    return await asyncio.to_thread(apply_topology, urls, ca_file)


def apply_topology(
    urls: str, ca_file: str | PathLike[str] | None = None, management: Management | None = None
) -> list[_Declared]:
    """`declare_all` on the broker of these addresses, with the policies set before where ``management`` can."""
    return declare_all(parameters(urls, "notifier topology", ca_file), management)


def declare_all(
    nodes: Sequence[pika.ConnectionParameters], management: Management | None = None, *, advises: bool = True
) -> list[_Declared]:
    """Declare everything; what is there already stays. Raises `TopologyConflict` naming every difference.

    Without ``management`` it ``advises`` which policies a person should set.
    """
    with connected(nodes) as connection:
        vhost, policies = nodes[0].virtual_host, policies_for(server_version(connection))
        if management is not None:
            # Before the queues: which node leads one is decided when it is declared.
            for policy in policies:
                management.set(policy, vhost)
        declared = _Declaring(connection, vhost, advises=advises and management is None).run()
        return [*(_Declared("policy", p.name, p.definition) for p in policies if management is not None), *declared]


def missing(urls: str, ca_file: str | PathLike[str] | None = None) -> tuple[list[str], str, str]:
    """The exchanges and queues that are not there, RabbitMQ's version, and the virtual host."""
    nodes = parameters(urls, "notifier topology", ca_file)
    with connected(nodes) as connection:
        found = [f"exchange {e.name!r} is missing" for e in exchanges() if not _is_there(connection, _exchange_is(e))]
        found += [f"queue {q.name!r} is missing" for q in queues() if not _is_there(connection, _queue_is(q))]
        return found, server_version(connection), nodes[0].virtual_host


@contextmanager
def connected(nodes: Sequence[pika.ConnectionParameters]) -> Iterator[pika.BlockingConnection]:
    """To the first node that answers: what is declared on one is declared on all. Raises `BrokerUnavailable`."""
    try:
        connection = pika.BlockingConnection(nodes)
        try:
            yield connection
        finally:
            if connection.is_open:
                connection.close()
    except (AMQPError, OSError) as error:
        raise translated(error, ", ".join(map(place, nodes))) from error


def _is_there(connection: pika.BlockingConnection, ask: Callable[[BlockingChannel], Any]) -> bool:
    channel = connection.channel()
    try:
        ask(channel)
    except ChannelClosedByBroker as error:
        if error.reply_code != 404:
            raise
        return False
    channel.close()
    return True


def _exchange_is(exchange: Exchange) -> Callable[[BlockingChannel], Any]:
    return lambda channel: channel.exchange_declare(exchange.name, passive=True)


def _queue_is(queue: Queue) -> Callable[[BlockingChannel], Any]:
    return lambda channel: channel.queue_declare(queue.name, passive=True)


class _Declaring:
    """One run over the topology; a refusal closes the channel, so each goes on with a new one."""

    def __init__(self, connection: pika.BlockingConnection, vhost: str, *, advises: bool) -> None:
        self._connection = connection
        self._advises = advises
        self._channel: BlockingChannel = connection.channel()
        self._vhost = vhost
        self._conflicts: list[str] = []
        self._declared: list[_Declared] = []

    def run(self) -> list[_Declared]:
        for exchange in exchanges():
            self._try(_Declared("exchange", exchange.name), partial(_exchange, exchange))
        for queue in queues():
            declared = _Declared("queue", queue.name, queue.arguments, self._note(queue.name))
            self._try(declared, partial(_queue, queue))
        if self._conflicts:
            raise TopologyConflict("\n".join(self._conflicts))
        for binding in bindings():
            name = f"{binding.source} → {binding.target} ({binding.routing_key})"
            self._try(_Declared("binding", name), partial(_bind, binding))
        for queue_name, exchange_name, key in FORMER_BINDINGS:
            self._channel.queue_unbind(queue_name, exchange_name, key)
        return self._declared

    def _try(self, declared: _Declared, declare: Callable[[BlockingChannel], None]) -> None:
        try:
            declare(self._channel)
        except ChannelClosedByBroker as error:
            if error.reply_code != 406:
                raise
            self._conflicts.append(explain_conflict(declared, error.reply_text, self._vhost))
            self._channel = self._connection.channel()
        else:
            self._declared.append(declared)

    def _note(self, queue: str) -> str:
        if queue not in FAILURE_QUEUES or not self._advises:
            return ""
        return limit_advice(server_version(self._connection), self._vhost)


def _exchange(exchange: Exchange, channel: BlockingChannel) -> None:
    channel.exchange_declare(exchange.name, exchange.type, durable=True)


def _queue(queue: Queue, channel: BlockingChannel) -> None:
    channel.queue_declare(queue.name, durable=True, arguments=queue.arguments)


def _bind(binding: _Binding, channel: BlockingChannel) -> None:
    if binding.target_is_queue:
        channel.queue_bind(binding.target, binding.source, binding.routing_key)
    else:
        channel.exchange_bind(binding.target, binding.source, binding.routing_key)


def server_version(connection: pika.BlockingConnection) -> str:
    """RabbitMQ's version, such as ``4.0.5``."""
    # BlockingConnection hides the properties the server sent when it said hello.
    properties = connection._impl.server_properties or {}  # noqa: SLF001
    return str(properties.get("version", ""))


def explain_conflict(declared: _Declared, reply: str, vhost: str) -> str:
    """What differs and the way out, for the person who has to mend it."""
    found = _INEQUIVALENT.search(reply)
    what = f"{found['argument']}: {found['difference'].strip()}" if found else reply
    if declared.kind == "exchange":
        way_out = f"delete the exchange (rabbitmqctl eval or the management page, vhost {vhost!r})"
    else:
        way_out = (
            f"a queue's arguments cannot be changed: stop what publishes to it, let it run empty, "
            f"rabbitmqctl delete_queue --vhost '{vhost}' {declared.name}"
        )
    found_there = f"{declared.kind} {declared.name!r} exists with other properties ({what})"
    return f"{found_there}. To go on, {way_out}, then apply again"
