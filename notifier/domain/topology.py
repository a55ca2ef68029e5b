"""The broker's exchanges and queues, as data: declared by `consumers.topology`, read by the Celery app.

One place, because two declarations of a queue that differ in one argument make RabbitMQ refuse the second (AMQP 406).
"""

from __future__ import annotations

from binascii import crc32
from dataclasses import dataclass, field

from notifier.domain.rule import WORK_KINDS, WORK_QUEUES

EVENTS_EXCHANGE = "notifier.events"
TASKS_EXCHANGE = "notifier.tasks"
#: Where RabbitMQ itself sends dead letters. Its name is in the arguments of every work queue and cannot change.
FAILURES_EXCHANGE = "notifier.failures"
#: Where we publish what is parked, with the name of its failure queue as routing key.
PARKED_EXCHANGE = "notifier.parked"
#: What RabbitMQ dead-letters waits here, for a moment, until a consumer has parked it like everything else.
DEAD_LETTERS = "dead-letters"
INTAKE_QUEUE = "notifier.intake"
#: A second way in, for events that must not wait behind a flood of others: a queue is a line, and which events are
#: urgent is known by their rules only when they are read. What is published here is taken in first.
URGENT_EXCHANGE = "notifier.urgent"
URGENT_QUEUE = "notifier.intake-urgent"
FAILED_INTAKE = "failed-intake"
FAILURE_QUEUES = (FAILED_INTAKE, *(f"failed-{kind}" for kind in WORK_KINDS))
#: Deliveries to endpoints that are paused or have been away for long, until their endpoint is sent to again.
HELD_QUEUE = "held-webhook"
#: Queues that each of these is divided into: a walk passes everything that lies in one, so whoever wants few of their
#: messages walks over an eighth of the others'. More cost more of every node: a quorum queue is a Raft group.
SHELVES = 8

#: Returns of one message before the broker dead-letters it. Positive and explicit: RabbitMQ 3.x has no default, 4.x has
#: 20, and -1 means "drop at the first return" on 3.10 (measured). Every crash adds 1 to all that was prefetched.
DELIVERY_LIMIT = 20
#: Of `DEAD_LETTERS`, `HELD_QUEUE` and all shelves, which nothing may ever leave by itself: practically none, and an
#: argument instead of a policy, because RabbitMQ 4 would drop a message after 20 returns, as by a consumer that is
#: killed each time.
NO_LIMIT = 1_000_000

#: The AMQP property `priority` of every message of ours, always said. Quorum queues of RabbitMQ 4.3 serve strictly by
#: it, 4.0 in two classes (up to 4, above), 3.10 not at all; a message without it counts as 4, and Celery always says 0.
#: Events: as those of every publisher that says nothing. With 0 they would wait for all of these.
EVENT_PRIORITY = 4
#: Tasks and what is parked: as Celery's own. What said more would go before them, and a walk over a failure queue that
#: puts messages back with less or more than they had would meet some twice and others never.
TASK_PRIORITY = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable topic exchange."""

    name: str
    type: str = "topic"


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue and how it is bound."""

    name: str
    exchange: str
    routing_key: str
    arguments: dict[str, str | int] = field(default_factory=dict)


def _work_arguments(failure_queue: str) -> dict[str, str | int]:
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": FAILURES_EXCHANGE,
        "x-dead-letter-routing-key": failure_queue,
        # At-least-once dead lettering needs reject-publish (rabbitmq.com/docs/quorum-queues); without it a
        # dead-lettered message may vanish between the two queues.
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-delivery-limit": DELIVERY_LIMIT,
    }


def failure_queue(work_queue: str) -> str:
    """Where a work queue's failures are parked: ``email-high`` → ``failed-email``."""
    return "failed-" + work_queue.split("-", maxsplit=1)[0]


