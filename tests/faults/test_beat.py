"""Beat while servers and other beats go away: it waits, says so, hands over, and every run is sent once."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.service import Process, Service, is_ready
from tests.servers.certificates import Certificate
from tests.servers.patience import poll
from tests.servers.ports import free_port
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.servers.sentinel import ReplicatedRedis

PERIOD_S = 2.0


def readiness(beat: Process) -> dict[str, str]:
    """What its page says of each server."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{beat.health_port}/readyz", timeout=10) as answer:
            found: dict[str, str] = json.loads(answer.read())["checks"]
    except urllib.error.HTTPError as error:
        with error:
            found = json.loads(error.read())["checks"]
    return found


def sweeps(rabbit: RabbitMQ, url: str) -> int:
    """Runs that were sent: no worker takes them here."""
    return rabbit.queue_depths(url)["digest"]


def until_more(rabbit: RabbitMQ, url: str) -> None:
    """Two more runs: one of them may have been under way before."""
    before = sweeps(rabbit, url)
    poll(lambda: sweeps(rabbit, url) >= before + 2, "further runs are sent")


@contextmanager
def frozen(process_group: int) -> Iterator[None]:
    """Its connections stay open and nothing is answered."""
    os.killpg(process_group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(process_group, signal.SIGCONT)


def test_of_two_beats_one_goes_on_when_the_other_is_frozen_or_killed_and_each_run_is_sent_once(
    service: Service, broker_url: str, rabbitmq: RabbitMQ
) -> None:
    # Given two
    begun = time.monotonic()
    first, second = service.beat(), service.beat()
    until_more(rabbitmq, broker_url)

    # When one is frozen for some runs, and later the other is killed
    with frozen(first.popen.pid):
        until_more(rabbitmq, broker_url)
    second.kill()
    until_more(rabbitmq, broker_url)

    # Then there were never more runs than periods: one at once, one more for the beat that stood between asking and
    # sending when it was frozen
    assert sweeps(rabbitmq, broker_url) <= 2 + (time.monotonic() - begun) / PERIOD_S
    assert is_ready(first.health_port)


def test_beat_waits_for_a_redis_that_is_away_and_says_so(
    service: Service, broker_url: str, rabbitmq: RabbitMQ, redis_server: RedisServer
) -> None:
    beat = service.beat()
    until_more(rabbitmq, broker_url)

    # When Redis goes away
    redis_server.stop()
    try:
        poll(lambda: "cannot be reached" in readiness(beat)["redis"], "beat is not ready")
        poll(lambda: "beat.waits" in beat.output(), "beat says what it waits for")
    finally:
        redis_server.start()

    # Then it goes on by itself
    until_more(rabbitmq, broker_url)
    poll(lambda: is_ready(beat.health_port), "beat is ready again")
    assert beat.popen.poll() is None


def test_beat_leaves_the_runs_to_another_one_while_its_broker_is_frozen_and_says_so(
    service: Service, broker_url: str, rabbitmq: RabbitMQ
) -> None:
    beat = service.beat()
    until_more(rabbitmq, broker_url)

    # When RabbitMQ stops answering
    with frozen(rabbitmq.pid):
        poll(lambda: readiness(beat)["broker"] != "ok", "beat is not ready")
        assert readiness(beat)["redis"] == "ok"

    # Then it goes on by itself
    until_more(rabbitmq, broker_url)
    poll(lambda: is_ready(beat.health_port), "beat is ready again")


def test_beat_finds_the_new_primary_through_sentinel(
    service: Service, broker_url: str, rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    # Given an address that names two Sentinels, the first of which is away
    servers = ReplicatedRedis(tmp_path / "replicated")
    try:
        service.environment["NOTIFIER_REDIS_URL"] = servers.url.replace("://", "://127.0.0.1:1,")
        beat = service.beat()
        until_more(rabbitmq, broker_url)

        # When the primary is killed
        before = servers.primary
        servers.kill(before)
        poll(lambda: servers.primary != before, "the replica is the primary")

        # Then beat goes on with the new one
        until_more(rabbitmq, broker_url)
        poll(lambda: is_ready(beat.health_port), "beat is ready again")
    finally:
        servers.close()


def test_beat_speaks_tls_with_a_ca_file_as_a_user_with_a_password_that_needs_encoding(
    service: Service, broker_url: str, rabbitmq: RabbitMQ, certificate: Certificate, tmp_path: Path
) -> None:
    # Given a server behind TLS, whose user may use our keys and nothing else
    folder, port = tmp_path / "tls", free_port()
    folder.mkdir()
    files = {"tls-cert-file": certificate.certificate, "tls-key-file": certificate.key}
    options = {**files, "tls-ca-cert-file": certificate.certificate, "tls-auth-clients": "no", "tls-port": port}
    server = RedisServer(folder, {name: str(value) for name, value in options.items()})
    try:
        server._answer(b"ACL SETUSER beat on >pa/ss@w,rd ~ntf:* +@all")
        service.environment["NOTIFIER_REDIS_URL"] = f"rediss://beat:pa%2Fss%40w%2Crd@localhost:{port}/0"
        service.environment["NOTIFIER_REDIS_CA_FILE"] = str(certificate.certificate)

        # When beat runs
        beat = service.beat()

        # Then it sends what is due
        until_more(rabbitmq, broker_url)
        assert "pa/ss" not in beat.output()
        assert "pa%2Fss" not in beat.output()
    finally:
        server.close()


def test_beat_refuses_a_redis_cluster_at_its_start(service: Service, tmp_path: Path) -> None:
    # Given a node of a Cluster
    folder = tmp_path / "cluster"
    folder.mkdir()
    server = RedisServer(folder, {"cluster-enabled": "yes", "cluster-port": str(free_port())})
    try:
        service.environment["NOTIFIER_REDIS_URL"] = server.url

        # When beat is started
        ended = service.celery("beat")

        # Then it says why it does not start
        assert (ended.returncode, ended.stderr.count("Traceback")) == (2, 0)
        assert "is a node of a Redis Cluster" in ended.stderr
    finally:
        server.close()
