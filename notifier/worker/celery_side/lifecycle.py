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
from celery import signals

from notifier.broker import connection_watch
from notifier.channels.port import DeliveryChannel
from notifier.domain.rule import WorkKind
from notifier.engine.bridge import Engine
from notifier.errors import NotifierError, StorageUnavailable
from notifier.health import HealthServer
from notifier.logs import get, wide
from notifier.process import configure_logs
from notifier.storage.ledger import Ledger
from notifier.worker.admission import Admission
from notifier.worker.batch.recorder import Recorder
from notifier.worker.celery_side.bootsteps import install_steps
from notifier.worker.celery_side.coalescer import Coalescer
from notifier.worker.celery_side.cpu_affinity import CpuAffinity, is_possible, out_of_step
from notifier.worker.celery_side.receiving import use_fast_json
from notifier.worker.celery_side.signs_of_life import EVERY_S, TTL_S, SignsOfLife
from notifier.worker.digests.collector import Collector
from notifier.worker.dispatch import Dispatch
from notifier.worker.policy import Policy

#: Seconds until the engine has begun or ended something of ours.
ENGINE_TIMEOUT_S = 10.0
#: Seconds between looks for endpoints whose held deliveries may go: one command in Redis for each worker.
HELD_EVERY_S = 2.0
#: Exit status of a worker that left without finishing; a supervisor restarts it, the broker redelivers its batches.
EXIT_UNFINISHED = 70

_log = get("worker")


class _Sweeps(Protocol):
    """Held deliveries, looked after (`failures.held`)."""

    def sweep(self) -> object:
        """Resume what is due."""


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
    signs: SignsOfLife
    grace: float
    one_cpu: bool
    """Whether its threads are to share a CPU (`cpu_affinity`)."""
    health: HealthServer
    connected: Callable[[Any], None]
    """Told of Celery's consumer, which knows its connection."""
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
    parts.engine.run(parts.signs.begin, timeout=ENGINE_TIMEOUT_S)
    gevent.spawn(_repeat, parts, EVERY_S, parts.signs.hub_turns, "liveness.crashed")
    # In every worker, and not by Beat: without digests nobody need run one, and held deliveries must not stay.
    gevent.spawn(_repeat, parts, HELD_EVERY_S, lambda: _look_after_held(parts), "held.crashed")
    gevent.spawn(_repeat, parts, connection_watch.LOOK_EVERY_S, connection_watch.look, "broker.unwatched")
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
    parts.engine.run(parts.signs.end, timeout=ENGINE_TIMEOUT_S)
    parts.engine.stop(grace=2.0)
    _leave(parts)
    parts.health.stop()
    parts.close()


def _repeat(parts: WorkerParts, every: float, look: Callable[[], object], crashed: str) -> None:
    """As long as the worker runs, so many seconds after another. A bug is told with its trace, and stops nothing."""
    while _current is parts:
        gevent.sleep(every)
        try:
            look()
        except Exception:
            _log.exception(crashed)


def _look_after_held(parts: WorkerParts) -> None:
    try:
        parts.held.sweep()
    except NotifierError as error:
        # Redis or the broker is away; the next look finds the same.
        wide(_log, "held.unseen", level=logging.WARNING, error=str(error))


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


def _leave(parts: WorkerParts) -> None:
    try:
        parts.ledger.farewell(parts.owner)
    except StorageUnavailable as error:
        wide(_log, "liveness.kept", level=logging.WARNING, error=str(error), until_s=TTL_S)


def install(app: Any, build: Build) -> None:
    """Register our steps and signal handlers with the Celery app; importing alone does nothing."""

    def on_init(sender: Any = None, **_: Any) -> None:
        _init(sender.app, sender.hostname, build)

    use_fast_json()
    install_steps(app)
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
    current().connected(sender)
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
