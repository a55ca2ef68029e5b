"""What of a worker's life can be seen without one: its checks, its signs of life, and what it leaves alone."""

from types import SimpleNamespace
from typing import Any

import pytest

from notifier.errors import NotifierError, StorageUnavailable
from notifier.worker.celery_side import lifecycle
from notifier.worker.celery_side.lifecycle import WorkerChecks, _DeclaredTopology, _QuietEventConnection, current
from tests.unit.worker.doubles import Faults, World


def test_outside_a_started_worker_there_are_no_parts() -> None:
    with pytest.raises(NotifierError, match="notifier worker"):
        current()


@pytest.mark.parametrize(
    ("connection", "alive", "redis", "missing"),
    [
        (object(), True, None, []),
        (None, True, None, ["broker"]),
        (object(), False, None, ["engine"]),
        (object(), True, "away", ["redis"]),
    ],
)
def test_a_worker_is_ready_with_both_servers_and_an_engine_that_turns(
    connection: Any, alive: bool, redis: str | None, missing: list[str]
) -> None:
    store: Any = SimpleNamespace(reachable=lambda: redis)
    engine: Any = SimpleNamespace(alive=alive)
    checks = WorkerChecks(None, store, engine)
    assert checks.ready()["broker"] == "not connected to the broker"

    checks.consumer = SimpleNamespace(connection=connection)

    assert [name for name, why in checks.ready().items() if why] == missing
    assert (checks.alive() is None) is alive


def test_signs_of_life_and_the_farewell_are_in_redis_and_an_outage_stops_neither(world: World) -> None:
    faults = Faults(0, StorageUnavailable("away"))
    parts: Any = SimpleNamespace(ledger=faults.of(world.ledger), owner="w1")

    for _ in range(2):
        lifecycle._beat_once(parts)
    world.ledger.heartbeat("w2", 60.0)
    faults.at = faults.calls
    for _ in range(2):
        lifecycle._leave(parts)

    assert faults.calls == 4


class Consumer:
    """What of Celery's consumer the steps touch."""

    def __init__(self) -> None:
        self.amqheartbeat = 4
        self.connected: list[dict[str, Any]] = []
        self.app = SimpleNamespace(connection_for_write=lambda **options: self.connected.append(options))
        self.connection = SimpleNamespace(alt=["two"])
        self.trusts_topology = False

    def create_task_handler(self) -> str:
        return "handler"

    def ensure_connected(self, connection: Any) -> Any:
        return connection


def test_only_the_event_connection_has_no_heartbeats_and_no_confirms() -> None:
    consumer: Any = Consumer()
    step = _QuietEventConnection(consumer)

    step.start(consumer)
    during = consumer.amqheartbeat
    consumer.connection_for_write(heartbeat=0)
    step.stop(consumer)

    assert (during, consumer.amqheartbeat) == (0, 4)
    assert consumer.connected == [{"heartbeat": 0, "transport_options": {"confirm_publish": False}}]


def test_queues_that_were_read_a_moment_ago_at_another_node_are_not_declared_again() -> None:
    consumer: Any = Consumer()
    step = _DeclaredTopology(consumer)
    consumer.create_task_handler()

    step.start(consumer)

    assert consumer.trusts_topology
