"""A worker process from start to stop: what Celery's signals build, what happens on SIGTERM, and the signals that lie.

Celery logs and ignores an exception in a signal handler, so a start that fails leaves by `SystemExit`.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import gevent
import kombu
from amqp.exceptions import PreconditionFailed
from celery import bootsteps, signals
from celery.worker.consumer.connection import Connection
from celery.worker.consumer.delayed_delivery import DelayedDelivery
from celery.worker.consumer.events import Events
from celery.worker.consumer.tasks import Tasks
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    declare_native_delayed_delivery_exchanges_and_queues,
)

from notifier.broker import connection_watch
from notifier.broker.alarm import ALARM
from notifier.channels.port import DeliveryChannel
from notifier.domain import topology
from notifier.domain.rule import WorkKind
from notifier.engine.bridge import Engine
from notifier.errors import NotifierError, StorageUnavailable
from notifier.health import HealthServer
from notifier.logs import get, wide
from notifier.process import configure_logs
from notifier.storage.ledger import Ledger
from notifier.storage.store import Store
from notifier.worker.admission import Admission
from notifier.worker.batch.recorder import Recorder
from notifier.worker.celery_side.coalescer import Coalescer
from notifier.worker.celery_side.cpu_affinity import CpuAffinity, is_possible, out_of_step
from notifier.worker.celery_side.prefetch import RoomForAll
from notifier.worker.celery_side.receiving import RejectUnreadable, use_fast_json
from notifier.worker.digests.collector import Collector
from notifier.worker.dispatch import Dispatch
from notifier.worker.policy import Policy

#: Seconds between signs of life, and how long one counts: a killed worker's claims are taken over after the second.
LIVENESS_EVERY_S = 2.0
LIVENESS_TTL_S = 8.0
#: Seconds between looks for endpoints whose held deliveries may go: one command in Redis for each worker.
HELD_EVERY_S = 2.0
#: Exit status of a worker that left without finishing; a supervisor restarts it, the broker redelivers its batches.
EXIT_UNFINISHED = 70

_log = get("worker")


class _Sweeps(Protocol):
    """Held deliveries, looked after (`failures.held`)."""

    def sweep(self) -> object:
        """Resume what is due."""
        ...


class WorkerChecks:
    """Whether this worker can deliver, in words (`health.Checks`)."""

    def __init__(self, app: Any, store: Store, engine: Engine) -> None:
        self._app = app
        self._store = store
        self._engine = engine
        self.consumer: Any = None
        """Celery's consumer, once it has connected."""

    def ready(self) -> dict[str, str | None]:
        """Dependency → reason why it is not ready, or None."""
        connected = self.consumer is not None and getattr(self.consumer, "connection", None) is not None
        return {
            "redis": self._store.reachable(),
            "broker": None if connected else "not connected to the broker",
            "publishing": ALARM.reason,
            "engine": self.alive(),
        }

    def alive(self) -> str | None:
        """A reason to restart this process, or None."""
        return None if self._engine.alive else "the engine's loop has stopped turning"


@dataclass(slots=True)
class WorkerParts:
    """Everything one worker process holds; built by `wiring.build_worker`."""

    admission: Admission
    coalescer: Coalescer
    dispatch: Dispatch
    collector: Collector
    policies: Mapping[WorkKind, Policy]
    held: _Sweeps
    recorder: Recorder
    engine: Engine
    ledger: Ledger
    owner: str
    grace: float
    one_cpu: bool
    """Whether its threads are to share a CPU (`cpu_affinity`)."""
    health: HealthServer
    checks: WorkerChecks
    channels: Mapping[WorkKind, DeliveryChannel]
    close: Callable[[], None]


#: Makes the parts of a worker of a Celery app, with the name of its node.
Build = Callable[[Any, str], WorkerParts]

_current: WorkerParts | None = None


def current() -> WorkerParts:
    """The parts of this process. Raises `NotifierError` outside a started worker."""
    if _current is None:
        raise NotifierError("no worker runs in this process; start one with `notifier worker`")
    return _current


def start(parts: WorkerParts) -> None:
    """Make ``parts`` the ones tasks use, and give signs of life from now on."""
    global _current  # noqa: PLW0603 - Celery gives tasks nothing to hang this on but the process
    parts.engine.start()
    _current = parts
    _beat_once(parts)
    gevent.spawn(_show_life, parts)
    gevent.spawn(_look_after_held, parts)
    gevent.spawn(_watch_nodes, parts)
    if parts.one_cpu and is_possible():
        gevent.spawn(_stay_together, parts)
    parts.health.start()


def stop() -> None:
    """Write what is queued, close what is open, and give up our claims at once."""
    global _current  # noqa: PLW0603 - see `start`
    parts = _current
    if parts is None:
        return
    # Those that were left behind: what ends now needs no second worker. They are ours as long as we show life.
    for policy in parts.policies.values():
        policy.stop(parts.grace)
    _current = None
    parts.recorder.stop()
    for channel in parts.channels.values():
        parts.engine.run(channel.close, timeout=5)
    parts.engine.stop(grace=2.0)
    _leave(parts)
    parts.health.stop()
    parts.close()


def _show_life(parts: WorkerParts) -> None:
    while _current is parts:
        _beat_once(parts)
        gevent.sleep(LIVENESS_EVERY_S)


