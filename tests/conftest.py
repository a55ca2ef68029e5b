"""The servers that tests run against: real ones, private to the test process (so to each xdist worker)."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest

from tests.last_words import pytest_runtest_makereport, pytest_runtest_setup
from tests.one_slot import one_slot_each
from tests.servers.busybox import BusyboxHttpd
from tests.servers.certificates import Certificate, make_certificate
from tests.servers.choosing import PREFIX
from tests.servers.http import HttpSink
from tests.servers.memory import kept_in_memory
from tests.servers.postgresql import PostgresServer
from tests.servers.processes import ServerMissing
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.receivers import RECEIVERS, Receiver
from tests.servers.redis import RedisServer
from tests.servers.redis_cluster import RedisCluster
from tests.servers.service_vhost import ServiceVhost
from tests.servers.smtp import SmtpSink

__all__ = ["one_slot_each", "pytest_runtest_makereport", "pytest_runtest_setup"]

Server = TypeVar("Server")

# How long an example takes says how busy the machine is, not whether the code is right.
for profile in ("default", "ci"):
    hypothesis.settings.register_profile(
        profile,
        parent=hypothesis.settings.get_profile(profile),
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
hypothesis.settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")

_LONGEST_FIRST = ("tests/faults", "tests/acceptance", "tests/integration", "tests/browser")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers, the files that take minutes are begun first, so that none of them is the only one left.

    A single process goes from the quick to the slow ones instead: what breaks, breaks soon.
    """
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: next((n for n, part in enumerate(_LONGEST_FIRST) if part in item.nodeid), 9))


def _start(make: Callable[[Path], Server], directory: Path) -> Server:
    """A laptop without the server skips its tests; CI must not, or it would pass by testing nothing."""
    try:
        return make(directory)
    except ServerMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(autouse=True)
def without_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    """What chooses the tests' servers is none of our settings (`tests.servers.choosing` remembers it)."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A running RabbitMQ node. A test that stops or breaks it must mend it again."""
    directory = tmp_path_factory.mktemp("rabbitmq")
    with kept_in_memory(directory / "data"):
        server = _start(RabbitMQ, directory)
        try:
            yield server
        finally:
            server.close()


@pytest.fixture
def broker_url(rabbitmq: RabbitMQ) -> Iterator[str]:
    """The address of an empty virtual host that belongs to this test alone."""
    url = rabbitmq.new_vhost()
    yield url
    rabbitmq.delete_vhost(url)


@pytest.fixture(scope="session")
def service_vhost(rabbitmq: RabbitMQ) -> ServiceVhost:
    """For tests that need the service's topology and leave it as it is."""
    return ServiceVhost(rabbitmq)


@pytest.fixture
def service_url(service_vhost: ServiceVhost) -> str:
    """The address of a virtual host with the service's topology and nothing in it."""
    return service_vhost.lend()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running Redis with append-only persistence and no eviction."""
    server = _start(RedisServer, tmp_path_factory.mktemp("redis"))
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A Redis Cluster of six nodes. A test that breaks one has a Cluster of its own."""
    made = _start(RedisCluster, tmp_path_factory.mktemp("cluster"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A running PostgreSQL. A test that stops it must start it again."""
    server = _start(PostgresServer, tmp_path_factory.mktemp("postgresql"))
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def history_database(postgres: PostgresServer) -> str:
    """The name of a database with the history's tables, empty, for this test alone."""
    return postgres.new_database()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of an empty Redis."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A self-signed certificate for 127.0.0.1 and localhost; its `certificate` file is its own CA file."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def smtp_sink() -> Iterator[SmtpSink]:
    """An SMTP relay that keeps every mail; plain, without login."""
    sink = SmtpSink()
    yield sink
    sink.close()


@pytest.fixture
def tls_smtp_sink(certificate: Certificate) -> Iterator[SmtpSink]:
    """An SMTP relay that offers STARTTLS and wants the login `user` / `secret`."""
    sink = SmtpSink(certificate=certificate, credentials=("user", "secret"))
    yield sink
    sink.close()


@pytest.fixture
def http_sink() -> Iterator[HttpSink]:
    """A webhook receiver that keeps every request and answers 204."""
    sink = HttpSink()
    yield sink
    sink.close()


@pytest.fixture
def busybox(tmp_path: Path) -> Iterator[BusyboxHttpd]:
    """A small web server that nobody here wrote, whose replies are not quite HTTP."""
    server = _start(BusyboxHttpd, tmp_path / "busybox")
    yield server
    server.close()


@pytest.fixture(params=sorted(RECEIVERS))
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    """Each of the web servers of others in turn."""
    running = _start(RECEIVERS[request.param], tmp_path)
    yield running
    running.close()


@pytest.fixture
def https_sink(certificate: Certificate) -> Iterator[HttpSink]:
    """A webhook receiver behind TLS."""
    sink = HttpSink(certificate=certificate)
    yield sink
    sink.close()
