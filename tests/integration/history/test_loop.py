"""The role's loop: what is away is told, tried again less and less often, and forgotten when it is back."""

from __future__ import annotations

import time

from notifier import metrics
from notifier.history.database import Database
from notifier.history.loop import IDLE_S, PAUSES_S, STANDBY_S, MoverLoop
from notifier.history.mover import Mover
from notifier.history.tables import LOCK
from notifier.storage.connection import connect
from notifier.storage.feed import Feed
from notifier.storage.ledger import Ledger
from notifier.wiring.history import HistoryChecks
from tests.integration.history.site import DAY, RETENTION, Site
from tests.servers.ports import free_port


def loop(site: Site, mover: Mover | None = None) -> MoverLoop:
    return MoverLoop(mover or site.mover(), site.feed)


def failures(away: str) -> float:
    return float(metrics.HISTORY_FAILURES.labels(away)._value.get())


def test_after_a_batch_the_next_one_follows_at_once_and_after_none_a_pause(site: Site) -> None:
    site.send()
    role = loop(site)

    assert role.turn() == 0.0
    assert role.turn() == IDLE_S
    assert role.fault is None


def test_who_stands_by_looks_less_often(site: Site) -> None:
    with site.server.connected(site.database) as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])

        assert loop(site).turn() == STANDBY_S


def test_a_database_that_is_away_is_told_and_tried_again_less_and_less_often(site: Site) -> None:
    # Given
    away = Database(f"postgresql://n@127.0.0.1:{free_port()}/history", seconds=5)
    role = loop(site, Mover(site.feed, site.ledger, away, keep=DAY))
    before = failures("postgresql")

    # When
    pauses = [role.turn() for _ in range(len(PAUSES_S) + 1)]

    # Then
    assert pauses == [*PAUSES_S, PAUSES_S[-1]]
    assert failures("postgresql") == before + len(pauses)
    reasons = HistoryChecks(site.store, role).ready()
    assert "PostgreSQL cannot be reached" in str(reasons["history"])
    assert reasons["redis"] is None


def test_a_redis_that_is_away_is_told_as_such_and_nothing_is_held_in_postgresql(site: Site) -> None:
    # Given
    store = connect(f"redis://127.0.0.1:{free_port()}/0")
    before = failures("redis")
    role = loop(site, site.mover(feed=Feed(store), ledger=Ledger(store, RETENTION)))

    # When
    assert role.turn() == PAUSES_S[0]

    # Then: another one can work
    assert failures("redis") == before + 1
    assert site.mover().move().works


def test_a_fault_is_over_with_the_next_batch(site: Site) -> None:
    # Given
    with site.server.connected(site.database) as connection:
        connection.execute("UPDATE notifier.shape SET version = 0")
    role = loop(site)
    assert role.turn() == PAUSES_S[0]
    assert "notifier history init" in str(role.fault)

    # When
    with site.server.connected(site.database) as connection:
        connection.execute("UPDATE notifier.shape SET version = 1")

    # Then
    assert role.turn() == IDLE_S
    assert role.fault is None


def test_how_much_waits_is_a_metric(site: Site) -> None:
    # Given
    site.send()
    with site.server.connected(site.database) as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])

        # When
        loop(site).turn()

    # Then
    assert metrics.HISTORY_WAITING._value.get() == 2
    assert 0 <= metrics.HISTORY_LAG._value.get() < 3600


def test_who_has_stood_still_for_long_is_to_be_restarted(site: Site) -> None:
    role = loop(site)
    role._turned = time.monotonic() - 3600

    assert "for 3600 s" in str(HistoryChecks(site.store, role).alive())
