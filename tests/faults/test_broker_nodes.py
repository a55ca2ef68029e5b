"""Three RabbitMQ nodes given as a list of addresses: the one that leads, and that all use, is killed.

One that freezes is tried with each kind of connection by itself (`test_several_nodes` of client and worker), and all
together in ``make matrix ARGS='brokers nodes'``, which says how long everybody stood still.
"""

import pytest

from tests.acceptance.place import place
from tests.conftest import _start
from tests.faults.nodes import FOLDERS, fail_nodes
from tests.servers.rabbitmq_cluster import RabbitCluster
from tests.servers.redis import RedisServer


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_leading_node_that_is_killed_loses_nothing_and_stops_nobody(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Given three nodes that all roles, a client and a caller of the API use by their list of addresses
    cluster = _start(RabbitCluster, tmp_path_factory.mktemp("cluster"))
    try:
        with place(cluster, redis_server, tmp_path_factory.mktemp("nodes"), FOLDERS) as at:
            # When the first is killed; everybody goes on, and every role says again that it is ready
            outcome = fail_nodes(cluster, at, freezes=False)
    finally:
        cluster.close()

    # Then all that was confirmed has been sent, once, and no password is in any log
    assert (outcome.lost, outcome.twice) == (0, 0), outcome.silence
    assert "guest:guest" not in outcome.told
