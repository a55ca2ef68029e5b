"""What tests of the engine's SMTP share: a running engine, and relays that end with their test."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from notifier.engine.bridge import Engine
from notifier.engine.relays import SmtpRelays, checked
from notifier.engine.transaction import Transaction
from tests.servers.patience import PATIENCE_S
from tests.servers.smtp import SmtpSink

CONTENT = b"Subject: hello\r\n\r\nhello\r\n"


class Clock:
    """Time that only moves when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Post:
    """Relays, and the engine they run in."""

    def __init__(self, engine: Engine, relays: SmtpRelays) -> None:
        self.engine = engine
        self.relays = relays

    def send(
        self,
        recipient: str = "r@example.org",
        content: bytes = CONTENT,
        sender: str = "s@example.org",
        **options: Any,
    ) -> Transaction:
        """One mail."""
        return self.engine.run(partial(self.relays.deliver, sender, recipient, content, **options), timeout=PATIENCE_S)

    def send_many(self, count: int) -> list[Transaction]:
        """Mails to ``r0``, ``r1``, … at once."""

        async def all_at_once() -> list[Transaction]:
            one = partial(self.relays.deliver, "s@example.org", content=CONTENT)
            return await asyncio.gather(*(one(f"r{number}@example.org") for number in range(count)))

        return self.engine.run(all_at_once, timeout=PATIENCE_S)

    def send_together(self, count: int, senders: Sequence[str] = ("s@example.org",)) -> list[Transaction]:
        """Mails to ``r0``, ``r1``, … as one batch, of these senders in turn."""
        ended: dict[int, Transaction] = {}

        def told(place: int, transaction: Transaction, _: float) -> None:
            assert place not in ended
            ended[place] = transaction

        mails = [checked(senders[number % len(senders)], f"r{number}@example.org", CONTENT) for number in range(count)]
        self.engine.run(partial(self.relays.deliver_all, mails, told), timeout=PATIENCE_S)
        return [ended[place] for place in range(count)]


Posting = Callable[..., Post]


def plain(sink: SmtpSink) -> str:
    """The sink's address for a relay without TLS."""
    return f"smtp+plain://127.0.0.1:{sink.port}"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    engine = Engine()
    engine.start()
    yield engine
    engine.stop(grace=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def posting(engine: Engine, clock: Clock) -> Iterator[Posting]:
    """Makes `Post`s: `posting(url, …, timeout=…)`; one connection, much time, unless the test says otherwise."""
    made: list[Post] = []

    def make(*urls: str, **options: Any) -> Post:
        settings = {"hostname": "worker.test", "connections": 1, "timeout": PATIENCE_S, "clock": clock, **options}
        made.append(Post(engine, SmtpRelays(urls, **settings)))
        return made[-1]

    yield make
    for post in made:
        engine.run(post.relays.close, timeout=PATIENCE_S)


@pytest.fixture
def post(posting: Posting, smtp_sink: SmtpSink) -> Post:
    """One plain relay that behaves, for as long as the test lets it."""
    return posting(plain(smtp_sink))
