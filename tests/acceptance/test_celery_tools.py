"""Celery's own tools against the running service: what an operator of any Celery deployment would reach for."""

import base64
import json
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from notifier.domain.rule import WORK_QUEUES
from tests.acceptance import shop
from tests.acceptance.service import Service
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.ports import free_port
from tests.servers.processes import start, stop_group, wait_until
from tests.servers.rabbitmq import RabbitMQ, vhost_of
from tests.servers.smtp import SmtpSink


def inspect(service: Service, what: str, nodes: int) -> dict[str, Any]:
    """`celery inspect <what> --json`: node → answer. Asked again until that many nodes answer within its one second."""
    answers: dict[str, Any] = {}

    def all_answer() -> bool:
        done = service.celery("inspect", what, "--json")
        # Status 69 is Celery's word for "no node replied within time constraint".
        assert done.returncode in (0, 69), done.stderr
        answers.update(json.loads(done.stdout) if done.returncode == 0 else {})
        return len(answers) == nodes

    poll(all_answer, f"an answer of {nodes} nodes to inspect {what}")
    return answers


def test_inspect_and_status_answer_for_workers_started_without_any_option(
    service: Service, smtp_sink: SmtpSink
) -> None:
    # Given two stock workers on one host, neither with a name, and beat
    service.worker()
    service.worker()
    service.beat()

    # Then both answer under names of their own
    assert list(inspect(service, "ping", 2).values()) == [{"ok": "pong"}] * 2
    status = service.celery("status")
    assert status.returncode == 0, status.stderr
    assert "2 nodes online" in status.stdout

    # And each reads every work queue, as the topology declares it
    for queues in inspect(service, "active_queues", 2).values():
        assert sorted(queue["name"] for queue in queues) == sorted(WORK_QUEUES)
        assert {queue["queue_arguments"]["x-queue-type"] for queue in queues} == {"quorum"}

    # And the statistics show greenlets, and the sweeps that beat has sent
    stats = inspect(service, "stats", 2)
    assert {one["pool"]["implementation"] for one in stats.values()} == {"celery.concurrency.gevent:TaskPool"}
    assert len({one["pid"] for one in stats.values()}) == 2
    poll(lambda: any("notifier.sweep" in s["total"] for s in inspect(service, "stats", 2).values()), "a sweep has run")


def heartbeats(rabbitmq: RabbitMQ, url: str) -> list[int]:
    """Seconds of heartbeat of each connection of the virtual host, as the broker agreed to them; 0 is none."""
    return sorted(
        json.loads(
            rabbitmq._control.run(f"""
                iolist_to_binary(io_lib:format("~w", [[proplists:get_value(timeout, Info)
                    || Info <- rabbit_networking:connection_info_all([vhost, timeout]),
                       proplists:get_value(vhost, Info) =:= <<"{vhost_of(url)}">>]]))
            """)
        )
    )


def test_the_events_connection_has_no_heartbeat_so_that_it_slows_no_worker(
    service: Service, rabbitmq: RabbitMQ, broker_url: str, smtp_sink: SmtpSink
) -> None:
    # Given a worker
    service.worker()

    # Then of its connections only the one that it takes tasks from has a heartbeat: with one on the connection for
    # events as well, Celery waits a tenth of a second there after every message
    seconds = heartbeats(rabbitmq, broker_url)
    assert len(seconds) > 1
    assert [bool(one) for one in seconds] == [False] * (len(seconds) - 1) + [True]

    # And it delivers
    service.consumer()
    shop.publish(broker_url, shop.events(60))
    smtp_sink.wait_for(len(shop.expected(shop.events(60), []).mails))


@dataclass(frozen=True)
class Flower:
    """A running Flower behind a password."""

    port: int
    password: str

    def get(self, path: str, password: str | None = None) -> tuple[int, str]:
        """(status, body); status 0 while nobody listens."""
        given = base64.b64encode(f"ops:{self.password if password is None else password}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Basic {given}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ""
        except OSError:
            return 0, ""


@pytest.fixture
def flower(service: Service) -> Iterator[Flower]:
    """`celery -A notifier flower`, with the service's environment."""
    running = Flower(free_port(), "flower-password")
    command = [sys.executable, "-m", "celery", "-A", "notifier", "flower", "--address=127.0.0.1"]
    command += [f"--port={running.port}", f"--basic-auth=ops:{running.password}"]
    log = service.directory / "flower.log"
    process = start(command, log, service.environment)
    wait_until(lambda: running.get("/healthcheck")[0] == 200, process, log)
    yield running
    stop_group(process, signal.SIGTERM)


def test_flower_shows_the_worker_its_tasks_and_metrics(
    service: Service, flower: Flower, broker_url: str, smtp_sink: SmtpSink
) -> None:
    # Given Flower beside the service
    service.consumer()
    service.worker("-E", "-n", "mail@shop.example")

    # Then it knows the worker by the name it was given, and the queues it reads
    def workers() -> dict[str, Any]:
        status, body = flower.get("/api/workers?refresh=1")
        assert status == 200
        found: dict[str, Any] = json.loads(body)
        return found

    poll(lambda: "mail@shop.example" in workers(), "Flower lists the worker")
    queues = workers()["mail@shop.example"]["active_queues"]
    assert sorted(queue["name"] for queue in queues) == sorted(WORK_QUEUES)

    # And it sees tasks run, and tells Prometheus
    shop.publish(broker_url, shop.events(5))
    smtp_sink.wait_for(5)
    seen = 'flower_events_total{task="notifier.email",type="task-succeeded",worker="mail@shop.example"}'
    poll(lambda: seen in flower.get("/metrics")[1], "a task that succeeded among Flower's metrics")
    assert 'flower_worker_online{worker="mail@shop.example"} 1.0' in flower.get("/metrics")[1]

    # And a stranger sees nothing
    assert flower.get("/api/workers", password="wrong")[0] == 401
