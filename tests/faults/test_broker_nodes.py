"""Three RabbitMQ nodes given as a list of addresses: the one that leads, and that all use, is killed; another freezes.

How long everybody stood still is said by ``make matrix ARGS='brokers nodes'``.
"""

import pytest

from tests.acceptance.place import place
from tests.conftest import _start
from tests.faults.nodes import FOLDERS, fail_nodes
from tests.servers.rabbitmq_cluster import RabbitCluster
from tests.servers.redis import RedisServer


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_leading_node_that_is_killed_and_one_that_freezes_lose_nothing_and_stop_nobody(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Given three nodes that all roles, a client and a caller of the API use by their list of addresses
    cluster = _start(RabbitCluster, tmp_path_factory.mktemp("cluster"))
    try:
        with place(cluster, redis_server, tmp_path_factory.mktemp("nodes"), FOLDERS) as at:
            # When the first is killed and comes back, and then the one that leads freezes; each time everybody goes on,
            # and every role says again that it is ready
            outcome = fail_nodes(cluster, at)
    finally:
        cluster.close()

    # Then all that was confirmed has been sent, once, and no password is in any log
    assert (outcome.lost, outcome.twice) == (0, 0), outcome.silence
    assert "guest:guest" not in outcome.told
