"""What a worker's connection does before it reads its queues, as steps among Celery's own.

Queues and delays are declared, the event connection is made quiet, each queue gets its prefetch, and what cannot be
read is rejected.
"""

from __future__ import annotations

import sys
from typing import Any

import kombu
from amqp.exceptions import PreconditionFailed
from celery import bootsteps
from celery.worker.consumer.connection import Connection
from celery.worker.consumer.delayed_delivery import DelayedDelivery
from celery.worker.consumer.events import Events
from celery.worker.consumer.tasks import Tasks
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    declare_native_delayed_delivery_exchanges_and_queues,
)

from notifier.domain import topology
from notifier.worker.celery_side.prefetch import RoomForAll
from notifier.worker.celery_side.receiving import RejectUnreadable


def install_steps(app: Any) -> None:
    """Add ours to those of the app's workers; Celery's own for delays is left out."""
    setattr(DelayedDelivery, "include_if", lambda *_: False)  # noqa: B010 - mypy takes no assignment to a method
    for step in (_DeclaredTopology, _DeclaredDelays, _QuietEventConnection, RoomForAll, RejectUnreadable):
        app.steps["consumer"].add(step)
    Events.requires = (Connection, _DeclaredTopology, _QuietEventConnection, RoomForAll)


class _QuietEventConnection(bootsteps.StartStopStep):
    """Takes AMQP heartbeats and confirms off the *event* connection only.

    Celery 5.7's `synloop` drains the event connection for 0.1 s after every message when heartbeats are on, which
    limits a gevent worker to about 10 messages a second, and may lose the dispatcher's confirm, which hangs SIGTERM
    (trap T15). The task connection keeps its heartbeat: `Connection` has started before this step and `Events` opens
    its connection after it. Confirms: a worker would wait for a node that is away before it works, because somebody
    who looks at events has a queue there.
    """

    requires = (Connection,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._heartbeat = consumer.amqheartbeat
        # Celery's consumers make no other connection with it.
        consumer.connection_for_write = lambda heartbeat=None: consumer.ensure_connected(
            consumer.app.connection_for_write(heartbeat=heartbeat, transport_options={"confirm_publish": False})
        )

    def start(self, consumer: Any) -> None:
        """Between the two connections."""
        consumer.amqheartbeat = 0

    def stop(self, consumer: Any) -> None:
        """A reconnect opens the task connection with heartbeats again."""
        consumer.amqheartbeat = self._heartbeat


class _DeclaredTopology(bootsteps.StartStopStep):
    """Declares the failure queues and looks whether the work queues are as this release declares them.

    Failure queues first: at-least-once dead lettering into a queue that is not there hides the message. A queue with
    other arguments (AMQP 406) ends the worker with an explanation; Celery itself would reconnect for ever.
    """

    requires = (Connection,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._reads = False
        consumer.trusts_topology = False
        make_handler = consumer.create_task_handler

        def reads() -> Any:
            self._reads = True
            return make_handler()

        consumer.create_task_handler = reads

    def start(self, consumer: Any) -> None:
        """On every connection, so that queues deleted meanwhile are there again; but see `_is_known`."""
        consumer.trusts_topology = self._is_known(consumer)
        self._reads = False
        if consumer.trusts_topology:
            return
        if consumer.connection.transport.driver_type != "amqp":
            declare_parked(consumer.connection)
            return
        for queue in topology.QUEUES:
            exchange = kombu.Exchange(queue.exchange, type="topic", durable=True)
            wanted = kombu.Queue(
                queue.name, exchange, routing_key=queue.routing_key, durable=True, queue_arguments=dict(queue.arguments)
            )
            with consumer.connection.channel() as channel:
                try:
                    wanted.bind(channel).declare()
                except PreconditionFailed as error:
                    sys.stderr.write(
                        f"the worker cannot start: queue {queue.name} exists with other arguments: {error}\n"
                        "See `notifier topology show`; drain and delete the queue, then `notifier topology apply`.\n"
                    )
                    raise SystemExit(2) from error
        with consumer.connection.channel() as channel:
            for name, exchange_name, key in topology.FORMER_BINDINGS:
                channel.queue_unbind(name, exchange_name, key)

    def _is_known(self, consumer: Any) -> bool:
        """Whether the queues were read a moment ago, at another node; as consumers trust them too.

        A hundred declarations take seconds of a cluster that has just lost a node; before 4.3 they wait for a frozen
        one.
        """
        return self._reads and bool(consumer.connection.alt)


class _DeclaredDelays(bootsteps.StartStopStep):
    """Declares what delayed delivery needs, on the connection that there is; what one node has, all have.

    Celery's own step logs in to each of several nodes in turn, and waits four times for one that is away.
    """

    requires = (Tasks, _DeclaredTopology)

    def start(self, consumer: Any) -> None:
        """After the queues are read, because it takes a second."""
        if consumer.connection.transport.driver_type == "amqp" and not consumer.trusts_topology:
            declare_native_delayed_delivery_exchanges_and_queues(consumer.connection, "quorum")
            for queue in consumer.app.amqp.queues.values():
                bind_queue_to_native_delayed_delivery_exchange(consumer.connection, queue)


def declare_parked(connection: Any) -> None:
    """In embedded mode: kombu drops what it publishes to an exchange nobody is bound to, without a word."""
    with connection.channel() as channel:
        for queue in topology.QUEUES:
            if queue.exchange == topology.PARKED_EXCHANGE:
                exchange = kombu.Exchange(queue.exchange, type="topic", durable=True)
                kombu.Queue(queue.name, exchange, routing_key=queue.routing_key, durable=True).bind(channel).declare()
