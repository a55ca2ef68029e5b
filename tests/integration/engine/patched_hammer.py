"""A process that gevent has patched, as the worker's is; `test_bridge_under_gevent.py` runs it for a scenario."""

from gevent import monkey

monkey.patch_all()

import asyncio  # noqa: E402
import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402
from gevent.monkey import get_original  # noqa: E402
from gevent.threadpool import ThreadPool  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[3]))

from notifier.engine.bridge import Engine  # noqa: E402
from notifier.engine.commands import output_of  # noqa: E402
from notifier.engine.relays import SmtpRelays  # noqa: E402
from notifier.errors import DeadlineExceeded, EngineStopped  # noqa: E402


def hammer(engine: Engine) -> None:
    """10,000 short coroutines of 100 greenlets while the interpreter changes threads all the time."""
    sys.setswitchinterval(1e-6)

    async def add(left: int, right: int) -> int:
        if left % 3 == 0:
            await asyncio.sleep(0)
        return left + right

    def work(number: int) -> None:
        for turn in range(100):
            assert engine.run(lambda: add(number, turn), 60) == number + turn  # noqa: B023

    gevent.joinall([gevent.spawn(work, number) for number in range(100)], raise_error=True)


def names(engine: Engine) -> None:
    """Host names resolve in the loop, in libuv's own threads."""

    async def resolve() -> list[object]:
        loop = asyncio.get_running_loop()
        found = await asyncio.gather(*(loop.getaddrinfo("localhost", 25) for _ in range(50)))
        return list(found)

    assert len(engine.run(resolve, 30)) == 50


def neighbours(engine: Engine) -> None:
    """Other greenlets run while one waits for the loop."""
    opened = asyncio.Event()

    async def pass_the_door() -> str:
        await opened.wait()
        return "passed"

    async def open_the_door() -> None:
        opened.set()

    waiting = gevent.spawn(engine.run, pass_the_door, 30)
    gevent.sleep(0)
    engine.run(open_the_door, 30)
    assert waiting.get(timeout=30) == "passed"


def deadline(engine: Engine) -> None:
    """A greenlet that gives up, or is killed, leaves nothing running behind its back."""
    begun, ended = [], []

    async def endless() -> None:
        begun.append(True)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    try:
        engine.run(endless, 0.01)
    except DeadlineExceeded:
        assert ended == [True]
    killed = gevent.spawn(engine.run, endless, 60)
    while len(begun) < 2:
        gevent.sleep(0)
    killed.kill()
    assert ended == [True, True]


def stopping(engine: Engine) -> None:
    """Stopping ends what is left, and every waiting greenlet hears of it."""
    heard = []

    async def endless() -> None:
        await asyncio.Event().wait()

    def wait() -> None:
        try:
            engine.run(endless, 60)
        except EngineStopped:
            heard.append(True)

    waiting = [gevent.spawn(wait) for _ in range(10)]
    gevent.sleep(0)
    engine.stop(grace=0)
    gevent.joinall(waiting, timeout=30)
    assert len(heard) == 10
    assert not engine.alive


def commands(engine: Engine) -> None:
    """What commands print, beside children of gevent's own; neither waits for the other."""

    def ours(number: int) -> None:
        assert engine.run(lambda: output_of(["echo", str(number)], os.environ, 20), 30) == f"{number}\n".encode()

    def geventlets() -> None:
        ended = subprocess.run(["sh", "-c", "echo theirs; exit 3"], capture_output=True, timeout=30, check=False)
        assert (ended.stdout, ended.returncode) == (b"theirs\n", 3)

    for _ in range(5):
        running = [gevent.spawn(ours, number) for number in range(5)] + [gevent.spawn(geventlets) for _ in range(3)]
        gevent.joinall(running, timeout=60, raise_error=True)
        assert all(greenlet.successful() for greenlet in running)


def descriptors(engine: Engine) -> None:
    """Commands close their own descriptors, and none that a thread has opened since: RabbitMQ's socket, say."""
    sys.setswitchinterval(1e-6)
    close, pool, working = get_original("os", "close"), ThreadPool(2), [True]

    def open_and_close() -> None:
        while working:
            for descriptor in os.pipe():
                close(descriptor)

    threads = [pool.spawn(open_and_close) for _ in range(2)]
    for _ in range(300):
        assert engine.run(lambda: output_of(["true"], os.environ, 20), 30) == b""
    working.clear()
    gevent.joinall(threads, timeout=60, raise_error=True)


def mail(engine: Engine, url: str, ca_file: str, count: str) -> None:
    """Mails from greenlets through STARTTLS and a login, by the name of the host."""
    relays = SmtpRelays([url], hostname="worker.test", connections=4, timeout=20, ca_file=Path(ca_file))
    content = b"Subject: hello\r\n\r\nhello\r\n"

    def send(number: int) -> str:
        ended = engine.run(lambda: relays.deliver("a@b.test", f"r{number}@c.test", content), 60)
        return type(ended).__name__

    sending = [gevent.spawn(send, number) for number in range(int(count))]
    gevent.joinall(sending, raise_error=True)
    assert {greenlet.value for greenlet in sending} == {"Accepted"}, [greenlet.value for greenlet in sending]
    engine.run(relays.close, 5)


if __name__ == "__main__":
    running = Engine()
    running.start()
    globals()[sys.argv[1]](running, *sys.argv[2:])
    running.stop(grace=1)
    print("passed")