def _look_after_held(parts: WorkerParts) -> None:
    """In every worker, and not by Beat: without digests nobody need run one, and held deliveries must not stay."""
    while _current is parts:
        # First a moment: a worker that has just started has nothing it could have missed.
        gevent.sleep(HELD_EVERY_S)
        try:
            parts.held.sweep()
        except NotifierError as error:
            # Redis or the broker is away; the next look finds the same.
            wide(_log, "held.unseen", level=logging.WARNING, error=str(error))
        except Exception:
            # A bug, with its trace; what is held must not stay for it until the worker is started again.
            _log.exception("held.crashed")


def _watch_nodes(parts: WorkerParts) -> None:
    while _current is parts:
        gevent.sleep(connection_watch.LOOK_EVERY_S)
        try:
            connection_watch.look()
        except Exception:
            # A bug, or a socket closed meanwhile; a frozen node must not stop the worker for it.
            _log.exception("broker.unwatched")


def _stay_together(parts: WorkerParts) -> None:
    affinity = CpuAffinity((threading.get_native_id(), parts.engine.native_thread))
    try:
        again = affinity.look()
        while _current is parts:
            gevent.sleep(out_of_step(again))
            again = affinity.look()
    except (OSError, ValueError, IndexError) as error:
        # A kernel or a container that forbids it, or shows its use of CPUs in another way: slower, and nothing else.
        wide(_log, "cpu_affinity.given_up", error=f"{type(error).__name__}: {error}")
        affinity.give_up()


def _beat_once(parts: WorkerParts) -> None:
    try:
        parts.ledger.heartbeat(parts.owner, LIVENESS_TTL_S)
    except StorageUnavailable as error:
        # Without Redis nothing is claimed by anyone, so a missed sign of life changes nothing.
        wide(_log, "liveness.missed", level=logging.DEBUG, error=str(error))


def _leave(parts: WorkerParts) -> None:
    try:
        parts.ledger.farewell(parts.owner)
    except StorageUnavailable as error:
        wide(_log, "liveness.kept", level=logging.WARNING, error=str(error), until_s=LIVENESS_TTL_S)


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


def install(app: Any, build: Build) -> None:
    """Register our steps and signal handlers with the Celery app; importing alone does nothing."""

    def on_init(sender: Any = None, **_: Any) -> None:
        _init(sender.app, sender.hostname, build)

    use_fast_json()
    setattr(DelayedDelivery, "include_if", lambda *_: False)  # noqa: B010 - mypy takes no assignment to a method
    app.steps["consumer"].add(_DeclaredTopology)
    app.steps["consumer"].add(_DeclaredDelays)
    app.steps["consumer"].add(_QuietEventConnection)
    app.steps["consumer"].add(RoomForAll)
    app.steps["consumer"].add(RejectUnreadable)
    Events.requires = (Connection, _DeclaredTopology, _QuietEventConnection, RoomForAll)
    signals.worker_init.connect(on_init, weak=False)
    signals.worker_ready.connect(_on_ready, weak=False)
    signals.worker_shutting_down.connect(_on_shutting_down, weak=False)
    signals.worker_shutdown.connect(_on_shutdown, weak=False)


def _init(app: Any, node: str, build: Build) -> None:
    try:
        # Celery asks for it after this signal: what is said until then would come in Python's own format, unmasked.
        configure_logs()
        start(build(app, node))
    except (NotifierError, OSError) as error:
        sys.stderr.write(f"the worker cannot start: {error}\n")
        raise SystemExit(2) from error
    except Exception as error:
        # Ours to mend. A worker that went on without its parts would dead-letter every batch it is given.
        _log.exception("worker.broken")
        raise SystemExit(2) from error


def _on_ready(sender: Any = None, **_: Any) -> None:
    current().checks.consumer = sender
    _collect_rarely()
    # Under gevent a cold shutdown (SIGQUIT, a second SIGINT) acknowledges running batches without running them
    # (trap T1): leaving at once instead makes the broker hand them to another worker.
    signal.signal(signal.SIGQUIT, _leave_at_once)
    celery_handler = signal.getsignal(signal.SIGINT)

    def first_interrupt(number: int, frame: Any) -> None:
        if callable(celery_handler):
            celery_handler(number, frame)
        signal.signal(signal.SIGINT, _leave_at_once)

    signal.signal(signal.SIGINT, first_interrupt)


def _collect_rarely() -> None:
    """Keep Python's garbage collector from what start-up made, and let 20,000 new objects pass between its looks.

    A batch of 50 makes thousands of objects and hardly a cycle; looking every 700 was a fifteenth of the CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 5, 2)


def _leave_at_once(number: int, _: Any) -> None:
    os.write(2, f"signal {number}: leaving at once; unfinished batches return to their queues\n".encode())
    os._exit(EXIT_UNFINISHED)


def _on_shutting_down(**_: Any) -> None:
    parts = _current
    if parts is not None:
        parts.admission.close()
        gevent.spawn_later(parts.grace, _end_of_grace, parts)


def _end_of_grace(parts: WorkerParts) -> None:
    wide(_log, "worker.grace_over", level=logging.WARNING, grace_s=parts.grace)
    _leave(parts)
    os._exit(EXIT_UNFINISHED)


def _on_shutdown(**_: Any) -> None:
    stop()
