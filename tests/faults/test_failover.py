"""Another server becomes the primary while we read and write: planned, after a kill, and with the old one back."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from notifier.errors import StorageUnavailable
from notifier.storage.commands import Operation, command
from notifier.storage.connection import connect, connect_async
from tests.servers.patience import PATIENCE_S
from tests.servers.sentinel import ReplicatedRedis


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[ReplicatedRedis]:
    servers = ReplicatedRedis(tmp_path / "replicated")
    yield servers
    servers.close()


def put(key: str, value: str) -> Operation[bool]:
    (answer,) = yield [command("SET", key, value)]
    return bool(answer)


class Writer:
    """A thread that writes one key after the other and remembers which were confirmed, as a worker's recorder does."""

    def __init__(self, url: str) -> None:
        self.confirmed: list[str] = []
        self._store = connect(url)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    @property
    def readiness(self) -> str | None:
        return self._store.reachable()

    def wait_for_more(self) -> None:
        """Until it has written again."""
        before = len(self.confirmed)
        until(lambda: len(self.confirmed) > before + 10)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._store.close()

    def _write(self) -> None:
        number = 0
        while not self._stopping.is_set():
            try:
                self._store.run(put(f"key:{number}", "x"))
            except StorageUnavailable:
                self._stopping.wait(0.02)
                continue
            self.confirmed.append(f"key:{number}")
            number += 1


@pytest.fixture
def writer(replicated: ReplicatedRedis) -> Iterator[Writer]:
    running = Writer(replicated.url)
    running.wait_for_more()
    yield running
    running.stop()


def until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not seen():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_after_a_planned_failover_all_goes_to_the_new_primary(replicated: ReplicatedRedis, writer: Writer) -> None:
    # Given a primary that is written to
    before = replicated.primary

    # When Sentinel makes its replica the primary; the old one, which still takes writes, hears of it ten seconds later
    replicated.fail_over()
    until(lambda: replicated.primary != before)
    after = replicated.primary

    # Then the new one soon has what is confirmed, and still does when the old one has become its replica
    until(lambda: replicated.value(after, writer.confirmed[-1]) == "x")
    arrived = writer.confirmed[-1]
    until(replicated.is_settled)
    writer.wait_for_more()
    assert [replicated.value(replicated.primary, key) for key in (arrived, writer.confirmed[-1])] == ["x", "x"]
    assert writer.readiness is None


@pytest.mark.parametrize("comes_back", [False, True])
def test_after_a_killed_primary_all_goes_to_the_new_one_also_when_the_old_one_is_back(
    replicated: ReplicatedRedis, writer: Writer, comes_back: bool
) -> None:
    # Given a primary that is killed
    before = replicated.primary
    replicated.kill(before)
    until(lambda: replicated.primary != before)

    # When it comes back, for a moment as the primary that it was, or does not
    if comes_back:
        replicated.start(before)
        until(replicated.is_settled)
    writer.wait_for_more()

    # Then the new one has what is confirmed from now on, and we are ready
    assert replicated.value(replicated.primary, writer.confirmed[-1]) == "x"
    assert writer.readiness is None


def test_a_server_that_cannot_be_written_to_is_not_ready(replicated: ReplicatedRedis) -> None:
    # Given a URL that names the replica itself
    primary = replicated.primary
    (replica,) = [port for port in replicated._processes if port not in (primary, replicated._sentinel)]
    store = connect(f"redis://127.0.0.1:{replica}/0")

    assert "read-only replica" in (store.reachable() or "")
    store.close()


def test_on_asyncio_a_demoted_primary_is_left_as_well(replicated: ReplicatedRedis) -> None:
    async def run() -> None:
        store = connect_async(replicated.url)
        await store.run(put("before", "x"))
        before = replicated.primary
        replicated.fail_over()
        until(lambda: replicated.primary != before)
        until(replicated.is_settled)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                await store.run(put("after", "x"))
                break
            except StorageUnavailable:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
        assert replicated.value(replicated.primary, "after") == "x"
        await store.close()

    asyncio.run(run())
