"""Cluster's one-slot rule, and Sentinel."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from notifier.domain.delivery import Status
from notifier.domain.endpoint import EndpointState
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked
from notifier.domain.rule import Window
from notifier.errors import StorageUnavailable
from notifier.storage.cipher import Cipher
from notifier.storage.connection import connect
from notifier.storage.digests import Digests
from notifier.storage.endpoints import Endpoints
from notifier.storage.ledger import Ledger, Record
from notifier.storage.parked import ParkedFilter, ParkedIndex
from notifier.storage.store import Store
from tests.integration.storage.making import attempt, claim, event, fail, item, registration, request, take
from tests.servers.certificates import Certificate
from tests.servers.patience import poll
from tests.servers.ports import free_port
from tests.servers.processes import start, stop_group, wait_until
from tests.servers.redis import RedisServer, find_server


def run_server(directory: Path, arguments: list[str], ready: Callable[[], bool]) -> Iterator[None]:
    log = directory / "log"
    process = start([find_server(), *arguments], log)
    try:
        wait_until(ready, process, log)
        yield
    finally:
        stop_group(process, signal.SIGKILL)


def answers(port: int) -> bool:
    with redis.Redis(port=port) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def is_whole(port: int) -> bool:
    """Give the node all slots, and see whether it has noticed; it takes its time after a start."""
    with redis.Redis(port=port) as client:
        try:
            if not client.cluster("slots"):
                client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            return bool(client.set("probe", "1"))
        except (redis.ConnectionError, redis.ResponseError):
            return False


@pytest.fixture
def cluster_node(tmp_path: Path) -> Iterator[Store]:
    """One node that owns all slots: no key is elsewhere, and a script over two slots is still refused."""
    port = free_port()
    options = {"port": str(port), "dir": str(tmp_path), "cluster-enabled": "yes", "cluster-port": str(free_port())}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    for _ in run_server(tmp_path, arguments, lambda: is_whole(port)):
        store = connect(f"cluster://127.0.0.1:{port}")
        yield store
        store.close()


def test_a_script_over_two_slots_is_refused_here(cluster_node: Store) -> None:
    # Given the Cluster the next test relies on
    with pytest.raises(redis.ResponseError, match="slot"):
        cluster_node.client.eval("return 1", 2, "ntf:d:{a}", "ntf:d:{b}")


def test_every_operation_touches_one_slot_at_a_time(cluster_node: Store) -> None:
    # Given a Cluster, which refuses scripts and commands over keys of two slots
    cipher = Cipher("k" * 32)
    # Then the whole life of a delivery runs on it
    ledger = Ledger(cluster_node)
    ledger.register([registration(people=150)])
    ledger.planned([event().key])
    ledger.register([registration(people=151)])
    wanted = request(event(), to="p0@example.org")
    identity = wanted.delivery.id
    held = claim(ledger, wanted)
    assert ledger.mark_leaving([(identity, held.fence)]) == [True]
    assert ledger.release([(identity, held.fence)]) == [True]
    held = claim(ledger, wanted)
    assert ledger.record([Record(identity, held.fence, Status.REFUSED, "no", attempt(), claimed=wanted)]) == [True]
    assert ledger.reopen([identity]) == [True]
    assert wanted.recipient_key
    assert ledger.of_recipient(wanted.recipient_key) == [identity]
    # And so do endpoints, digests and the index of failure queues
    endpoints = Endpoints(cluster_node, cipher)
    endpoints.set_state(endpoints.add("acme", "https://a.example/").id, EndpointState.DISABLED)
    digests = Digests(cluster_node, cipher)
    digests.collect([item(n, Window(after_first=1, at_most=2)) for n in range(5)], 1.0)
    for ref in take(digests, 9999.0):
        assert digests.close([ref], 9999.0, fail)
        digests.forget([ref])
    index = ParkedIndex(cluster_node)
    index.add([Parked("dlv_a", "failed-email", Cause.REFUSED, "no", 1.0)])
    index.add([Parked("dlv_a", "failed-webhook", Cause.POISON, "no", 1.0)])
    assert index.count(ParkedFilter()) == 1
    index.clear("failed-webhook")
    assert digests.count() == 0


def test_a_cluster_is_spoken_to_by_tls(tmp_path: Path, certificate: Certificate) -> None:
    # Given a node that others reach by TLS alone
    port = free_port()
    options = {
        "cluster-enabled": "yes",
        "cluster-port": str(free_port()),
        "tls-cluster": "yes",
        "tls-port": str(port),
        "tls-cert-file": str(certificate.certificate),
        "tls-key-file": str(certificate.key),
        "tls-ca-cert-file": str(certificate.certificate),
        "tls-auth-clients": "no",
    }
    (tmp_path / "node").mkdir()
    node = RedisServer(tmp_path / "node", options)
    try:
        poll(lambda: is_whole(node.port), "it has all slots")

        # Then a clusters:// URL with its certificate finds it, and the port that it tells
        store = connect(f"clusters://localhost:{port}", ca_file=certificate.certificate)
        Ledger(store).heartbeat("worker-1", 5)
        assert Ledger(store).dead(["worker-1", "worker-2"]) == {"worker-2"}
        store.close()

        # And one who does not know the certificate is told so
        stranger = connect(f"clusters://localhost:{port}")
        with pytest.raises(StorageUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            Ledger(stranger).heartbeat("worker-1", 5)
        stranger.close()
    finally:
        node.close()


@pytest.fixture
def sentinel(tmp_path: Path, redis_server: RedisServer) -> Iterator[int]:
    """A Sentinel that knows the test's server as `orders`."""
    port = free_port()
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(f"port {port}\nsentinel monitor orders 127.0.0.1 {redis_server.port} 1\n")
    for _ in run_server(tmp_path, [str(configuration), "--sentinel"], lambda: answers(port)):
        yield port


def test_the_server_is_found_through_sentinel(sentinel: int, redis_url: str) -> None:
    # Given a URL that names two Sentinels, the first of which is away, and the service
    store = connect(f"sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel}/orders/0")
    # When a delivery is claimed through it
    held = claim(Ledger(store), request())
    # Then the server itself has the claim
    direct = connect(redis_url)
    assert Ledger(direct).mark_leaving([(request().delivery.id, held.fence)]) == [True]
    direct.close()
    store.close()


def test_a_service_no_sentinel_knows_is_unavailable(sentinel: int) -> None:
    store = connect(f"sentinel://127.0.0.1:{sentinel}/unknown/0")
    with pytest.raises(StorageUnavailable, match="Redis cannot be reached: No master found for 'unknown'"):
        Ledger(store).heartbeat("worker-1", 5)
    store.close()
