"""The tables' shape: made by `notifier history init`, asked for by everybody else."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

from notifier.errors import ConfigurationError, HistoryUnavailable, Problem

if TYPE_CHECKING:
    import psycopg

#: Of ``schema.sql``.
VERSION = 1
#: Names of roles that need no quotes: what has other characters is quoted, and what has quotes is refused.
_ROLE = re.compile(r'[^"\x00]{1,63}')
_GRANTS = """
GRANT USAGE ON SCHEMA notifier TO {role};
GRANT SELECT ON notifier.shape TO {role};
GRANT SELECT, INSERT, UPDATE ON notifier.deliveries, notifier.events TO {role};
GRANT EXECUTE ON FUNCTION notifier.make_day(date), notifier.drop_days(date) TO {role};
"""
_LOCKED = "SELECT pg_advisory_xact_lock(hashtext('notifier.history.init'));\n"
_VERSION = f"INSERT INTO notifier.shape (version) VALUES ({VERSION}) ON CONFLICT (only_row) DO NOTHING;\n"  # noqa: S608 - a number


def statements(grant_to: str = "") -> str:
    """What `notifier history init` runs, in one transaction. Raises `ConfigurationError` for an impossible role."""
    text = _LOCKED + files("notifier.history").joinpath("schema.sql").read_text() + _VERSION
    if not grant_to:
        return text
    if not _ROLE.fullmatch(grant_to):
        fix = "give the name of a role of PostgreSQL, without quotes"
        raise ConfigurationError([Problem("--grant-to", f"{grant_to!r} is no name of a role", fix)])
    return text + _GRANTS.format(role=f'"{grant_to}"')


def check(connection: psycopg.Connection) -> None:
    """Raises `HistoryUnavailable` when the tables are of another release."""
    (encoding,) = connection.execute("SHOW server_encoding").fetchone() or ("",)
    if encoding != "UTF8":
        raise HistoryUnavailable(
            f"the history's database stores text as {encoding}, which cannot hold all names and replies; "
            "make it again: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )
    (version,) = connection.execute("SELECT version FROM notifier.shape").fetchone() or (0,)
    if version > VERSION:
        raise HistoryUnavailable(f"the history's tables have shape {version}, this release knows {VERSION}; upgrade it")
    if version < VERSION:
        raise HistoryUnavailable(
            f"the history's tables have shape {version}, this release needs {VERSION}; "
            "run `notifier history init` as their owner"
        )
