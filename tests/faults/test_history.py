"""The history while its process and PostgreSQL die in the middle of a batch: each delivery is in it once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from notifier.domain.delivery import Status
from notifier.storage.connection import connect
from notifier.storage.feed import Feed
from notifier.storage.ledger import Ledger, Record, Retention
from tests.acceptance.service import Service, environment
from tests.integration.storage.making import attempt, event, registration, request
from tests.servers.patience import poll
from tests.servers.postgresql import USER, PostgresServer
from tests.servers.redis import RedisServer

#: More than one batch has.
DELIVERIES = 6_000
TOGETHER = 100


@pytest.fixture
def service(
    redis_server: RedisServer, postgres: PostgresServer, history_database: str, tmp_path: Path
) -> Iterator[Service]:
    redis_server.flush()
    running = Service(
        tmp_path,
        environment(
            broker_url="amqp://nobody@127.0.0.1:1/",
            redis_url=redis_server.url,
            smtp_url="smtp+plain://127.0.0.1:1",
            NOTIFIER_HISTORY_URL=postgres.url(history_database, USER),
        ),
    )
    yield running
    running.close()


def send_all(url: str) -> set[str]:
    """Deliveries that were sent, with their events; their ids."""
    store = connect(url)
    ledger = Ledger(store, Retention(history_most=1_000_000))
    ledger.heartbeat("worker-1", 600)
    ids = set()
    for start in range(0, DELIVERIES, TOGETHER):
        numbers = range(start, start + TOGETHER)
        wanted = [request(event(number), to=f"p{number}@example.org") for number in numbers]
        ledger.register([registration(number, people=0) for number in numbers])
        ledger.planned([event(number).key for number in numbers])
        claims = ledger.claim(wanted, owner="worker-1", lease=600)
        ledger.record(
            [
                Record(w.delivery.id, c.fence, Status.SENT, "", attempt(), template="t", claimed=w)  # type: ignore[union-attr]
                for w, c in zip(wanted, claims, strict=True)
            ]
        )
        ids |= {w.delivery.id for w in wanted}
    store.close()
    return ids


def in_the_middle_of_a_batch(owner: psycopg.Connection) -> None:
    """Whoever moves will have written deliveries, and wait for the other table: nothing is committed."""
    # Made before: no session can make them while this one holds the table.
    owner.execute("SELECT notifier.make_day(current_date + n) FROM generate_series(-1, 3) AS n")
    owner.execute("SELECT notifier.make_day('2027-01-15')")
    owner.execute("BEGIN")
    owner.execute("LOCK TABLE notifier.events IN SHARE MODE")


def waits(postgres: PostgresServer) -> bool:
    with postgres.connected() as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO notifier.events%'"
        ).fetchone()
    return bool(found and found[0])


def test_a_history_whose_process_and_database_are_killed_in_a_batch_lacks_nothing_and_doubles_nothing(
    service: Service, postgres: PostgresServer, history_database: str, redis_server: RedisServer
) -> None:
    # Given much that waits
    sent = send_all(redis_server.url)

    # When the process is killed in the middle of a batch
    owner = postgres.connected(history_database)
    in_the_middle_of_a_batch(owner)
    first = service.history()
    poll(lambda: waits(postgres), "a batch is being written")
    first.kill()
    owner.execute("ROLLBACK")
    assert count(postgres, history_database) == 0

    # And PostgreSQL in the middle of another one, of a process that stays
    in_the_middle_of_a_batch(owner)
    second = service.history()
    poll(lambda: waits(postgres), "a batch is being written")
    postgres.kill()
    owner.close()
    poll(lambda: "history.away" in second.output(), "it says so")
    postgres.start()

    # Then
    poll(lambda: count(postgres, history_database) >= DELIVERIES, "all are moved")
    poll(lambda: waiting(redis_server) == 0, "nothing waits")
    with postgres.connected(history_database) as connection:
        rows = [i for (i,) in connection.execute("SELECT id FROM notifier.deliveries")]
        events = connection.execute("SELECT count(*), count(DISTINCT key) FROM notifier.events").fetchone()
    assert len(rows) == DELIVERIES
    assert set(rows) == sent
    assert events == (DELIVERIES, DELIVERIES)
    assert second.terminate() == 0


def test_a_second_process_stands_by_and_takes_over(
    service: Service, postgres: PostgresServer, history_database: str, redis_server: RedisServer
) -> None:
    # Given two, of which one is frozen in the middle of a batch
    send_all(redis_server.url)
    owner = postgres.connected(history_database)
    in_the_middle_of_a_batch(owner)
    first = service.history()
    poll(lambda: waits(postgres), "a batch is being written")
    second = service.history()
    poll(lambda: "history.stands_by" in second.output(), "the second sees that another works")

    # When the first is killed
    first.kill()
    owner.execute("ROLLBACK")
    owner.close()

    # Then the second moves all
    poll(lambda: count(postgres, history_database) == DELIVERIES, "all are moved")


def test_a_role_that_starts_before_its_database_waits_for_it_and_says_why(
    service: Service, postgres: PostgresServer, history_database: str
) -> None:
    # Given
    postgres.stop()
    try:
        role = service.history(waits=False)
        poll(lambda: "history.away" in role.output(), "it says so")
        assert "PostgreSQL cannot be reached" in role.output()
    finally:
        postgres.start()

    # Then
    poll(lambda: "history.works" in role.output(), "it works when there is a database")
    assert role.terminate() == 0


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"NOTIFIER_HISTORY_URL": ""}, "NOTIFIER_HISTORY_URL: is empty: there is no history"),
        ({"NOTIFIER_HISTORY_URL": "mysql://u:secret@h/db"}, "expected postgresql://… or postgres://…"),
        ({"NOTIFIER_HISTORY_URL": "postgresql://u:secret@h"}, "no database is named"),
    ],
)
def test_without_an_address_it_does_not_start(service: Service, variables: dict[str, str], said: str) -> None:
    service.environment |= variables

    ran = service.run("history", "run")

    assert ran.returncode == 2
    assert said in ran.stderr
    assert "secret" not in ran.stderr
    assert "Traceback" not in ran.stderr


def count(postgres: PostgresServer, database: str) -> int:
    with postgres.connected(database) as connection:
        found = connection.execute("SELECT count(*) FROM notifier.deliveries").fetchone()
    return int(found[0]) if found else 0


def waiting(server: RedisServer) -> int:
    store = connect(server.url)
    try:
        return Feed(store).backlog().waiting
    finally:
        store.close()
