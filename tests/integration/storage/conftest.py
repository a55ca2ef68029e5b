"""A store on an empty Redis, on an empty Cluster too, and a clock that stands still."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from notifier.storage.connection import connect
from notifier.storage.ledger import Ledger
from notifier.storage.store import Store
from tests.integration.storage.making import Clock
from tests.servers.redis_cluster import RedisCluster

#: Tests are run on both unless they ask for the one server themselves (`redis_server`): those that write or look at
#: single keys of records, count round trips (a shelf that knows no words yet asks for them first), or break the server.
SERVER, CLUSTER = "server", "cluster"


class ClusterStore(Store):
    """On a Cluster, with a client that looks at keys wherever they are, as tests do on one server."""

    def __init__(self, cluster: RedisCluster) -> None:
        super().__init__(connect(cluster.url)._exchanger)
        self._whole: Any = redis.RedisCluster.from_url(cluster.address, decode_responses=True)

    @property
    def client(self) -> Any:
        return self._whole

    def close(self) -> None:
        self._whole.close()
        super().close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Both kinds of servers, for whoever wants a store or an address."""
    if "kind_of_redis" in metafunc.fixturenames:
        kinds = [SERVER] if "redis_server" in metafunc.fixturenames else [SERVER, CLUSTER]
        metafunc.parametrize("kind_of_redis", kinds, indirect=True)


@pytest.fixture
def kind_of_redis(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def redis_url(kind_of_redis: str, request: pytest.FixtureRequest) -> str:
    server = request.getfixturevalue(f"redis_{kind_of_redis}")
    server.flush()
    return str(server.url)


@pytest.fixture
def store(kind_of_redis: str, redis_url: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    is_cluster = kind_of_redis == CLUSTER
    made = ClusterStore(request.getfixturevalue("redis_cluster")) if is_cluster else connect(redis_url)
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(store: Store, clock: Clock) -> Ledger:
    return Ledger(store, clock=clock)
