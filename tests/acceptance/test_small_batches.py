"""Tasks of one mail that wait together run as one, and what cannot be read among them fails alone."""

import pytest

from notifier.domain.delivery import Status
from notifier.domain.encoding import EncodedBatch
from notifier.domain.rule import Channel, Priority
from notifier.domain.task_message import task_message
from tests.acceptance.place import Place, mail_folder, metric, place
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

EVENTS = 40


@pytest.mark.parametrize("broken", [False, True], ids=["", "one cannot be read"])
def test_tasks_that_wait_run_together_and_only_the_one_that_nobody_can_read_fails(
    rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory, broken: bool
) -> None:
    # Given many tasks of one mail each that wait for a worker, and perhaps among them one whose mail nobody can read
    folders = {"small.one": mail_folder("small.one", text="Hello")}
    environment = {"NOTIFIER_BATCH_DELIVERIES": "1"}
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("small"), folders, **environment) as at:
        at.service.consumer()
        people = [f"p{number}@example.org" for number in range(EVENTS)]
        for number, person in enumerate(people):
            at.publish("small.one", {"to": person}, event_id=str(number))
        poll(lambda: at.depths()["email-normal"] == EVENTS, "each mail waits in a task of its own")
        if broken:
            publish_unreadable(at)

        # When a worker starts
        worker = at.service.worker("-n", "one@%h")

        # Then every mail is sent, once
        for number, person in enumerate(people):
            at.until(at.delivery(str(number), "small.one/mail", f"mailto:{person}"), Status.SENT)
        at.until_quiet()
        assert [len(at.mails_to(person)) for person in people] == [1] * EVENTS

        # And they ran together; where one could not be read, by themselves then, and it alone was given up
        rejected = "notifier_batches_rejected_total"
        if broken:
            assert metric(worker, f'{rejected}{{reason="unreadable"}}') == 1
            assert metric(worker, f'{rejected}{{reason="together"}}') > 1
        else:
            assert metric(worker, "notifier_tasks_together_sum") == EVENTS
            assert metric(worker, "notifier_tasks_together_count") < EVENTS
            assert metric(worker, rejected) == 0


def publish_unreadable(at: Place) -> None:
    """A task with one mail of an event that is none."""
    wire = b'{"v":1,"channel":"email","priority":"normal","events":[{}],"deliveries":[{"id":"dlv_x","event":0}]}'
    task = task_message(EncodedBatch(Channel.EMAIL, Priority.NORMAL, 1, wire), "test")
    at.publish_raw(
        "notifier.tasks", "email-normal", task.body, "application/json", headers=task.headers, encoding="utf-8"
    )
