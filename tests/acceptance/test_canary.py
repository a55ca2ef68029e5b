"""Marked words in every secret and in the data of events, through every error path and view of live processes.

Secrets come out nowhere. Data of events is in queues, in what is sent, in what an operator asks for by name, and
nowhere else: not in a log, a reason, an answer or a view of Celery.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.canary import DATA, MARKS, marked_place, publish_everything
from tests.acceptance.flower import Flower, running_flower
from tests.acceptance.place import Place
from tests.acceptance.service import ask
from tests.acceptance.views import of_celery, of_http, of_http_errors, of_the_command_line, page
from tests.servers.certificates import Certificate
from tests.servers.patience import poll
from tests.servers.processes import start, stop_group
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.servers.rights import OPERATOR


@contextmanager
def watching(at: Place, log: Path) -> Iterator[Flower]:
    """Flower and `celery events --dump` while something happens."""
    command = [sys.executable, "-m", "celery", "-A", "notifier", "events", "--dump"]
    process = start(command, log, at.service.as_(OPERATOR))
    with running_flower(at.service) as flower:
        poll(lambda: log.exists() and "heartbeat" in log.read_text(errors="replace"), "events of a worker are seen")
        yield flower
    stop_group(process, signal.SIGKILL)


@pytest.mark.slow
def test_no_secret_and_no_data_comes_out_of_any_view_or_error(
    rabbitmq: RabbitMQ, redis_server: RedisServer, certificate: Certificate, tmp_path: Path
) -> None:
    # Given a service whose every secret is marked
    shown: list[tuple[str, str]] = []
    directory, events = tmp_path / "service", tmp_path / "events.log"
    directory.mkdir()
    with marked_place(rabbitmq, redis_server, certificate, directory) as (at, api):
        # When everything goes wrong that can, and is looked at
        with watching(at, events) as flower:
            publish_everything(at)
            at.http.wait_for(1)
            poll(lambda: len(ask(api.health_port, "/v1/failures?limit=500")[1]["entries"]) >= 13, "failures are parked")
            shown += of_celery(at, flower)
        shown += of_http(at, api)
        shown += of_http_errors(api)
        shown += of_the_command_line(at, tmp_path)
        entry = next(one for one in at.failures("list", "--json")["entries"] if one["cause"] == "schema")
        payload = page(api, f"/v1/failures/{entry['id']}?payload=true")

        # And Redis goes away
        redis_server.stop()
        try:
            poll(lambda: page(api, "/readyz").startswith("503"), "the API is not ready")
            shown += of_http_errors(api)
            shown += [(f"/readyz of {role.role}", page(role, "/readyz")) for role in at.service.processes]
        finally:
            redis_server.start()
        shown.append(("celery events", events.read_text(errors="replace")))
        shown += [(f"log of {log.stem}", log.read_text(errors="replace")) for log in directory.glob("*.log")]
        assert [process.role for process in at.service.processes if process.popen.poll() is not None] == []

    # Then each view has shown something, and none of it a mark
    assert [name for name, text in shown if not text] == []
    assert [(name, around(text, mark)) for name, text in shown for mark in MARKS if mark in text] == []
    # And what was published is shown to an operator who asks for it, which is logged
    assert DATA in payload


def around(text: str, mark: str) -> str:
    """Where it is."""
    at = text.index(mark)
    return text[max(0, at - 150) : at + 80]
