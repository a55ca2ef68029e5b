"""The history in PostgreSQL: psycopg is imported here, and only where NOTIFIER_HISTORY_URL is set."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from notifier.errors import ConfigurationError, Problem
from notifier.health import HealthServer
from notifier.history.lookup import Lookup
from notifier.logs import get, wide
from notifier.settings import Settings
from notifier.storage.ledger import Ledger
from notifier.storage.store import Store
from notifier.wiring.stores import build_ledger, build_store

if TYPE_CHECKING:
    from notifier.history.database import Database
    from notifier.history.loop import MoverLoop
    from notifier.history.reader import HistoryReader

_log = get("history")
_VARIABLE = "NOTIFIER_HISTORY_URL"
#: Seconds for one statement: of somebody who looks, of somebody who forgets a person, and of a batch.
LOOK_S, FORGET_S, BATCH_S = 5.0, 60.0, 60.0
#: Seconds in which nobody asks a database that has just failed.
REST_S = 5.0


def require(ours: Settings) -> None:
    """Raises `ConfigurationError` where there can be no history."""
    if not ours.history_url:
        fix = "set it to postgresql://user:password@host:5432/database for every role"
        raise ConfigurationError([Problem(_VARIABLE, "is empty: there is no history", fix)])
    if find_spec("psycopg") is None:
        fix = "pip install 'notifier-events[history]', or build the image with LOCK=history"
        raise ConfigurationError([Problem(_VARIABLE, "is set, and psycopg is not installed", fix)])


def build_reader(ours: Settings, *, seconds: float = LOOK_S) -> HistoryReader | None:
    """For those who look; None without a history."""
    if not ours.history_url:
        return None
    require(ours)
    from notifier.history.database import Database
    from notifier.history.reader import HistoryReader

    return HistoryReader(Database(ours.history_url, seconds=seconds, rest=REST_S))


def build_lookup(ours: Settings, ledger: Ledger) -> Lookup:
    """What became of something, in Redis or in the history."""
    return Lookup(ledger, build_reader(ours))


def build_schema_database(ours: Settings) -> Database:
    """For `notifier history init`."""
    require(ours)
    from notifier.history.database import Database

    return Database(ours.history_url, seconds=FORGET_S, is_checked=False)


def build_loop(ours: Settings, store: Store) -> MoverLoop:
    """What the role does."""
    require(ours)
    from notifier.history.database import Database
    from notifier.history.loop import MoverLoop
    from notifier.history.mover import Mover
    from notifier.history.tables import open_session
    from notifier.storage.feed import Feed

    database = Database(ours.history_url, seconds=BATCH_S, opened=open_session)
    feed = Feed(store)
    return MoverLoop(Mover(feed, build_ledger(ours, store), database, keep=ours.history_retention), feed)


def run_history(ours: Settings) -> None:
    """The role, until SIGTERM or SIGINT."""
    store = build_store(ours, connections=2)
    loop = build_loop(ours, store)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    checks = HistoryChecks(store, loop)
    health = HealthServer(checks, ours.http_host, ours.http_port, checks.alive)
    wide(_log, "health.listening", host=ours.http_host, port=health.start())
    try:
        loop.run(stop)
    finally:
        health.stop()
        store.close()


@dataclass(frozen=True, slots=True)
class HistoryChecks:
    """Whether it can move (`health.Checks`), or could when the one that works ends."""

    store: Store
    loop: MoverLoop

    def ready(self) -> dict[str, str | None]:
        """Dependency → reason why it is not ready, or None."""
        return {"redis": self.store.reachable(), "history": self.loop.fault}

    def alive(self) -> str | None:
        """A reason to restart this process, or None."""
        from notifier.history.loop import STUCK_S

        silence = self.loop.silence()
        return f"has not moved anything or looked for {silence:.0f} s" if silence > STUCK_S else None
