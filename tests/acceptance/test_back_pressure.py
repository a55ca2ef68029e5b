"""Too much waits, or the broker is in an alarm: the API says come back later, low before high, and then takes again."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message

import pika
import pytest

from tests.acceptance.place import STRUCTURED, Place, mail_folder, metric, place
from tests.acceptance.service import ADMIN_TOKEN
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

FOLDERS = {
    "late.news": mail_folder("late.news", rule="priority: low"),
    "now.code": mail_folder("now.code", rule="priority: high"),
}


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("pressure"), FOLDERS, NOTIFIER_QUEUE_DEPTH="3") as here:
        here.service.consumer()
        here.service.api()
        yield here


def post(at: Place, kind: str, event_id: str) -> tuple[int, Message, dict[str, str]]:
    event = {"specversion": "1.0", "id": event_id, "source": "/tests", "type": kind, "data": {"to": "a@example.org"}}
    request = urllib.request.Request(
        f"http://127.0.0.1:{at.service.processes[1].health_port}/v1/events",
        data=json.dumps(event).encode(),
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": STRUCTURED},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.headers, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.loads(error.read())


def test_with_a_full_low_queue_the_api_refuses_low_events_and_takes_high_ones(at: Place) -> None:
    # Given a low queue that no worker reads, and a consumer that has seen it full
    for _ in range(3):
        at.publish_raw("notifier.tasks", "email-low", b"a task")
    poll(lambda: metric(at.service.processes[0], "notifier_queue_full") == 1, "the consumer sees it")

    # When events are posted, then the mailing is to come back later, and the code goes on
    poll(lambda: post(at, "late.news", "n")[0] == 503, "the API hears of it")
    status, headers, problem = post(at, "late.news", "n")
    assert (status, problem["type"]) == (503, "urn:notifier:problem:overloaded")
    assert int(headers["Retry-After"]) > 0
    assert "3 tasks wait in email-low" in problem["detail"]
    assert post(at, "now.code", "c")[0] == 202
    poll(lambda: at.depths()["email-high"] == 1, "the code is planned")

    # And the mailing is taken when there is room
    with pika.BlockingConnection(pika.URLParameters(at.broker_url)) as connection:
        connection.channel().queue_purge("email-low")
    poll(lambda: post(at, "late.news", "n")[0] == 202, "the API takes it")
    poll(lambda: at.depths()["email-low"] == 1, "the mailing is planned")


def test_in_a_memory_alarm_the_api_refuses_at_once_and_takes_again_when_it_is_over(at: Place) -> None:
    # Given a broker without memory, which tells so to whoever publishes
    at.rabbit.starve_of_memory()
    try:
        poll(lambda: post(at, "now.code", "alarm-1")[0] == 503, "the API hears of it")
        # When events are posted, then each is to come back later
        for number in range(20):
            status, headers, problem = post(at, "now.code", f"alarm-{number}")
            assert (status, problem["type"]) == (503, "urn:notifier:problem:broker_away")
            assert "blocks publishers" in problem["detail"]
            assert int(headers["Retry-After"]) > 0
    finally:
        at.rabbit.feed()

    # And it takes them when the alarm is over
    poll(lambda: post(at, "now.code", "after")[0] == 202, "the API takes it")
