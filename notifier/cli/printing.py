"""What verbs print: JSON for scripts, tables for people; rich is imported only when a table is wanted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def print_json(value: Any) -> None:
    """One JSON document on standard output; on one line when it goes to a file or a pipe."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str, indent=indent) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; a cell's text is shown as it is, so neither markup nor control characters in it do anything."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    # A pipe gets long lines instead of folded ones: `| grep` must find what is there.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 400)
    console.print(table)


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """``name  value`` lines; empty values are left out."""
    shown = [(name, plain(value)) for name, value in fields if value not in (None, "", ())]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        sys.stdout.write(f"{name:<{width}}  {value}\n")


def plain(value: object) -> str:
    """A value as text without control characters: replies of strangers must not move the cursor."""
    if value is None:
        return ""
    return "".join(c if c.isprintable() else " " for c in str(value))


def moment(seconds: float | None) -> str:
    """Unix seconds as UTC to the second; empty for none."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if seconds else ""


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error while something long runs; the function takes done and total. Silent in a pipe."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        line = bar.add_task(title, total=total)
        yield lambda done, of: bar.update(line, completed=done, total=of)
