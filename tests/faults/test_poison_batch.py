"""A batch that takes every worker down reaches the broker's delivery limit, is listed, and a replay brings it back."""

import signal

import pytest

from notifier.domain.delivery import Status
from notifier.domain.outcome import Cause
from tests.acceptance.place import mail_folder, place
from tests.servers.faults import HANG
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer


def test_a_batch_that_takes_every_worker_down_is_dead_lettered_and_split_by_a_replay(
    rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Given a queue that gives a message up after one return, and a batch of two mails whose sending never ends
    folders = {"batch.both": mail_folder("batch.both", text="Hello")}
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("batch"), folders) as at:
        at.rabbit.limit_deliveries(at.broker_url, "email-normal", 1)
        at.smtp.reply("RCPT", HANG, times=4)
        at.service.consumer()
        at.publish("batch.both", {"to": ["a@example.org", "b@example.org"]}, event_id="both")
        ids = [at.delivery("both", "batch.both/mail", f"mailto:{name}@example.org") for name in "ab"]

        # When the worker is killed in the middle of it, and so is the next one
        for told in (2, 4):
            worker = at.service.worker("-n", f"w{told}@%h")
            poll(lambda told=told: at.smtp.counters.commands.get("RCPT") == told, f"{told} recipients were said")
            assert worker.popen.poll() is None
            worker.kill()

        # Then the broker gives it up, and both deliveries are listed and recorded by themselves
        entries = [at.until_parked(identity) for identity in ids]
        assert [entry.cause for entry in entries] == [Cause.POISON, Cause.POISON]
        assert [at.until(identity, Status.REFUSED).reason for identity in ids] == [Cause.POISON, Cause.POISON]
        poll(lambda: at.depths()["dead-letters"] == 0, "the dead letter is acknowledged")

        # And a replay of one of them sends that one and leaves the other
        at.failures("replay", ids[0], "--yes", "--json")
        last = at.service.worker("-n", "last@%h")
        at.until(ids[0], Status.SENT)
        assert at.parked(ids[1]) is not None
        assert at.depths()["failed-email"] == 1
        at.failures("replay", ids[1], "--yes", "--json")
        at.until(ids[1], Status.SENT)
        at.until_quiet()
        assert len(at.mails_to("a@example.org")) == len(at.mails_to("b@example.org")) == 1
        last.popen.send_signal(signal.SIGTERM)
        assert last.popen.wait(PATIENCE_S) == 0
