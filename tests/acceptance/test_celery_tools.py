"""Celery's own tools against the running service: what an operator of any Celery deployment would reach for."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pika
import pytest

from notifier.domain.rule import WORK_QUEUES
from tests.acceptance import shop
from tests.acceptance.flower import Flower, running_flower
from tests.acceptance.service import Service
from tests.servers.patience import poll
from tests.servers.ports import free_port
from tests.servers.rabbitmq import RabbitMQ, vhost_of
from tests.servers.redis import RedisServer
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


@pytest.fixture
def flower(service: Service) -> Iterator[Flower]:
    """Flower beside the service."""
    with running_flower(service) as running:
        yield running


def test_a_queue_that_refuses_celerys_own_messages_keeps_no_worker_from_its_work(
    service: Service, broker_url: str
) -> None:
    # Given somebody who listened to events and commands, and whose queue refuses them: on RabbitMQ 4.3 one at a node
    # that is down does, and kombu publishes again for ever what was refused
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        channel.queue_declare("away", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
        for exchange, kind in (("celeryev", "topic"), ("celery.pidbox", "fanout")):
            channel.exchange_declare(exchange, kind, durable=exchange == "celeryev")
            channel.queue_bind("away", exchange, "#")

    # When a stock worker starts, then it is ready, and answers who asks it
    service.worker()
    assert list(inspect(service, "ping", 1).values()) == [{"ok": "pong"}]


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


CANARY = "kanarienvogel"


@pytest.fixture
def marked(service: Service, rabbitmq: RabbitMQ, redis_server: RedisServer) -> Iterator[Service]:
    """The service with one word in every credential, each with characters that addresses must encode."""
    password, vhost = f"{CANARY}/#@,1", vhost_of(service.environment["NOTIFIER_BROKER_URL"])
    rabbitmq._control.run(f"""
        ok = rabbit_auth_backend_internal:add_user(<<"marked">>, <<"{password}">>, <<"tests">>),
        ok = rabbit_auth_backend_internal:set_permissions(
            <<"marked">>, <<"{vhost}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>)
    """)
    redis_server._answer(f"ACL SETUSER marked on >{password} ~* &* +@all".encode())
    login, broker = f"marked:{quote(password, '')}", service.environment["NOTIFIER_BROKER_URL"].partition("@")[2]
    service.environment |= {
        "NOTIFIER_BROKER_URL": f"amqp://{login}@{broker}",
        "NOTIFIER_REDIS_URL": f"redis://{login}@127.0.0.1:{redis_server.port}/0",
        "NOTIFIER_SMTP_URL": f"smtp://{login}@127.0.0.1:{free_port()}",
        "NOTIFIER_SECRET_KEY": CANARY * 3,
        "NOTIFIER_API_TOKENS": f"admin:{CANARY}-{CANARY}",
    }
    yield service
    redis_server._answer(b"ACL DELUSER marked")
    rabbitmq._control.run('rabbit_auth_backend_internal:delete_user(<<"marked">>, <<"tests">>)')


def test_no_tool_of_celery_shows_a_password(marked: Service) -> None:
    # Given a service whose credentials all have a word in common
    worker, beat = marked.worker("-n", "mail@shop.example"), marked.beat()
    shown = {"worker": worker.output(), "beat": beat.output()}

    # When all is shown that Celery, its Python objects and Flower show of the settings
    for command in (["report"], ["inspect", "conf"], ["inspect", "conf", "1"], ["inspect", "stats"]):
        done = marked.celery(*command)
        assert "broker" in done.stdout, done.stderr
        shown[" ".join(command)] = done.stdout + done.stderr
    objects = "app.conf, app.conf.humanize(True), app.connection(), app.connection().as_uri(), app.backend.as_uri()"
    script = f"from notifier.celery import app; print({objects}); print(dict(app.conf))"
    done = marked.python("-c", script)
    assert "broker_url" in done.stdout, done.stderr
    shown["python"] = done.stdout + done.stderr
    with running_flower(marked) as flower:
        poll(lambda: "mail@shop.example" in flower.get("/api/workers?refresh=1")[1], "Flower lists the worker")
        for page in ("/worker/mail@shop.example", "/api/workers?refresh=1", "/workers", "/broker"):
            status, shown[page] = flower.get(page)
            assert status == 200, page
        shown["flower"] = (marked.directory / "flower.log").read_text()

    # Then the settings are there and the word is not
    assert "broker_url" in shown["/worker/mail@shop.example"]
    assert [place for place, text in shown.items() if CANARY in text] == []
