"""Signals while mails are on their way: supported ones end the worker in good order, none of them loses anything."""

import signal
import threading
from collections.abc import Iterator

import pytest

from notifier.domain.delivery import Status
from notifier.worker.celery_side.lifecycle import EXIT_UNFINISHED
from tests.acceptance.place import Place, mail_folder, message_id, place
from tests.acceptance.service import Process
from tests.servers.faults import HANG
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

FOLDERS = {"signal.mail": mail_folder("signal.mail", text="Hello")}
#: Seconds of grace; the receiver that hangs is given up only after the deadline of a send, much later.
GRACE = 2


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("signals"), FOLDERS, NOTIFIER_GRACE=str(GRACE)) as here:
        here.service.consumer()
        yield here


def send(process: Process, *signals: signal.Signals) -> int:
    """Send signals one after the other, each once the one before was noticed in the log; the exit status."""
    for number in signals:
        written = len(process.output())
        process.popen.send_signal(number)
        poll(lambda size=written: len(process.output()) > size or process.popen.poll() is not None, "it noticed")
    return process.popen.wait(PATIENCE_S)


def test_sigterm_under_load_ends_with_status_0_and_neither_loses_nor_doubles_a_mail(
    at: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a worker in the middle of 1,500 mails, with time to send what it has begun on a machine that is busy
    people = [f"load{n}@example.org" for n in range(1500)]
    monkeypatch.setitem(at.service.environment, "NOTIFIER_GRACE", f"{PATIENCE_S:.0f}")
    worker = at.service.worker("-n", "load@%h")
    before = len(at.smtp.mails)
    publishing = threading.Thread(
        target=lambda: [at.publish("signal.mail", {"to": people[n : n + 100]}) for n in range(0, 1500, 100)]
    )
    publishing.start()
    at.smtp.wait_for(before + 100)

    # When it is asked to stop
    status = worker.terminate()
    publishing.join()

    # Then it ends by itself, and the next one sends the rest
    assert status == 0, worker.output()[-2000:]
    at.service.worker("-n", "next@%h")
    at.smtp.wait_for(before + 1500)
    at.until_quiet()
    got = [mail.recipients[0] for mail in at.smtp.mails if mail.recipients[0].startswith("load")]
    assert sorted(got) == sorted(people)
    at.service.processes[-1].terminate()


#: What is sent to a worker whose relay hangs. SIGTERM alone waits for the grace to end; all exit as "unfinished".
CASES = {
    "term": (signal.SIGTERM,),
    "quit": (signal.SIGQUIT,),
    "intint": (signal.SIGINT, signal.SIGINT),
    "termquit": (signal.SIGTERM, signal.SIGQUIT),
    "termint": (signal.SIGTERM, signal.SIGINT),
}


@pytest.fixture(scope="module")
def statuses(at: Place) -> dict[str, int]:
    """Exit statuses of workers that got these signals while a mail of theirs hung; another worker runs now."""
    ended, left = {}, ""
    for name, signals in CASES.items():
        address = f"{name}@example.org"
        worker = at.service.worker("-n", f"{name}@%h")
        if left:
            # The one before left its mail: its recipient, said again, is not to be taken for this one's.
            at.until(left, Status.SENT)
        at.smtp.reply("RCPT", HANG, matching=f"<{address}>", times=1)
        told = at.smtp.counters.commands.get("RCPT", 0)
        left = at.delivery(at.publish("signal.mail", {"to": address}), "signal.mail/mail", f"mailto:{address}")
        poll(lambda told=told: at.smtp.counters.commands.get("RCPT", 0) > told, "the recipient was said")
        ended[name] = send(worker, *signals)
    at.service.worker("-n", "last@%h")
    return ended


@pytest.mark.parametrize("name", CASES)
def test_no_signal_loses_or_doubles_a_mail_that_hangs(at: Place, statuses: dict[str, int], name: str) -> None:
    # Given a worker that got these signals while its relay hung: it said that it did not finish
    assert statuses[name] == EXIT_UNFINISHED

    # Then another worker sends the mail, once
    address = f"{name}@example.org"
    poll(lambda: at.mails_to(address), "the mail")
    at.until_quiet()
    assert len({message_id(mail) for mail in at.mails_to(address)}) == len(at.mails_to(address)) == 1
