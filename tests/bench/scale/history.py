"""The history: how fast it is moved into a day that holds much, what a delivery takes there, how long a look takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from notifier.domain.delivery import Attempt, Delivery, Mailbox, Status
from notifier.domain.event import Event
from notifier.domain.ids import delivery_id, event_key
from notifier.domain.rule import Channel, Rule
from notifier.history.database import Database
from notifier.history.mover import Mover
from notifier.history.reader import HistoryReader
from notifier.history.tables import open_session
from notifier.storage.claims import person_of
from notifier.storage.feed import Feed
from notifier.storage.ledger import Claimed, ClaimRequest, Ledger, Record, Registration, Retention
from notifier.storage.store import Store
from tests.bench.scale.curve import Curve
from tests.bench.scale.people import redis
from tests.bench.waiting import BenchFailed
from tests.servers.postgresql import USER, PostgresServer

_RULE = Rule("order.shipped/customer", "order.shipped", Channel.EMAIL, "order.shipped", "orders", transactional=False)
_TOGETHER, _MOVED, _LOOKS = 50, 20_000, 50


@dataclass
class _Bench:
    store: Store
    server: PostgresServer
    database: str

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.store, Retention(history_most=10_000_000))
        self.feed = Feed(self.store)

    def opened(self) -> Database:
        return Database(self.server.url(self.database, USER), seconds=60, opened=open_session)

    def mover(self) -> Mover:
        return Mover(self.feed, self.ledger, self.opened(), keep=400 * 86400.0, settled=0)

    def move(self) -> float:
        """Seconds until nothing waits."""
        mover, began = self.mover(), time.monotonic()
        while mover.move().anything:
            pass
        return time.monotonic() - began

    def fill(self, rows: int, days: int = 1) -> None:
        """So many rows of each of the last days, as the mover would have written them."""
        with self.server.connected(self.database) as connection:
            connection.execute(
                "SELECT notifier.make_day(current_date - n) FROM generate_series(0, %s) AS n", [days - 1]
            )
            connection.execute(
                "INSERT INTO notifier.deliveries SELECT current_date - d, 'dlv_' || substr(md5(n || '-' || d), 1, 26), "
                "'evt_' || substr(md5('e' || n || '-' || d), 1, 26), 'order.shipped/customer', 'email', "
                "'p…@example.org', substr(md5('p' || n), 1, 16), 'sent', '', 1, now(), now(), 'abcdef0123456789', "
                """'[{"number": 1, "started": 1800000000.123, "duration": 0.0123, "outcome": "sent", """
                """"code": "smtp_250", "reply": "250 2.0.0 Ok: queued as 4F2A", "worker": "w@host"}]' """
                "FROM generate_series(1, %s) AS n, generate_series(0, %s) AS d",
                [rows, days - 1],
            )
            connection.execute("VACUUM ANALYZE notifier.deliveries")

    def send(self, count: int) -> None:
        """Events with a mail each, sent at the first try."""
        self.ledger.heartbeat("w@host/1", 600)
        for start in range(0, count, _TOGETHER):
            self._send(
                [Event(id=f"order-{n}", source="/shop", type="order.shipped") for n in range(start, start + _TOGETHER)]
            )

    def _send(self, events: list[Event]) -> None:
        now = time.time()
        wanted = []
        for event in events:
            to = Mailbox(address=f"{event.id}@example.org")
            made = Delivery(
                id=delivery_id("/shop", event.id, _RULE.id, to.identity), event=0, rule=_RULE.id, to=to, queued=now
            )
            wanted.append(ClaimRequest(made, Channel.EMAIL, event, person_of(to)))
        self.ledger.register([Registration(w.event, ((w.delivery, _RULE),)) for w in wanted])
        self.ledger.planned([event.key for event in events])
        claims = self.ledger.claim(wanted, owner="w@host/1", lease=600)
        tried = Attempt(1, now, 0.0123, "sent", "smtp_250", "250 2.0.0 Ok: queued as 4F2A", "w@host/1")
        self.ledger.record(
            [
                Record(w.delivery.id, c.fence, Status.SENT, "", tried, template="abcdef0123456789", claimed=w)
                for w, c in zip(wanted, claims, strict=True)
                if isinstance(c, Claimed)
            ]
        )

    def count(self, statement: str) -> int:
        with self.server.connected(self.database) as connection:
            (number,) = connection.execute(statement).fetchone() or (0,)
        return int(number)


@contextmanager
def _bench(folder: Path) -> Iterator[_Bench]:
    server = PostgresServer(folder)
    try:
        with redis(folder) as (_, store):
            yield _Bench(store, server, server.new_database())
    finally:
        server.close()


def _speed(size: int, folder: Path) -> float:
    """Deliveries a second of one process, each with its event."""
    with _bench(folder) as bench:
        bench.fill(size)
        bench.send(_MOVED)
        took = bench.move()
        if (rows := bench.count("SELECT count(*) FROM notifier.deliveries")) != size + _MOVED:
            raise BenchFailed(f"{rows} rows, of {size + _MOVED}")
    return _MOVED / took


def _bytes(size: int, folder: Path) -> float:
    """Of tables and indexes, a delivery with its event."""
    with _bench(folder) as bench:
        bench.send(size)
        bench.move()
        if (rows := bench.count("SELECT count(*) FROM notifier.events")) != size:
            raise BenchFailed(f"{rows} events, of {size}")
        return (
            bench.count(
                "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhrelid IN "
                "(SELECT oid FROM pg_class WHERE relkind = 'r')"
            )
            / size
        )


def _look(days: int, folder: Path) -> float:
    """Milliseconds for one delivery by its id alone, the median of fifty."""
    with _bench(folder) as bench:
        bench.fill(500, days)
        reader, took = HistoryReader(bench.opened()), list[float]()
        with bench.server.connected(bench.database) as connection:
            new = "SELECT id FROM notifier.deliveries WHERE day > current_date - 7 LIMIT %s"
            ids = [i for (i,) in connection.execute(new, [_LOOKS])]
        reader.deliveries(ids[:1])
        for identity in ids:
            began = time.monotonic()
            found = reader.deliveries([identity])
            took.append(time.monotonic() - began)
            if identity not in found or found[identity].event == event_key("", ""):
                raise BenchFailed(f"{identity} is not found")
        reader.close()
    return median(took) * 1000


CURVES = (
    Curve(
        "history", "deliveries moved, into a day of so many", "1/s", (10_000, 100_000, 1_000_000), _speed, 3_000, "more"
    ),
    Curve("history-bytes", "a delivery with its event, of so many", "bytes", (5_000, 20_000, 80_000), _bytes, 1_000),
    Curve("history-look", "a delivery of this week by its id alone, of so many days", "ms", (10, 100, 365), _look, 50),
)
