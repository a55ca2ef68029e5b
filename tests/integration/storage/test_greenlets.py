"""Many greenlets over few connections: the worker's way of using a store."""

import subprocess
import sys

from tests.servers.patience import PATIENCE_S

SCRIPT = """
from gevent import monkey; monkey.patch_all()
import sys, gevent
from notifier.storage.connection import connect
from notifier.storage.ledger import Ledger
from tests.integration.storage.making import event, request
store = connect(sys.argv[1], connections=3)
ledger = Ledger(store)
owners = [f"worker-{i}" for i in range(40)]
for owner in owners:
    ledger.heartbeat(owner, 30)
requests = [request(event(i)) for i in range(10)]
work = [gevent.spawn(ledger.claim, requests, owner=owner, lease=90) for owner in owners]
gevent.joinall(work, raise_error=True)
winners = [sum(type(answer).__name__ == "Claimed" for answer in column) for column in zip(*(w.value for w in work))]
print(winners, len(store.client.connection_pool._available_connections) <= 3)
store.close()
"""


def test_forty_greenlets_share_three_connections_and_each_delivery_has_one_owner(redis_url: str) -> None:
    # Given a patched process, as a worker is
    # When forty greenlets claim the same ten deliveries
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, redis_url],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    # Then every delivery has exactly one owner, and no more connections were opened than allowed
    assert (run.stdout.strip(), run.returncode) == ("[1, 1, 1, 1, 1, 1, 1, 1, 1, 1] True", 0), run.stderr
