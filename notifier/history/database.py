"""`Database`: one connection to PostgreSQL, made when it is needed, and never waited for longer than it is given."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from notifier.errors import HistoryUnavailable
from notifier.history.faults import translated
from notifier.history.schema import check

#: Seconds for a connect.
CONNECT_S = 5
#: Seconds for a lock: whoever reads a day that is to be dropped is not waited for, a batch on its way is.
LOCK_S = 10.0
#: Beyond the server's own limit: then it is frozen, or the network is, and the connection is hung up.
_BEYOND_S = 5.0

Session = psycopg.Connection


class Database:
    """Threads use it one after the other. Raises `HistoryUnavailable`."""

    def __init__(
        self,
        url: str,
        *,
        seconds: float,
        turn: float = 5.0,
        rest: float = 0.0,
        is_checked: bool = True,
        opened: Callable[[Session], None] = lambda _: None,
    ) -> None:
        """``seconds`` for one statement, ``turn`` to wait for another thread.

        After a failure nobody asks for ``rest`` seconds: else all who ask would wait for what is away, one by one.
        """
        self._url = url
        self._seconds = seconds
        self._turn = turn
        self._rest = rest
        self._is_checked = is_checked
        self._opened = opened
        self._lock = threading.Lock()
        self._connection: Session | None = None
        self._failed: tuple[float, str] | None = None

    @contextmanager
    def session(self) -> Iterator[Session]:
        """The connection, for one piece of work; it is closed when that failed, and made anew for the next one."""
        if not self._lock.acquire(timeout=self._turn):
            raise HistoryUnavailable(f"others have asked the history for {self._turn:g} s; ask again later")
        try:
            self._refuse_while_resting()
            with self._closed_if_it_fails(), translated():
                connection = self._connection = self._kept() or self._connect()
                with _hung_up_after(connection, self._seconds + _BEYOND_S):
                    yield connection
        finally:
            self._lock.release()

    def close(self) -> None:
        """Hang up; the next one who asks connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        self.close()

    @contextmanager
    def _closed_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.close()
            if isinstance(error, HistoryUnavailable):
                self._failed = (time.monotonic() + self._rest, str(error))
            raise

    def _refuse_while_resting(self) -> None:
        if self._failed is not None:
            until, why = self._failed
            if time.monotonic() < until:
                raise HistoryUnavailable(why)
            self._failed = None

    def _kept(self) -> Session | None:
        """The connection of before, if its server is still there: after a restart nobody is to be refused for it."""
        if self._connection is not None:
            try:
                with _hung_up_after(self._connection, CONNECT_S):
                    self._connection.execute("SELECT 1")
            except psycopg.Error:
                self.close()
        return self._connection

    def _connect(self) -> Session:
        connection = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_S,
            application_name="notifier history",
            client_encoding="utf8",
            # Behind a pooler a prepared statement may be another server's.
            prepare_threshold=None,
        )
        try:
            with _hung_up_after(connection, self._seconds + _BEYOND_S):
                limits = (f"{self._seconds * 1000:.0f}", f"{LOCK_S * 1000:.0f}")
                connection.execute(
                    "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false), "
                    "set_config('TimeZone', 'UTC', false)",
                    limits,
                )
                if self._is_checked:
                    check(connection)
                self._opened(connection)
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def _hung_up_after(connection: Session, seconds: float) -> Iterator[None]:
    """By itself libpq waits for ever for a server that is frozen: its socket is shut down."""
    place = socket.socket(fileno=os.dup(connection.fileno()))
    timer = threading.Timer(seconds, _shut_down, [place])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        place.close()


def _shut_down(place: socket.socket) -> None:
    with suppress(OSError):  # it was closed meanwhile
        place.shutdown(socket.SHUT_RDWR)
