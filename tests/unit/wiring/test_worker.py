"""Whether a worker can deliver."""

from types import SimpleNamespace
from typing import Any

import pytest

from notifier.wiring.worker import WorkerChecks


@pytest.mark.parametrize(
    ("connection", "alive", "redis", "missing"),
    [
        (object(), True, None, []),
        (None, True, None, ["broker"]),
        (object(), False, None, ["engine"]),
        (object(), True, "away", ["redis"]),
    ],
)
def test_a_worker_is_ready_with_both_servers_and_an_engine_that_turns(
    connection: Any, alive: bool, redis: str | None, missing: list[str]
) -> None:
    store: Any = SimpleNamespace(reachable=lambda: redis)
    engine: Any = SimpleNamespace(alive=alive)
    checks = WorkerChecks(store, engine)
    assert checks.ready()["broker"] == "not connected to the broker"

    checks.connected(SimpleNamespace(connection=connection))

    assert [name for name, why in checks.ready().items() if why] == missing
    assert (checks.alive() is None) is alive
