"""``python -m tests.bench.yardsticks``: what this machine takes for the steps no code of ours can make shorter.

An idle system sleeps between two events, and on a virtual machine waking a sleeping process takes longer than what it
is woken for. So every step is measured twice: again and again without a pause, and one every 50 ms like the pings of
the latency scenarios. What is in the second column an idle delivery pays, whoever wrote the service.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pika
import redis

from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

COUNT, PAUSE_S = 200, 0.05
_QUEUE = "yardstick"


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory(prefix="notifier-yardsticks-") as directory:
        steps: list[tuple[str, Callable[[], float]]] = []
        with _redis(Path(directory) / "redis") as ping, _queue(Path(directory) / "rabbitmq") as through:
            steps += [("PING to Redis and back", ping), ("one message through a durable quorum queue", through)]
            steps += [("handing over to another thread and back", _hand_over())]
            print("| step | at once after the last, ms | after 50 ms of sleep, ms: p50 (p90) |\n| --- | --- | --- |")
            for name, step in steps:
                busy, idle = _taken(step, 0.0), _taken(step, PAUSE_S)
                tenth = idle[len(idle) * 9 // 10]
                print(f"| {name} | {statistics.median(busy):.2f} | {statistics.median(idle):.2f} ({tenth:.2f}) |")


def _taken(step: Callable[[], float], pause: float) -> list[float]:
    """Milliseconds of each run, the shortest first."""
    taken = []
    for _ in range(COUNT):
        if pause:
            time.sleep(pause)
        taken.append(step() * 1000)
    return sorted(taken)


def _timed(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


@contextmanager
def _redis(folder: Path) -> Iterator[Callable[[], float]]:
    folder.mkdir()
    server = RedisServer(folder)
    try:
        with redis.Redis.from_url(server.url) as client:
            yield lambda: _timed(client.ping)
    finally:
        server.close()


@contextmanager
def _queue(folder: Path) -> Iterator[Callable[[], float]]:
    """Seconds from a publish to its arrival at a consumer in another thread, on another connection."""
    folder.mkdir()
    server = RabbitMQ(folder)
    arrived = threading.Semaphore(0)
    try:
        url = server.new_vhost()
        reading = pika.BlockingConnection(pika.URLParameters(url))
        channel = reading.channel()
        channel.queue_declare(_QUEUE, durable=True, arguments={"x-queue-type": "quorum"})

        def take(_: object, method: pika.spec.Basic.Deliver, *__: object) -> None:
            arrived.release()
            channel.basic_ack(method.delivery_tag)

        channel.basic_consume(_QUEUE, take)
        thread = threading.Thread(target=channel.start_consuming)
        thread.start()
        with pika.BlockingConnection(pika.URLParameters(url)) as writing:
            publishing = writing.channel()

            def cross() -> None:
                publishing.basic_publish("", _QUEUE, b"x", pika.BasicProperties(delivery_mode=2))
                arrived.acquire()

            yield lambda: _timed(cross)
        reading.add_callback_threadsafe(channel.stop_consuming)
        thread.join()
        reading.close()
    finally:
        server.close()


def _hand_over() -> Callable[[], float]:
    asked, answered = threading.Semaphore(0), threading.Semaphore(0)

    def answer() -> None:
        while True:
            asked.acquire()
            answered.release()

    threading.Thread(target=answer, daemon=True).start()

    def ask() -> None:
        asked.release()
        answered.acquire()

    return lambda: _timed(ask)


if __name__ == "__main__":
    main()
