"""Signs of life come from the engine's loop, beside a hub that stands still: in processes patched as a worker is."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from notifier.storage import keys
from notifier.storage.connection import connect_async
from notifier.worker.celery_side.signs_of_life import EVERY_S, HUB_SILENCE_S, TTL_S, SignsOfLife
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.redis import RedisServer

WORKER = """
from gevent import monkey; monkey.patch_all()
import gevent, sys
from notifier.engine.bridge import Engine
from notifier.storage.connection import connect_async
from notifier.worker.celery_side.signs_of_life import SignsOfLife

url, ttl, silence = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
stand_still = monkey.get_original("os", "read")
select = monkey.get_original("select", "select")
engine = Engine()
engine.start()
signs = SignsOfLife(connect_async(url, connections=1), "w1", every=0.02, ttl=ttl, hub_silence=silence)
engine.run(signs.begin, timeout=10)
print("begun", flush=True)
stand_still(0, 1)
while not select([0], [], [], 0)[0]:
    signs.hub_turns()
    gevent.sleep(0.02)
engine.run(signs.end, timeout=10)
engine.stop(grace=1)
print("ended", flush=True)
"""


@contextmanager
def worker(url: str, *, ttl: float = 30, hub_silence: float = 60) -> Iterator[subprocess.Popen[str]]:
    """Its hub stands still until it reads a byte; at the second byte it ends."""
    command = [sys.executable, "-W", "error", "-c", WORKER, url, str(ttl), str(hub_silence)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write(".")
    process.stdin.flush()


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def left(url: str) -> int:
    """Milliseconds until the worker is taken for dead; negative when it is."""
    with redis.Redis.from_url(url) as client:
        return int(client.pttl(keys.alive("w1")))  # type: ignore[arg-type]


def soon(url: str, milliseconds: int) -> None:
    """Let its sign of life lapse in so many milliseconds, unless another one comes."""
    with redis.Redis.from_url(url) as client:
        client.pexpire(keys.alive("w1"), milliseconds)


def test_a_worker_whose_hub_stands_still_is_not_taken_for_dead(redis_url: str) -> None:
    # Given a worker whose hub stands still
    with worker(redis_url) as process:
        assert says(process) == "begun"
        # When its sign of life is about to lapse
        soon(redis_url, 2_000)
        # Then another one comes all the same
        poll(lambda: left(redis_url) > 2_000, "the key was renewed beside the hub")
        # And when the worker ends, so do its signs
        go_on(process)
        go_on(process)
        assert says(process) == "ended"
        soon(redis_url, 0)
    assert left(redis_url) < 0


def test_a_worker_whose_hub_never_turns_is_taken_for_dead_until_it_does(redis_url: str) -> None:
    # Given a worker whose hub stands still for longer than any work takes
    with worker(redis_url, ttl=0.2, hub_silence=0.5) as process:
        assert says(process) == "begun"
        # Then its signs end, and others may take over what it holds
        poll(lambda: left(redis_url) < 0, "the key has lapsed")
        # And when the hub turns again, it lives again
        go_on(process)
        poll(lambda: left(redis_url) > 0, "the key is back")


def test_an_outage_of_redis_ends_no_signs_of_life(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    # Given a worker, and a Redis that was away and has come back without its data
    with worker(server.url) as process:
        assert says(process) == "begun"
        server.restart()
        soon(server.url, 0)
        # Then the worker says again that it lives
        poll(lambda: left(server.url) > 0, "the key is back")
    server.close()


def test_two_lost_signs_are_no_death_and_a_busy_hub_is_not_a_stuck_one() -> None:
    assert 3 * EVERY_S < TTL_S < HUB_SILENCE_S


def test_signs_that_are_given_without_a_pause_end_when_they_shall(redis_url: str) -> None:
    # Given signs that are always under way, so that a cancellation always meets one
    async def begun_and_ended() -> None:
        signs = SignsOfLife(connect_async(redis_url, connections=1), "w1", every=0)
        await signs.begin()
        await asyncio.sleep(0.005)
        # When they are ended, then they end: in Python 3.11 nine cancellations of ten got lost
        await asyncio.wait_for(signs.end(), PATIENCE_S)

    async def many_times() -> None:
        for _ in range(20):
            await begun_and_ended()

    asyncio.run(many_times())
