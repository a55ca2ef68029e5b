"""What ended in Redis is in PostgreSQL once, as it was; nothing newer is written over, nothing is lost on the way."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence

import pytest

from notifier.domain.delivery import Kept, Status
from notifier.errors import HistoryUnavailable, StorageUnavailable
from notifier.history.mover import Moved
from notifier.history.tables import LOCK
from notifier.storage.feed import Feed, Waiting
from notifier.storage.ledger import Record
from tests.integration.history.site import DAY, Site
from tests.integration.storage.making import attempt, claim, event, registration, request
from tests.servers.postgresql import PostgresServer


class BrokenOff(Feed):
    """Whoever moves is killed before it takes away what it has written."""

    def remove(self, looks: Sequence[Waiting]) -> None:
        raise StorageUnavailable("killed")


def test_what_redis_has_forgotten_is_found_in_the_history_as_it_was(site: Site) -> None:
    # Given
    sent = site.send()
    (before,) = site.ledger.deliveries([sent])
    asked = site.ledger.event(event().key)

    # When
    assert site.mover().move() == Moved(deliveries=1, events=1)
    site.lose()

    # Then
    found = site.lookup.delivery(sent)
    assert before is not None
    assert found is not None
    assert found.kept_in is Kept.HISTORY
    assert (found.destination, found.attempts, found.template) == (before.destination, before.attempts, before.template)
    assert (found.status, found.tries, found.queued, found.updated) == (
        Status.SENT,
        before.tries,
        before.queued,
        before.updated,
    )
    told = site.lookup.event(event().key)
    assert asked is not None
    assert told is not None
    assert (told.id, told.source, told.type, told.status) == (asked.id, asked.source, asked.type, asked.status)
    assert told.deliveries == (sent,)
    assert [record.id for record in site.lookup.deliveries_of(told).records] == [sent]


def test_a_redis_cluster_is_moved_whole(cluster_site: Site) -> None:
    # Given
    sent = {cluster_site.send(number, f"p{number}@example.org") for number in range(40)}
    mover = cluster_site.mover()

    # When
    while mover.move().anything:
        pass

    # Then
    assert {identity for (identity,) in cluster_site.rows()} == sent
    assert len(cluster_site.rows("key", "events")) == 40
    assert cluster_site.feed.backlog().waiting == 0


def test_what_redis_still_has_is_told_from_there(site: Site) -> None:
    # Given
    sent = site.send()
    site.mover().move()

    # When
    found = site.lookup.delivery(sent)

    # Then
    assert found is not None
    assert found.kept_in is Kept.LEDGER


def test_an_event_names_deliveries_that_redis_has_and_those_that_it_has_no_more(site: Site) -> None:
    # Given two deliveries of one event, of which Redis has one no more
    of = event(1)
    site.ledger.register([registration(1, people=2)])
    both = [
        site.end(request(of, to="p0@example.org"), Status.REFUSED, "no"),
        site.end(request(of, to="p1@example.org")),
    ]
    site.ledger.planned([of.key])
    site.mover().move()
    site.store.client.delete(f"ntf:d:{both[0][4:28]}")

    # When
    found = site.lookup.event(of.key)
    assert found is not None
    shown = site.lookup.deliveries_of(found)

    # Then
    assert [(record.id, record.kept_in) for record in shown.records] == [
        (both[0], Kept.HISTORY),
        (both[1], Kept.LEDGER),
    ]
    assert shown.missing == ""


def test_an_event_of_many_deliveries_is_told_page_by_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    monkeypatch.setattr("notifier.history.reader.PAGE", 2)
    sent = {site.send(), *(site.end(request(event(1), to=f"p{i}@example.org")) for i in range(4))}
    site.mover().move()
    site.lose()

    # When
    pages = []
    page: int | None = 0
    while page is not None:
        told = site.lookup.event(event(1).key, page)
        assert told is not None
        pages.append(told.deliveries)
        page = told.next_page

    # Then
    assert [len(ids) for ids in pages] == [2, 2, 1]
    assert {i for ids in pages for i in ids} == sent


def test_what_was_written_and_not_taken_away_is_written_over_itself(site: Site) -> None:
    # Given
    site.send()
    with contextlib.suppress(StorageUnavailable):
        site.mover(feed=BrokenOff(site.store)).move()
    before = site.rows("*")

    # When
    assert site.mover().move() == Moved(deliveries=1, events=1)

    # Then
    assert len(before) == 1
    assert site.rows("*") == before
    assert site.feed.backlog().waiting == 0


def test_what_ends_again_after_a_replay_is_written_over_its_first_end(site: Site) -> None:
    # Given: refused, moved, and on its way once more
    wanted = request()
    identity = site.end(wanted, Status.REFUSED, "no such mailbox")
    site.mover().move()
    site.clock.now += 60
    assert site.ledger.reopen([identity], site.clock.now) == [True]

    # When
    site.end(wanted)
    site.mover().move()

    # Then
    assert site.rows("status, reason, jsonb_array_length(attempts)") == [("sent", "", 2)]


def test_what_is_on_its_way_again_is_not_told_as_ended(site: Site) -> None:
    # Given
    identity = site.end(request(), Status.REFUSED, "no such mailbox")
    site.ledger.reopen([identity], site.clock.now)

    # When
    site.mover().move()

    # Then
    assert site.rows() == []
    assert site.feed.backlog().waiting == 0


def test_nothing_older_is_written_over_what_is_newer(site: Site) -> None:
    # Given: the history knows a later end than Redis, which came back from a copy of yesterday
    identity = site.send()
    site.mover().move()
    with site.server.connected(site.database) as connection:
        connection.execute("UPDATE notifier.deliveries SET updated = updated + interval '1 hour', reason = 'newer'")
    site.ledger.skip([identity], "no")

    # When
    site.mover().move()

    # Then
    assert site.rows("reason") == [("newer",)]


def test_of_two_that_move_one_works_and_the_other_stands_by(site: Site) -> None:
    # Given: somebody is in the middle of a batch
    site.send()
    with site.server.connected(site.database) as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])

        # When
        moved = site.mover().move()

    # Then
    assert moved == Moved(works=False)
    assert site.feed.backlog().waiting == 2
    assert site.mover().move() == Moved(deliveries=1, events=1)


def test_many_who_move_at_once_lose_and_double_nothing(site: Site) -> None:
    # Given
    sent = {site.send(number, f"p{number}@example.org") for number in range(60)}
    faults: list[BaseException] = []

    def move() -> None:
        mover = site.mover()
        try:
            while site.feed.backlog().waiting:
                mover.move()
        except BaseException as error:
            faults.append(error)

    # When
    threads = [threading.Thread(target=move) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Then
    assert faults == []
    assert {identity for (identity,) in site.rows()} == sent


def test_each_delivery_lies_in_the_day_it_was_queued(site: Site) -> None:
    # Given
    today = site.clock.now
    old, new = site.send(1, queued=today - 3 * DAY), site.send(2, queued=today)

    # When
    site.mover().move()

    # Then
    days = dict(site.rows("id, tableoid::regclass::text"))
    assert days == {old: "notifier.deliveries_20270112", new: "notifier.deliveries_20270115"}


def test_what_is_old_is_found_by_its_id_alone(site: Site) -> None:
    # Given deliveries of this week, of last month, of last year and of tomorrow
    now = time.time()
    site.clock.now = now
    ended = [site.send(number, queued=now - days * DAY) for number, days in enumerate((0, 5, 9, 59, 61, 300, -1))]
    site.mover().move()
    site.lose()

    # When
    found = site.reader.deliveries(ended)

    # Then
    assert found.keys() == set(ended)
    assert site.reader.deliveries(ended, since=now - 300 * DAY).keys() == set(ended)
    assert site.reader.deliveries(ended, since=now).keys() == {ended[0], ended[-1]}
    assert site.reader.event(event(1).key) is not None


def test_days_are_dropped_when_they_are_kept_no_longer(site: Site) -> None:
    # Given
    mover = site.mover(keep=10 * DAY)
    old = site.send(1)
    mover.move()
    site.clock.now += 9 * DAY
    mover.move()
    assert site.rows() == [(old,)]

    # When
    site.clock.now += 2 * DAY
    new = site.send(2)
    mover.move()

    # Then
    assert site.rows() == [(new,)]
    with site.server.connected(site.database) as connection:
        names = [name for (name,) in connection.execute("SELECT relname FROM pg_class WHERE relname ~ '_[0-9]{8}$'")]
    assert not [name for name in names if name.startswith("deliveries_20270115")]


def test_what_is_older_than_the_history_keeps_it_is_left_out(site: Site) -> None:
    # Given
    site.send(1, queued=site.clock.now - 11 * DAY)

    # When
    moved = site.mover(keep=10 * DAY).move()

    # Then
    assert (moved.deliveries, moved.events) == (0, 1)
    assert site.feed.backlog().waiting == 0


def test_somebody_who_reads_an_old_day_holds_up_its_end_and_no_move(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given: a long query over all days
    mover = site.mover(keep=2 * DAY)
    site.send(1)
    mover.move()
    site.clock.now += 4 * DAY
    site.send(2)
    with site.server.connected(site.database) as other, other.transaction():
        other.execute("SELECT count(*) FROM notifier.deliveries")

        # When: the drop gives up
        monkeypatch.setattr("notifier.history.database.LOCK_S", 0.1)
        mover = site.mover(keep=2 * DAY)
        with pytest.raises(HistoryUnavailable, match="did not finish in time"):
            mover.move()

        # Then: what waited was moved before, and moving goes on
        assert site.feed.backlog().waiting == 0
        site.send(3)
        assert mover.move().deliveries == 1


def test_texts_that_postgresql_cannot_hold_are_moved_with_a_sign_in_their_place(site: Site) -> None:
    # Given: what JSON can carry
    wanted = request()
    held = claim(site.ledger, wanted)
    tried = attempt(1, "smtp_550", "refused")
    odd = Record(wanted.delivery.id, held.fence, Status.REFUSED, "zero\x00byte \ud800", tried, claimed=wanted)
    site.ledger.record([odd], site.clock.now)

    # When
    moved = site.mover().move()

    # Then
    assert moved.deliveries == 1
    assert site.rows("reason") == [("zero\ufffdbyte \ufffd",)]


def test_a_row_that_cannot_be_written_does_not_hold_up_the_others(site: Site) -> None:
    # Given: a count that no column holds, among others
    sent = {site.send(number, f"p{number}@example.org") for number in range(5)}
    identity = site.end(request(event(9)), Status.REFUSED, "no")
    name = f"ntf:d:{identity[4:28]}"
    record = str(site.store.client.get(name))
    status, fence, _, rest = record.split("\x1f", 3)
    site.store.client.set(name, f"{status}\x1f{fence}\x1f99999999999\x1f{rest}")

    # When
    moved = site.mover().move()

    # Then
    assert moved.deliveries == 5
    assert {i for (i,) in site.rows()} == sent
    assert site.feed.backlog().waiting == 0


def test_a_server_that_was_restarted_is_found_again(site: Site, postgres: PostgresServer) -> None:
    # Given
    mover = site.mover()
    site.send(1)
    mover.move()
    site.send(2)

    # When
    postgres.restart()
    with contextlib.suppress(HistoryUnavailable):
        mover.move()
    while mover.move().anything:
        pass

    # Then
    assert len(site.rows()) == 2


def test_partitions_that_somebody_took_away_are_made_again(site: Site) -> None:
    # Given
    mover = site.mover()
    site.send(1)
    mover.move()
    with site.server.connected(site.database) as connection:
        connection.execute("SELECT notifier.drop_days('2100-01-01')")
    sent = site.send(2)

    # When
    with pytest.raises(HistoryUnavailable, match="has no partition"):
        mover.move()
    mover.move()

    # Then
    assert site.rows() == [(sent,)]
