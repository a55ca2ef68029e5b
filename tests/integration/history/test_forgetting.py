"""Who is forgotten is forgotten in the history too, and no batch on its way brings them back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from notifier.domain.delivery import DeliveryRecord, Status
from notifier.domain.ids import recipient_key
from notifier.errors import HistoryUnavailable, NotFound
from notifier.forgetting import Forgetting
from notifier.storage.cipher import Cipher
from notifier.storage.ledger import Ledger
from notifier.storage.recipients import Recipients
from notifier.storage.suppressions import Suppressions
from tests.integration.history.site import DAY, RETENTION, Site
from tests.integration.storage.making import event, request
from tests.servers.patience import PATIENCE_S
from tests.servers.postgresql import PostgresServer

JANE, BOB = "jane@example.org", "bob@example.org"


class NoFailures:
    """Failure queues in which nothing of anybody lies: another part has tests of that."""

    def ids(self, _: object) -> Sequence[str]:
        return ()

    def count(self, _: object) -> int:
        return 0


class Paused(Ledger):
    """Stands still between reading and writing."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.has_read, self.may_go_on = threading.Event(), threading.Event()

    def deliveries(self, ids: Sequence[str]) -> list[DeliveryRecord | None]:
        found = super().deliveries(ids)
        self.has_read.set()
        assert self.may_go_on.wait(PATIENCE_S)
        return found


def forgetting(site: Site) -> Forgetting:
    return Forgetting(
        site.traces,
        Recipients(site.store, Cipher("k" * 32)),
        Suppressions(site.store),
        NoFailures(),  # type: ignore[arg-type]
        site.reader,
    )


def test_a_person_is_forgotten_in_the_history_and_others_are_not(site: Site) -> None:
    # Given: Redis has forgotten all by itself
    site.end(request(event(1), to=JANE), Status.REFUSED, f"<{JANE}> no such mailbox")
    bob = site.send(2, BOB)
    site.mover().move()
    site.lose()

    # When
    found = forgetting(site).forget(JANE)

    # Then
    assert (found.deliveries, found.history) == (0, 1)
    rows = site.rows("destination, person, reason, attempts->0->>'reply', attempts->0->>'code', status")
    assert ("forgotten", "", "forgotten", "", "smtp_550", "refused") in rows
    assert [row for row in rows if row[0] == "b…@example.org" and row[1]]
    assert site.lookup.delivery(bob) is not None
    with pytest.raises(NotFound):
        forgetting(site).forget(JANE)


def test_what_is_in_redis_and_in_the_history_is_forgotten_in_both_and_stays_so(site: Site) -> None:
    # Given
    identity = site.send(1, JANE)
    site.mover().move()

    # When
    forgetting(site).forget(JANE)
    site.mover().move()

    # Then
    assert site.rows("destination, person") == [("forgotten", "")]
    (record,) = site.ledger.deliveries([identity])
    assert record is not None
    assert record.destination == "forgotten"


def test_what_waits_to_be_moved_is_moved_forgotten(site: Site) -> None:
    # Given
    site.send(1, JANE)

    # When
    forgetting(site).forget(JANE)
    site.mover().move()

    # Then
    assert site.rows("destination, person") == [("forgotten", "")]


def test_a_batch_that_has_read_them_already_does_not_bring_them_back(site: Site) -> None:
    # Given a batch between reading and writing
    site.send(1, JANE)
    paused = Paused(site.store, RETENTION, site.clock)
    moving = _thread(site.mover(ledger=paused).move)
    assert paused.has_read.wait(PATIENCE_S)

    # When they are forgotten meanwhile
    erasing = _thread(lambda: forgetting(site).forget(JANE))
    _wait(lambda: _waits_for_the_lock(site) or not erasing.is_alive())
    paused.may_go_on.set()
    moving.join()
    erasing.join()

    # Then
    assert site.rows("destination, person") == [("forgotten", "")]


def test_a_database_that_is_away_is_told_before_anything_is_forgotten(site: Site, postgres: PostgresServer) -> None:
    # Given
    identity = site.send(1, JANE)
    postgres.stop()

    # When
    try:
        with pytest.raises(HistoryUnavailable):
            forgetting(site).forget(JANE)
    finally:
        postgres.start()

    # Then: a repeat finds all of it
    (record,) = site.ledger.deliveries([identity])
    assert record is not None
    assert record.destination == "j…@example.org"
    assert forgetting(site).forget(JANE).deliveries == 1


def test_old_and_new_deliveries_are_counted_before(site: Site) -> None:
    # Given
    site.send(1, JANE, queued=site.clock.now - 20 * DAY)
    site.send(2, JANE)
    site.mover().move()

    # When
    found = forgetting(site).look(JANE)

    # Then
    assert (found.key, found.history) == (recipient_key(JANE), 2)


def _thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def _waits_for_the_lock(site: Site) -> bool:
    with site.server.connected(site.database) as connection:
        (waiting,) = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        ).fetchone() or (0,)
    return bool(waiting)


def _wait(ready: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(round(PATIENCE_S / 0.02)):
        if ready():
            return
        done.wait(0.02)
    raise AssertionError("nobody waits")
