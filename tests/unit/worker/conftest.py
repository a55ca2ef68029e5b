"""A Redis of its own for each test, with what a worker keeps there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.storage.connection import connect
from tests.unit.worker.doubles import World


@pytest.fixture
def world(redis_url: str, tmp_path: Path) -> Iterator[World]:
    store = connect(redis_url)
    yield World(store, tmp_path)
    store.close()
