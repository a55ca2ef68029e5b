"""What is wrong with the database is told in a sentence that says what to do, and nobody waits for it for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from notifier.errors import HistoryUnavailable
from notifier.history.database import Database
from notifier.history.reader import HistoryReader
from notifier.history.schema import VERSION, statements
from notifier.history.tables import open_session
from tests.servers.patience import poll
from tests.servers.ports import free_port
from tests.servers.postgresql import OWNER, USER, PostgresServer


def ask(url: str, **options: float) -> None:
    """A look by a role that only reads."""
    HistoryReader(Database(url, **{"seconds": 5, **options})).deliveries(["dlv_a"])  # type: ignore[arg-type]


def test_tables_that_are_missing(postgres: PostgresServer) -> None:
    empty = postgres.new_database(is_ready=False)

    with pytest.raises(HistoryUnavailable, match="does not have the history's tables; run `notifier history init`"):
        ask(postgres.url(empty))


@pytest.mark.parametrize(
    ("version", "said"),
    [(VERSION - 1, f"this release needs {VERSION}; run `notifier history init`"), (VERSION + 1, "upgrade it")],
)
def test_tables_of_another_release(postgres: PostgresServer, history_database: str, version: int, said: str) -> None:
    with postgres.connected(history_database) as connection:
        connection.execute("UPDATE notifier.shape SET version = %s", [version])

    with pytest.raises(HistoryUnavailable, match=said):
        ask(postgres.url(history_database, USER))


def test_a_column_that_somebody_dropped(postgres: PostgresServer, history_database: str) -> None:
    with postgres.connected(history_database) as connection:
        connection.execute("ALTER TABLE notifier.deliveries DROP COLUMN template")

    with pytest.raises(HistoryUnavailable, match="in another shape"):
        ask(postgres.url(history_database, USER))


def test_a_database_that_is_not_in_utf8(postgres: PostgresServer) -> None:
    name = postgres.new_database("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")

    with pytest.raises(HistoryUnavailable, match=r"stores text as LATIN1.*ENCODING 'UTF8'"):
        ask(postgres.url(name, USER))


def test_a_user_without_rights(postgres: PostgresServer) -> None:
    name = postgres.new_database(is_ready=False)
    with postgres.connected(name) as connection:
        connection.execute(statements())

    with pytest.raises(HistoryUnavailable, match="history init --grant-to USER"):
        ask(postgres.url(name, USER))


def test_a_wrong_password_is_told_and_not_shown(postgres: PostgresServer, history_database: str) -> None:
    url = postgres.url(history_database, USER).replace("history-password", "wrong-password")

    with pytest.raises(HistoryUnavailable, match="password authentication failed") as raised:
        ask(url)

    assert "wrong-password" not in str(raised.value)


def test_a_database_that_does_not_exist(postgres: PostgresServer) -> None:
    with pytest.raises(HistoryUnavailable, match='database "nowhere" does not exist'):
        ask(postgres.url("nowhere"))


def test_a_server_that_is_away() -> None:
    with pytest.raises(HistoryUnavailable, match=r"PostgreSQL cannot be reached: .*onnection refused"):
        ask(f"postgresql://notifier@127.0.0.1:{free_port()}/history")


def test_a_server_that_takes_no_writes(postgres: PostgresServer, history_database: str) -> None:
    with postgres.connected() as connection:
        connection.execute(f"ALTER DATABASE {history_database} SET default_transaction_read_only = on")

    database = Database(postgres.url(history_database, USER), seconds=5, opened=open_session)

    with (
        pytest.raises(HistoryUnavailable, match=r"is a standby.*target_session_attrs=read-write"),
        database.session() as s,
    ):
        s.execute("SELECT notifier.make_day('2026-01-01')")


def test_a_statement_that_takes_too_long(postgres: PostgresServer, history_database: str) -> None:
    database = Database(postgres.url(history_database, USER), seconds=0.1)

    with pytest.raises(HistoryUnavailable, match="did not finish in time"), database.session() as session:
        session.execute("SELECT pg_sleep(60)")


@pytest.fixture
def frozen(postgres: PostgresServer) -> Iterator[PostgresServer]:
    yield postgres
    postgres.resume()


def test_a_frozen_server_is_hung_up_on(
    frozen: PostgresServer, history_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a connection that works, and a server that says nothing any more
    monkeypatch.setattr("notifier.history.database.CONNECT_S", 1)
    reader = HistoryReader(Database(frozen.url(history_database, USER), seconds=30))
    reader.deliveries(["dlv_a"])
    frozen.pause()

    # When, then
    with pytest.raises(HistoryUnavailable, match="PostgreSQL cannot be reached"):
        reader.deliveries(["dlv_a"])

    # And the next one works when the server does
    frozen.resume()
    assert reader.deliveries(["dlv_a"]) == {}
    reader.close()


def test_a_server_that_freezes_in_the_middle_is_hung_up_on(
    frozen: PostgresServer, history_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifier.history.database._BEYOND_S", 0.2)
    database = Database(frozen.url(history_database, USER), seconds=1)

    def ask_it() -> None:
        with database.session() as session:
            frozen.pause()
            session.execute("SELECT 1")

    with pytest.raises(HistoryUnavailable, match="PostgreSQL cannot be reached"):
        ask_it()


def test_who_asks_after_a_restart_notices_nothing(postgres: PostgresServer, history_database: str) -> None:
    # Given a connection from before
    reader = HistoryReader(Database(postgres.url(history_database, USER), seconds=5))
    reader.deliveries(["dlv_a"])

    # When
    postgres.restart()

    # Then
    assert reader.deliveries(["dlv_a"]) == {}
    reader.close()


def test_after_a_failure_nobody_waits_for_a_while() -> None:
    # Given a port that nobody listens on
    reader = HistoryReader(Database(f"postgresql://n@127.0.0.1:{free_port()}/history", seconds=5, rest=3600))
    with pytest.raises(HistoryUnavailable, match="refused"):
        reader.deliveries(["dlv_a"])

    # When: it would be asked again, it is not
    reader._database._url = "postgresql://"
    with pytest.raises(HistoryUnavailable, match="refused"):
        reader.deliveries(["dlv_a"])


def test_who_asks_all_the_time_does_not_make_the_rest_longer(postgres: PostgresServer, history_database: str) -> None:
    # Given
    reader = HistoryReader(Database(postgres.url(history_database, USER), seconds=5, rest=1))

    def is_answered() -> bool:
        try:
            return reader.deliveries(["dlv_a"]) == {}
        except HistoryUnavailable:
            return False

    postgres.stop()
    assert not is_answered()

    # When
    postgres.start()

    # Then
    poll(is_answered, "it is asked again")
    reader.close()


def test_making_the_tables_again_changes_nothing(postgres: PostgresServer, history_database: str) -> None:
    with postgres.connected(history_database) as connection:
        connection.execute("SELECT notifier.make_day('2026-12-01')")
        connection.execute(
            "INSERT INTO notifier.events VALUES "
            "('2026-12-01', 'evt_a', '1', '/s', 't', 'default', now(), 'planned', '', '', '')"
        )

        connection.execute(statements(USER))

        assert connection.execute("SELECT count(*) FROM notifier.events").fetchone() == (1,)


def test_the_user_of_the_role_can_neither_drop_nor_delete(postgres: PostgresServer, history_database: str) -> None:
    database = Database(postgres.url(history_database, USER), seconds=5)

    for statement in ("DROP TABLE notifier.deliveries", "DELETE FROM notifier.events", "CREATE TABLE notifier.x ()"):
        with pytest.raises(HistoryUnavailable), database.session() as session:
            session.execute(statement)  # type: ignore[call-overload]


def test_only_roles_it_was_granted_to_may_drop_days(postgres: PostgresServer) -> None:
    name = postgres.new_database(is_ready=False)
    with postgres.connected(name) as connection:
        connection.execute(statements())
        connection.execute(f"GRANT USAGE ON SCHEMA notifier TO {USER}; GRANT SELECT ON notifier.shape TO {USER}")
    database = Database(postgres.url(name, USER), seconds=5)

    with pytest.raises(HistoryUnavailable, match="permission denied for function drop_days"), database.session() as s:
        s.execute("SELECT notifier.drop_days('2100-01-01')")


def test_a_role_with_an_odd_name_is_quoted(postgres: PostgresServer) -> None:
    name = postgres.new_database(is_ready=False)
    with postgres.connected(name) as connection:
        connection.execute('DROP ROLE IF EXISTS "our; DROP service"')
        connection.execute('CREATE ROLE "our; DROP service"')
        connection.execute(statements("our; DROP service"))
        connection.execute('DROP OWNED BY "our; DROP service"')
        connection.execute('DROP ROLE "our; DROP service"')

        assert connection.execute("SELECT version FROM notifier.shape").fetchone() == (VERSION,)
    assert OWNER in postgres.url(name)
