"""What our steps of a worker's connection change, and what they leave alone."""

from types import SimpleNamespace
from typing import Any

from notifier.worker.celery_side.bootsteps import _DeclaredTopology, _QuietEventConnection


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
