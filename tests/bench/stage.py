"""Servers and processes of one bench: private RabbitMQ and Redis, sinks, and the service started as users start it."""

import signal
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pika

from consumers.topology import apply_topology
from notifier.domain import topology
from notifier.domain.cloudevents import STRUCTURED
from notifier.environment import read_settings
from notifier.storage.ledger import Ledger
from notifier.wiring.stores import build_endpoints, build_ledger, build_store
from tests.acceptance.service import Process, Service, environment
from tests.bench import gauges, plain, workload
from tests.bench.relay import Relay
from tests.bench.sinks import Sink, http_sink, smtp_sink
from tests.bench.waiting import PATIENCE_S, BenchFailed, until
from tests.servers.processes import start, wait_until
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

ROOT = Path(__file__).parents[2]
#: Ledger records read at once.
LOOK_AT = 2000


@dataclass(frozen=True)
class Usage:
    """CPU seconds used so far by each role."""

    seconds: Mapping[str, float]

    def since(self, before: "Usage") -> dict[str, float]:
        """What was used between two looks."""
        return {role: used - before.seconds.get(role, 0.0) for role, used in self.seconds.items()}


class Stage:
    """Everything a bench runs on. `close` ends what was started here and nothing else."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._folders = 0
        self.rabbit = RabbitMQ(_made(directory / "rabbitmq"))
        # Histograms of commands' times: 25 kB for each kind of command at its first use, which is no event's memory.
        self.redis = RedisServer(_made(directory / "redis"), {"latency-tracking": "no"})
        self.mails: Sink = smtp_sink(directory)
        self.hooks: Sink = http_sink(directory)
        self.stamping = Relay(directory / "stamping")
        self.broker_url = self.rabbit.new_vhost()
        apply_topology(self.broker_url)
        self.publisher = workload.Publisher(self.broker_url)
        self.publisher.declare(plain.QUEUE)
        self.services: list[Service] = []
        self._others: list[Process] = []
        self._store = build_store(read_settings(self._notifier(self.mails)))

    def consumer(self, batch: int) -> Process:
        """``python -m consumers``, making batches of at most this many deliveries."""
        return self.service(self.mails, NOTIFIER_BATCH_DELIVERIES=str(batch)).consumer()

    def worker(self, number: int = 1, *, stamping: bool = False) -> Process:
        """``celery -A notifier worker -P gevent``; sends to the C sinks, or to the one that writes down the time."""
        service = self.service(self.stamping if stamping else self.mails)
        return service.worker("-n", f"bench{number}@%h", "-l", "warning")

    def plain_worker(self, *, stamping: bool = False) -> Process:
        """A worker of `tests.bench.plain` with the flags that tutorials give."""
        mails = self.stamping if stamping else self.mails
        log = self._directory / f"plain-{len(self._others)}.log"
        command = [sys.executable, "-m", "celery", "-A", "tests.bench.plain", "worker", "-l", "warning", *plain.FLAGS]
        inherited = self._notifier(mails)
        variables = {
            "PYTHONPATH": str(ROOT),
            "PLAIN_BROKER_URL": self.broker_url,
            "PLAIN_REDIS_URL": self.redis.url,
            "PLAIN_SMTP_PORT": str(mails.port),
            "PLAIN_HTTP_PORT": str(self.hooks.port),
        }
        process = Process("plain", start(command, log, {**inherited, **variables}), log, 0)
        self._others.append(process)
        wait_until(lambda: self.publisher.consumers(plain.QUEUE) > 0, process.popen, log, timeout=60)
        return process

    def end(self, process: Process) -> None:
        """SIGTERM, as an orchestrator does."""
        process.terminate(PATIENCE_S)

    def new_endpoint(self) -> str:
        """Register the webhook sink for every event type; its id."""
        return self.new_endpoints([(f"http://127.0.0.1:{self.hooks.port}/hook", "*")])[0]

    def new_endpoints(self, wanted: Iterable[tuple[str, str]]) -> list[str]:
        """Register URLs, each for a pattern of event types; their ids."""
        endpoints = build_endpoints(read_settings(self._notifier(self.mails)), self._store)
        return [endpoints.add("default", url, event_types=(pattern,)).id for url, pattern in wanted]

    def ledger(self) -> Ledger:
        """The ledger the service writes."""
        return build_ledger(read_settings(self._notifier(self.mails)), self._store)

    def statuses(self, ids: Sequence[str]) -> Counter[str]:
        """How many deliveries the ledger has in each status; ``unknown`` are those it does not have."""
        ledger, found = self.ledger(), Counter[str]()
        for first in range(0, len(ids), LOOK_AT):
            records = ledger.deliveries(ids[first : first + LOOK_AT])
            found.update("unknown" if record is None else str(record.status) for record in records)
        return found

    def check_sent(self, ids: Sequence[str]) -> None:
        """The ledger says *sent* of every delivery."""
        statuses = self.statuses(ids)
        if statuses != {"sent": len(ids)}:
            raise BenchFailed(f"the ledger does not say sent of every one of {len(ids)} deliveries: {dict(statuses)}")

    def publish(self, kind: workload.Kind, bodies: Iterable[bytes]) -> None:
        """Events, as fast as one connection takes them."""
        properties = pika.BasicProperties(content_type=STRUCTURED, delivery_mode=2)
        self.publisher.publish(topology.EVENTS_EXCHANGE, kind.event_type, bodies, properties)

    def publish_events(self, kind: workload.Kind, count: int, run: str) -> None:
        """Put events in front of the intake queue's consumers; returns when the broker has them all."""
        self.publish(kind, (workload.event(kind, number, run) for number in range(count)))
        until(lambda: self.depth(topology.INTAKE_QUEUE) >= count, f"{count} events wait in the intake queue")

    def folder(self, name: str) -> Path:
        """A new folder that goes when the bench ends, for a receiver of a scenario's own."""
        self._folders += 1
        return _made(self._directory / f"{name}-{self._folders}")

    def depth(self, queue: str) -> int:
        """Messages in a queue, those that consumers hold among them."""
        return self.rabbit.queue_depths(self.broker_url).get(queue, 0)

    def waiting(self, kind: workload.Kind) -> int:
        """Tasks in the work queues of one lane."""
        depths = self.rabbit.queue_depths(self.broker_url)
        return sum(depth for queue, depth in depths.items() if queue.startswith(kind.lane))

    def purge(self) -> None:
        """Throw away every task that waits; no process may be running."""

        def purged() -> bool:
            for queue in self.full():
                self.publisher.purge(queue)
            return self.empty()

        # What a process had that has just ended comes back a moment later.
        until(purged, "every queue is purged", every=0.2)

    def full(self) -> dict[str, int]:
        """Queues that hold something, those that consumers have included."""
        return {queue: depth for queue, depth in self.rabbit.queue_depths(self.broker_url).items() if depth}

    def empty(self) -> bool:
        """Whether no queue holds anything."""
        return not self.full()

    def until_empty(self, timeout: float = PATIENCE_S) -> None:
        """Wait until everything is recorded and acknowledged; says what is left when it is not."""
        try:
            until(self.empty, "all queues are empty", every=0.02, timeout=timeout)
        except BenchFailed as error:
            raise BenchFailed(f"{error}: {self.full()}") from None

    def usage(self, **roles: list[Process]) -> Usage:
        """CPU seconds of the roles named, and of the servers beside them."""
        pids = {role: [process.popen.pid for process in processes] for role, processes in roles.items()}
        servers = {
            "broker": gauges.session_of(self.rabbit.pid),
            "redis": gauges.session_of(self.redis.pid),
            "sink": [*gauges.session_of(self.mails.process.pid), *gauges.session_of(self.hooks.process.pid)],
        }
        return Usage({role: gauges.cpu_seconds(found) for role, found in {**pids, **servers}.items()})

    def complaints(self) -> list[str]:
        """Every warning and error the service's processes have logged: a figure measured beside one needs a look."""
        logs = [process.log for service in self.services for process in service.processes]
        return [line for log in logs for line in log.read_text(errors="replace").splitlines() if line.startswith("{")]

    def close(self) -> None:
        """End everything."""
        for service in self.services:
            service.close()
        for process in self._others:
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGCONT)
                process.kill()
        self._store.close()
        self.publisher.close()
        for sink in (self.mails, self.hooks, self.stamping):
            sink.close()
        self.redis.close()
        self.rabbit.close()

    def service(self, mails: Sink, **more: str) -> Service:
        """Processes that send to ``mails``, with more settings than the defaults; nothing is started yet."""
        service = Service(_made(self._directory / f"service-{len(self.services)}"), {**self._notifier(mails), **more})
        self.services.append(service)
        return service

    def _notifier(self, mails: Sink) -> dict[str, str]:
        return environment(
            broker_url=self.broker_url,
            redis_url=self.redis.url,
            smtp_url=f"smtp+plain://127.0.0.1:{mails.port}",
            templates=workload.TEMPLATES,
            NOTIFIER_LOG_LEVEL="warning",
            NOTIFIER_WEBHOOK_ALLOW="127.0.0.0/8",
        )


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory
