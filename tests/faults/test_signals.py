"""Every signal a supervisor or a person may send a worker in the middle of a mail: it arrives, once (trap T1)."""

import signal
from collections.abc import Iterator

import pytest

from notifier.domain.delivery import Status
from tests.acceptance.place import Place, mail_folder, place
from tests.acceptance.service import poll
from tests.servers.faults import HANG
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folders = {"signal.mail": mail_folder("signal.mail")}
    short = {"NOTIFIER_SEND_TIMEOUT": "6", "NOTIFIER_EMAIL_RETRY": "1 1 1"}
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("signals"), folders, **short) as here:
        here.service.consumer()
        yield here


@pytest.mark.parametrize(
    ("name", "signals", "status"),
    [
        # asked to stop: the try is finished and its retry queued before it leaves
        ("term", [signal.SIGTERM], 0),
        # told to stop: under gevent Celery itself would acknowledge the mail away
        ("interrupt-twice", [signal.SIGINT, signal.SIGINT], 70),
        ("quit", [signal.SIGQUIT], 70),
    ],
)
def test_a_signal_in_the_middle_of_a_mail_neither_loses_nor_doubles_it(
    at: Place, name: str, signals: list[signal.Signals], status: int
) -> None:
    # Given a worker whose relay keeps a mail waiting at its recipient
    worker = at.service.worker("-n", f"{name}@%h")
    said = at.smtp.counters.commands.get("RCPT", 0)
    at.smtp.reply("RCPT", HANG, matching=f"{name}@", times=1)
    at.publish("signal.mail", {"to": f"{name}@example.org"}, event_id=name)
    poll(lambda: at.smtp.counters.commands.get("RCPT", 0) > said, "the recipient was said")

    # When the signals come, one after the other has been noticed
    for number, sent in enumerate(signals):
        if number:
            poll(lambda: "shutdown" in worker.output(), "the first signal was noticed")
        worker.popen.send_signal(sent)

    # Then it leaves as it says
    assert worker.popen.wait(60) == status, worker.output()[-2000:]
    # And the next worker sends the mail, once
    after = at.service.worker("-n", f"after-{name}@%h")
    at.until(at.delivery(name, "signal.mail/mail", f"mailto:{name}@example.org"), Status.SENT)
    assert len(at.mails_to(f"{name}@example.org")) == 1
    assert after.terminate() == 0
