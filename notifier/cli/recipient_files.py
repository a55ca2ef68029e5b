"""``notifier recipients import``, ``export`` and ``reindex``: everybody at once, on Redis directly."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from notifier.cli.auditing import changing, note, steps
from notifier.cli.exits import FAILED, USAGE, complain, fail
from notifier.cli.opening import opened_stores
from notifier.cli.printing import plain, print_json, progress

if TYPE_CHECKING:
    from notifier.api.importing import Import, Imported
    from notifier.api.lines import Line

#: Bytes read at once.
_BLOCK = 1024 * 1024
_FORMATS = ("jsonl", "csv")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@changing
def bring_in(
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON Lines or CSV; - for standard input.")],
    form: Annotated[
        str, typer.Option("--format", metavar="jsonl|csv", help="Default: csv where FILE ends so, else jsonl.")
    ] = "",
    from_line: Annotated[int, typer.Option(min=1, help="Leave out the lines before: what was stored already.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check; nothing is stored.")] = False,
    as_json: Json = False,
) -> None:
    """Add or replace everybody in a file, each as `set` does; the same file again changes nothing.

    A line of JSON Lines is an object with id and what `set` takes: email, name, locale, timezone, phone, addresses. The
    first line of CSV names these as columns, addresses.KIND for each kind. A line that cannot be stored is left out and
    told with its number; then the exit code is 1.

    Example: notifier recipients import people.csv --dry-run
    """
    from notifier.api.importing import Import

    if form and form not in _FORMATS:
        raise fail(f"--format is {form!r}; it is jsonl or csv", USAGE)
    is_csv = form == "csv" or (not form and file.lower().endswith(".csv"))
    with _opened(file) as stream, opened_stores() as stores:
        if dry_run:
            importing = Import(_checked_only)
            _run(importing, stream, is_csv, from_line)
        else:
            importing = Import(stores.recipients.put)
            with steps("recipients.import"):
                _run(importing, stream, is_csv, from_line)
            note("recipients.imported", people=importing.done.people, lines=importing.done.lines)
    _report(file, importing.done, dry_run, as_json)
    if importing.done.mistakes:
        raise typer.Exit(FAILED)


@changing
def take_out(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Written anew; - for standard output.")] = "-",
) -> None:
    """Write everybody as JSON Lines, addresses in clear, as `import` reads them. In no order.

    Example: notifier recipients export people.jsonl
    """
    seen: set[str] = set()
    with _written(file) as stream, opened_stores() as stores:
        for people in stores.recipients.everybody():
            fresh = [person for person in people if person.id not in seen]
            seen.update(person.id for person in fresh)
            stream.write(b"".join(map(_line, fresh)))
    note("recipients.exported", people=len(seen))
    complain(f"{len(seen):,} recipients written")


@changing
def reindex() -> None:
    """Enter everybody in the index by which `notifier forget` finds an address.

    Needed once after an older release has stored people beside or after this one: `notifier forget` reads everybody
    until then, or misses whom a release before has changed since.

    Example: notifier recipients reindex
    """
    with opened_stores() as stores, steps("recipients.reindex"), progress("Reading recipients", 0) as moved:
        found = stores.recipients.reindex(moved)
    note("recipients.reindexed", found=found)
    typer.echo(f"{found:,} recipients are in the index")


def _checked_only(_: object) -> Any:
    from notifier.storage.recipients import Stored

    return Stored()


def _run(importing: Import, stream: BinaryIO, is_csv: bool, from_line: int) -> None:
    from notifier.api.importing import csv_batches, json_batches

    size = _size(stream)
    lines = (line for line in _lines(stream) if line.number >= from_line or (is_csv and line.number == 1))
    batches = csv_batches(lines) if is_csv else json_batches(lines)
    with progress("Importing", size) as moved:
        try:
            importing.take_all(batches, lambda _: moved(min(_at(stream), size), size))
        except BaseException:
            last = importing.done.lines
            if last:
                complain(f"what is before line {last + 1:,} is done; --from-line {last + 1} goes on behind it")
            raise


def _lines(stream: BinaryIO) -> Iterator[Line]:
    from notifier.api.lines import Lines

    lines = Lines()
    while data := stream.read(_BLOCK):
        yield from lines.feed(data)
    yield from lines.end()


def _opened(file: str) -> AbstractContextManager[BinaryIO]:
    try:
        return nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb")
    except OSError as error:
        raise fail(f"{file}: {error.strerror}", USAGE) from None


def _written(file: str) -> AbstractContextManager[BinaryIO]:
    if file == "-":
        return nullcontext(sys.stdout.buffer)
    try:
        # For who runs this alone: everybody's addresses are in it.
        return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
    except OSError as error:
        raise fail(f"{file}: {error.strerror}", USAGE) from None


def _size(stream: BinaryIO) -> int:
    """Bytes, for the bar; 0 of a pipe."""
    return os.fstat(stream.fileno()).st_size if stream.seekable() else 0


def _at(stream: BinaryIO) -> int:
    return stream.tell() if stream.seekable() else 0


def _line(person: Any) -> bytes:
    import orjson

    given = {name: value for name, value in dataclasses.asdict(person).items() if value}
    return orjson.dumps(given) + b"\n"


def _report(file: str, done: Imported, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(done))
        return
    stored = done.stored
    if dry_run:
        typer.echo(f"{done.people:,} people could be stored; nothing was done")
    else:
        typer.echo(f"{stored.added:,} people added, {stored.changed:,} changed, {stored.same:,} the same as before")
    if not done.mistakes:
        return
    for mistake in done.told:
        where = f" {plain(mistake.where)}:" if mistake.where else ""
        sys.stderr.write(f"{file}:{mistake.line}:{where} {plain(mistake.why)}\n")
    more = f"; the first {len(done.told)} are told" if done.mistakes > len(done.told) else ""
    complain(f"{done.mistakes:,} lines were left out{more}")
