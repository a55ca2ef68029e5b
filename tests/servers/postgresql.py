"""A private PostgreSQL: a superuser who owns the history's tables, and a user with the rights that its role needs."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import psycopg

from notifier.history.schema import statements
from tests.servers.ports import free_port
from tests.servers.processes import find_binary, start, stop_group, wait_until

INSTALL = "apt-get install postgresql"
OWNER, USER, PASSWORD = "postgres", "notifier", "history-password"
#: Under which a server that was started by root runs: it refuses to be root.
_ACCOUNTS = ("postgres", "nobody")


class PostgresServer:
    """One server on a port of its own; `restart` keeps the port and the data."""

    def __init__(self, directory: Path) -> None:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        self._binary = find_binary(*(str(path / "postgres") for path in reversed(folders)), "postgres", install=INSTALL)
        self._log = directory / "postgresql.log"
        # Folders of pytest are root's alone, and the server has an account of its own.
        self._directory = Path(tempfile.mkdtemp(prefix="notifier-postgresql-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        self.port = free_port()
        self._make()
        self.start()
        with self.connected() as connection:
            connection.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")

    def url(self, database: str = "postgres", user: str = OWNER) -> str:
        """The address of a database."""
        return f"postgresql://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def connected(self, database: str = "postgres") -> psycopg.Connection:
        """A connection of the superuser, which commits each statement."""
        return psycopg.connect(self.url(database), autocommit=True)

    def new_database(self, options: str = "", *, is_ready: bool = True) -> str:
        """The name of an empty one; a ready one has the history's tables, for `USER`."""
        name = f"history_{next(self._numbers)}"
        with self.connected() as connection:
            connection.execute(f"CREATE DATABASE {name} {options}")
        if is_ready:
            with self.connected(name) as connection:
                connection.execute(statements(USER))
        return name

    def start(self) -> None:
        """Starts the server and waits until it takes logins."""
        self._process = start(
            [*_as_account("--pdeathsig", "KILL"), self._binary, "-D", str(self._directory / "data")],
            self._log,
            {"PATH": os.environ["PATH"]},
            tied=False,
        )
        wait_until(self._answers, self._process, self._log)

    def stop(self) -> None:
        """Stops the server at once, in good order: connections are cut."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kills the server with all its processes."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Cuts all connections; on the same port with the same data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freezes the server: connections stay open and nothing is answered; undo with `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a frozen server answer again."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Ends the server and removes its data."""
        # At once, without writing out what is about to be removed.
        self._end(signal.SIGQUIT)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _make(self) -> None:
        password = self._directory / "password"
        password.write_text(PASSWORD)
        if account := _account():
            for place in (self._directory, password):
                os.chown(place, account.pw_uid, account.pw_gid)
        initdb = str(Path(self._binary).resolve().with_name("initdb"))
        data = self._directory / "data"
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        subprocess.run(
            [*_as_account(), initdb, "-D", str(data), "-U", OWNER, f"--pwfile={password}", *options],
            check=True,
            capture_output=True,
            cwd="/",
        )
        settings = {
            "port": str(self.port),
            "listen_addresses": "'127.0.0.1'",
            "unix_socket_directories": "''",
            "shared_buffers": "'32MB'",
            # What is asked of a database that is killed is asked of its processes, not of the machine's power.
            "fsync": "off",
            "full_page_writes": "off",
            # In its own folder, which goes with it: segments in /dev/shm would outlive a server that is killed.
            "dynamic_shared_memory_type": "mmap",
        }
        with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def _answers(self) -> bool:
        try:
            self.connected().close()
        except psycopg.OperationalError:
            return False
        return True

    def _end(self, stop_signal: signal.Signals) -> None:
        if self._process is None:
            return
        # Each of its processes leads a session of its own, so a signal to the group reaches the first one alone.
        children = self._children()
        stop_group(self._process, stop_signal)
        if stop_signal is signal.SIGKILL:
            for pid in children:
                _kill(pid, signal.SIGKILL)
        self._process = None

    def _signal(self, chosen: signal.Signals) -> None:
        assert self._process is not None
        for pid in (self._process.pid, *self._children()):
            _kill(pid, chosen)

    def _children(self) -> list[int]:
        assert self._process is not None
        found = []
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text()
            except OSError:  # it has ended
                continue
            if re.search(rf"^PPid:\t{self._process.pid}$", text, re.MULTILINE):
                found.append(int(status.parent.name))
        return found


def _kill(pid: int, chosen: signal.Signals) -> None:
    try:
        os.kill(pid, chosen)
    except ProcessLookupError:
        return


def _account() -> pwd.struct_passwd | None:
    """None where tests are not run by root."""
    if os.getuid() != 0:
        return None
    known = {account.pw_name: account for account in pwd.getpwall()}
    return next(known[name] for name in _ACCOUNTS if name in known)


def _as_account(*options: str) -> list[str]:
    setpriv = shutil.which("setpriv")
    account = _account()
    if account is None:
        return [setpriv, *options] if setpriv and options else []
    assert setpriv, "util-linux has setpriv; without it the server would be root's, and refuse"
    return [setpriv, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", *options]
