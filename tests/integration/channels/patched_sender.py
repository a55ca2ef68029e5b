"""Run as a program: what a gevent worker does with webhooks, in a process where everything is monkey-patched.

Arguments: a number, a CA file and URLs. Sends that many webhooks to each URL from greenlets and prints one JSON object.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402 - patching comes first, as in a worker
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402

from notifier.channels.webhook.guard import AddressGuard, read_networks  # noqa: E402
from notifier.channels.webhook.request import opening  # noqa: E402
from notifier.channels.webhook.transport import WebhookTransport  # noqa: E402
from notifier.engine.bridge import Engine  # noqa: E402


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def main(count: int, ca_file: Path, urls: list[str]) -> None:
    """Send, and count what came back and which files stayed open."""
    engine = Engine()
    engine.start()
    guard = AddressGuard(read_networks("127.0.0.1 ::1"), http=True)
    transport = WebhookTransport(guard, timeout=20.0, ca_file=ca_file)
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            gevent.sleep(0.001)

    def send(url: str) -> str:
        target = guard.check_url(url)
        head = opening(target, (), "text/plain") + b"content-length: 5\r\n\r\n"
        answer = engine.run(lambda: transport.post(target, head, b"hello"), 30.0)
        return f"{type(answer).__name__} {getattr(answer, 'status', getattr(answer, 'code', ''))}"

    send(urls[0])
    before = _open_files()
    ticker = gevent.spawn(tick)
    results = {url: [greenlet.get() for greenlet in [gevent.spawn(send, url) for _ in range(count)]] for url in urls}
    ticker.kill()
    engine.run(transport.close, 5.0)
    after = _open_files()
    threads = len(list(Path("/proc/self/task").iterdir()))
    engine.stop(grace=1.0)
    counts = {url: {answer: answers.count(answer) for answer in set(answers)} for url, answers in results.items()}
    sys.stdout.write(json.dumps({"answers": counts, "left_open": after - before, "ticks": ticks, "threads": threads}))


main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
