"""A site on one Redis; where a test wants it, on a Cluster too."""

from collections.abc import Iterator

import pytest

from notifier.storage.connection import connect
from tests.integration.history.site import Site
from tests.servers.postgresql import PostgresServer
from tests.servers.redis_cluster import RedisCluster


@pytest.fixture
def site(redis_url: str, postgres: PostgresServer, history_database: str) -> Iterator[Site]:
    store = connect(redis_url)
    made = Site(store, postgres, history_database)
    yield made
    made.close()
    store.close()


@pytest.fixture
def cluster_site(redis_cluster: RedisCluster, postgres: PostgresServer, history_database: str) -> Iterator[Site]:
    redis_cluster.flush()
    store = connect(redis_cluster.url)
    made = Site(store, postgres, history_database)
    yield made
    made.close()
    store.close()
