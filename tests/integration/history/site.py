"""Redis, PostgreSQL and what moves from one to the other, with a clock that stands still."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from notifier.domain.delivery import Status
from notifier.history.database import Database
from notifier.history.lookup import Lookup
from notifier.history.mover import Mover
from notifier.history.reader import HistoryReader
from notifier.history.tables import open_session
from notifier.storage.cipher import Cipher
from notifier.storage.feed import Feed
from notifier.storage.forgetting import Traces
from notifier.storage.ledger import ClaimRequest, Ledger, Record, Retention
from notifier.storage.store import Store
from tests.integration.storage.making import Clock, attempt, claim, event, registration, request
from tests.servers.postgresql import USER, PostgresServer

DAY = 86400.0
RETENTION = Retention(history_most=100_000)


@dataclass
class Site:
    """Everything that takes part."""

    store: Store
    server: PostgresServer
    database: str

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.opened: list[Database] = []
        self.ledger = Ledger(self.store, RETENTION, self.clock)
        self.feed = Feed(self.store)
        self.reader = HistoryReader(Database(self.server.url(self.database, USER), seconds=30))
        self.lookup = Lookup(self.ledger, self.reader)
        self.traces = Traces(self.store, Cipher("k" * 32), self.clock, RETENTION)

    def mover(self, keep: float = 365 * DAY, **parts: Any) -> Mover:
        database = Database(self.server.url(self.database, USER), seconds=30, opened=open_session)
        self.opened.append(database)
        return Mover(
            parts.get("feed", self.feed),
            parts.get("ledger", self.ledger),
            database,
            keep=keep,
            settled=0,
            clock=self.clock,
        )

    def end(self, wanted: ClaimRequest, status: Status = Status.SENT, reason: str = "") -> str:
        """One try, and its end; the delivery's id."""
        held = claim(self.ledger, wanted)
        tried = attempt(held.number, *(() if status is Status.SENT else ("smtp_550", "refused")))
        ended = Record(wanted.delivery.id, held.fence, status, reason, tried, template="t1", claimed=wanted)
        assert self.ledger.record([ended], self.clock.now) == [True]
        return wanted.delivery.id

    def send(self, number: int = 1, to: str = "jane@example.org", queued: float | None = None) -> str:
        """An event with a delivery that is sent; the delivery's id."""
        wanted = request(event(number), to=to, queued=self.clock.now - 1 if queued is None else queued)
        self.ledger.register([registration(number, people=0)])
        self.ledger.planned([event(number).key])
        return self.end(wanted)

    def lose(self) -> None:
        """Redis forgets everything."""
        for client in self.store.clients():
            client.flushall()

    def rows(self, columns: str = "id", table: str = "deliveries") -> list[tuple[Any, ...]]:
        """What the history holds."""
        with self.server.connected(self.database) as connection:
            return connection.execute(f"SELECT {columns} FROM notifier.{table} ORDER BY 1").fetchall()

    def close(self) -> None:
        self.reader.close()
        for database in self.opened:
            database.close()
