"""A Redis Cluster that changes while it is written to: slots that move, failovers, a killed and a frozen primary."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notifier.errors import StorageUnavailable
from notifier.storage.commands import Call, Operation, command
from notifier.storage.connection import connect
from notifier.storage.store import Store
from tests.acceptance import shop
from tests.acceptance.service import Service, is_ready
from tests.faults.missing import missing_mails, saying_what_is_known
from tests.faults.test_failover_of_all import TOGETHER, Load, arrivals, unknown
from tests.servers import redis_cluster
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis_cluster import RedisCluster
from tests.servers.smtp import SmtpSink

#: Milliseconds of silence after which a node is taken for dead; a busy machine is silent for a while too.
NODE_TIMEOUT_MS = 3000
KEYS = [f"key:{number}" for number in range(30)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    servers = RedisCluster(tmp_path / "nodes", node_timeout_ms=NODE_TIMEOUT_MS)
    yield servers
    servers.close()


def write(value: int) -> Operation[list[bool]]:
    return (yield [command("SET", key, value) for key in KEYS])


def read() -> Operation[list[str]]:
    return (yield [command("GET", key) for key in KEYS])


def test_slots_that_move_and_a_planned_failover_are_not_noticed(cluster: RedisCluster) -> None:
    # Given a store that knows where the keys are
    store = connect(cluster.url)
    store.run(write(1))

    # When a key moves to another primary, and then that one's replica takes over
    new = next(node for node in cluster.primaries() if node is not cluster.serving(KEYS[0]))
    cluster.move_slot(KEYS[0], new)
    assert store.run(read()) == ["1"] * len(KEYS)
    replica = cluster.replica_of(new)
    cluster.fail_over(new)
    poll(lambda: replica in cluster.primaries(), "the replica is the primary")

    # Then what is written then is there
    assert all(store.run(write(2)))
    assert store.run(read()) == ["2"] * len(KEYS)
    store.close()


def test_a_slot_that_is_moving_is_read_and_written_key_by_key(cluster: RedisCluster) -> None:
    # Given keys of one slot, half of which have moved
    names = [f"{{moving}}:{number}" for number in range(4)]
    store = connect(cluster.url)
    store.run(_each([command("SET", name, "1") for name in names]))
    new = next(node for node in cluster.primaries() if node is not cluster.serving(names[0]))

    with cluster.moving_slot(names[0], new, *names[:2]):
        # Then each is found where it is, and one that is new goes where the slot goes (ASK)
        assert store.run(_each([command("GET", name) for name in names])) == ["1"] * 4
        store.run(_each([command("SET", "{moving}:new", "2"), command("SET", names[1], "2")]))
        assert store.run(_each([command("GET", "{moving}:new"), command("GET", names[1])])) == ["2", "2"]
        # And what asks for keys on both sides is told that Redis is away (TRYAGAIN)
        with pytest.raises(StorageUnavailable):
            store.run(_each([command("MGET", *names)]))

    # And when all have moved, it is answered
    assert store.run(_each([command("MGET", *names)])) == [["1", "2", "1", "1"]]
    store.close()


def test_a_frozen_primary_is_left_when_its_replica_takes_over(cluster: RedisCluster) -> None:
    # Given a primary that keeps its connections and answers nothing
    store = connect(cluster.url)
    store.run(write(1))
    frozen = cluster.serving(KEYS[0])
    replica = cluster.replica_of(frozen)
    frozen.pause()
    try:
        # Then who asks for one of its keys is told that Redis is away, until its replica has taken over
        poll(lambda: _is_written(store, 2), "the replica is written to")
        assert store.run(read()) == ["2"] * len(KEYS)
    finally:
        frozen.resume()

    # And when it wakes up, it follows
    poll(
        lambda: redis_cluster.role(frozen) == "slave" and redis_cluster.role(replica) == "master",
        "the frozen one is a replica",
    )
    assert store.run(read()) == ["2"] * len(KEYS)
    store.close()


def _each(calls: list[Call]) -> Operation[list[Any]]:
    return (yield calls)


def _is_written(store: Store, value: int) -> bool:
    try:
        return all(store.run(write(value)))
    except StorageUnavailable:
        return False


def test_a_primary_killed_under_the_whole_service_loses_no_mail(
    service: Service, broker_url: str, rabbitmq: RabbitMQ, smtp_sink: SmtpSink, cluster: RedisCluster
) -> None:
    # Given every role at work on a Cluster
    service.environment["NOTIFIER_REDIS_URL"] = cluster.url
    api = service.api()
    roles = [api, service.consumer(), service.worker("-n", "one@%h"), service.worker("-n", "two@%h"), service.beat()]
    load = Load(broker_url, api)
    try:
        smtp_sink.wait_for(10 * TOGETHER)

        # When a primary is killed, and its replica takes over
        killed = cluster.primaries()[0]
        replica = cluster.replica_of(killed)
        begun = time.time()
        killed.kill()
        poll(lambda: replica in cluster.primaries(), "the replica is the primary")
        settled = time.time()
        smtp_sink.wait_for(len(smtp_sink.mails) + 10 * TOGETHER)
    finally:
        load.stop()

    # Then every mail arrives, and every role can work
    wanted = shop.expected(load.published, [])
    with saying_what_is_known(service, rabbitmq, broker_url, lambda: missing_mails(wanted, smtp_sink)):
        poll(lambda: not missing_mails(wanted, smtp_sink), "every mail arrived")
    for role in roles:
        poll(lambda role=role: is_ready(role.health_port), f"{role.role} is ready")
    poll(lambda: not any(rabbitmq.queue_depths(broker_url).values()), "all queues empty")
    # And the ledger knows them, but for what the killed one had not yet given to its replica
    forgotten, arrived = unknown(cluster.url, wanted.mails), arrivals(smtp_sink)
    print(f"{len(wanted.mails)} mails, {len(forgotten)} not in the ledger, replaced after {settled - begun:.1f} s")
    assert [one for one in forgotten if not begun - 2 < arrived[one] < settled + 1] == []