def shelf(queue: str, name: str) -> str:
    """Where in a failure queue, or in `HELD_QUEUE`, something lies: the same for everybody who means this name."""
    return f"{queue}-{crc32(name.encode('utf-8', 'surrogatepass')) % SHELVES}"


def held_shelf(endpoint: str) -> str:
    """Where everything lies that is held for an endpoint."""
    return shelf(HELD_QUEUE, endpoint)


def places(queue: str) -> tuple[str, ...]:
    """All of a failure queue or of `HELD_QUEUE`: the queue of its own name, into which earlier releases park, first."""
    return (queue, *(f"{queue}-{number}" for number in range(SHELVES)))


def queue_of(place: str) -> str:
    """The failure queue, or `HELD_QUEUE`, that something lies in which lies here."""
    return _QUEUE_OF.get(place, place)


def waiting_queue(work_queue: str) -> str:
    """Where events wait, unplanned, while a work queue is full: ``email-low`` → ``waiting-email-low``.

    The shards of a lane share one, apart from the lane's own: tenants with much waiting wait for one another only.
    """
    lane, separator, _ = work_queue.partition("-shard")
    return f"waiting-{lane}{'-shards' if separator else ''}"


_QUEUE_OF = {place: queue for queue in (*FAILURE_QUEUES, HELD_QUEUE) for place in places(queue)}
#: Waiting queue → the work queues whose events it takes.
WAITING_QUEUES: dict[str, tuple[str, ...]] = {
    waiting: tuple(queue for queue in WORK_QUEUES if waiting_queue(queue) == waiting)
    for waiting in dict.fromkeys(map(waiting_queue, WORK_QUEUES))
}


EXCHANGES: tuple[Exchange, ...] = (
    Exchange(EVENTS_EXCHANGE),
    Exchange(URGENT_EXCHANGE),
    Exchange(TASKS_EXCHANGE),
    Exchange(FAILURES_EXCHANGE),
    Exchange(PARKED_EXCHANGE),
)
#: Failure queues come first: at-least-once dead lettering into a queue that is not there keeps messages invisible.
#: Those of their own names carry no delivery limit; on RabbitMQ 4.x, whose default is 20, `consumers.topology` says
#: which policy lifts it.
QUEUES: tuple[Queue, ...] = (
    *(Queue(name, PARKED_EXCHANGE, name, {"x-queue-type": "quorum"}) for name in FAILURE_QUEUES),
    Queue(HELD_QUEUE, PARKED_EXCHANGE, HELD_QUEUE, {"x-queue-type": "quorum", "x-delivery-limit": NO_LIMIT}),
    *(
        Queue(place, PARKED_EXCHANGE, place, {"x-queue-type": "quorum", "x-delivery-limit": NO_LIMIT})
        for name in (*FAILURE_QUEUES, HELD_QUEUE)
        for place in places(name)[1:]
    ),
    Queue(DEAD_LETTERS, FAILURES_EXCHANGE, "#", {"x-queue-type": "quorum", "x-delivery-limit": NO_LIMIT}),
    Queue(INTAKE_QUEUE, EVENTS_EXCHANGE, "#", _work_arguments(FAILED_INTAKE)),
    Queue(URGENT_QUEUE, URGENT_EXCHANGE, "#", _work_arguments(FAILED_INTAKE)),
    *(Queue(name, TASKS_EXCHANGE, name, _work_arguments(failure_queue(name))) for name in WORK_QUEUES),
    *(Queue(name, TASKS_EXCHANGE, name, _work_arguments(FAILED_INTAKE)) for name in WAITING_QUEUES),
)
#: (queue, exchange, routing key) that earlier versions bound, taken away after everything above is there: a dead letter
#: went straight into its failure queue, where no index knew of it. What such a version parks passes `DEAD_LETTERS` now.
FORMER_BINDINGS: tuple[tuple[str, str, str], ...] = tuple((name, FAILURES_EXCHANGE, name) for name in FAILURE_QUEUES)
