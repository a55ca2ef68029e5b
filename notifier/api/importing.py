"""`Import`: many recipients at once, from JSON Lines or CSV, each read and checked as `PUT /v1/recipients/{id}` does.

Lines are read and stored in batches, in their order, and a batch is read while Redis stores the one before it. A line
that cannot be stored is left out and told with its number; all others are stored. Doing it again changes nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from notifier.api.lines import LONGEST, Line
from notifier.api.models import ID_PATTERN, RecipientChange
from notifier.api.recipients import checked_person
from notifier.domain.recipient import Recipient
from notifier.errors import InvalidDestination
from notifier.storage.recipients import Stored

#: Lines read and stored together: Redis answers nobody else for half a millisecond at a time.
BATCH = 500
#: Mistakes told one by one; all are counted.
TOLD = 100
#: How a column of addresses begins: ``addresses.push``.
_ADDRESSES = "addresses."
#: What may stand between the cells of a CSV file: spreadsheets write what their country's comma leaves free.
_DELIMITERS = ",;\t"
_ENCODINGS = ("utf-8", "surrogateescape")


class RecipientLine(RecipientChange):
    """One person of an import."""

    id: Annotated[str, Field(pattern=ID_PATTERN, max_length=256)]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Why a line was left out."""

    line: int
    where: str
    """The field; empty where it is the whole line."""
    why: str


@dataclass
class Imported:
    """What became of the lines so far."""

    lines: int = 0
    """The last that was read."""
    people: int = 0
    """Of these, those that are right."""
    stored: Stored = field(default_factory=Stored)
    mistakes: int = 0
    told: list[Mistake] = field(default_factory=list)
    """The first of them."""


_Read = Recipient | Mistake
_LINE = TypeAdapter(RecipientLine)
_LINES = TypeAdapter(list[RecipientLine])


class Import:
    """One import. ``put`` stores people, or does nothing in a dry run."""

    def __init__(self, put: Callable[[Sequence[Recipient]], Stored]) -> None:
        self.done = Imported()
        """Up to the last line that is stored; it grows with each batch."""
        self._put = put

    def take(self, lines: Sequence[Line]) -> None:
        """Lines of JSON, in order; empty ones are nobody."""
        self.store(lines[-1].number, read_json(lines)) if lines else None

    def take_all(self, batches: Iterable[tuple[int, Sequence[_Read]]], progress: Callable[[int], None]) -> None:
        """Batches with the number of their last line; ``progress`` is told of each that is stored."""
        with ThreadPoolExecutor(1, "import") as storing:
            under_way: Future[None] | None = None
            for last, people in batches:
                if under_way is not None:
                    under_way.result()
                    progress(self.done.lines)
                under_way = storing.submit(self.store, last, people)
            if under_way is not None:
                under_way.result()
                progress(self.done.lines)

    def store(self, last: int, read: Sequence[_Read]) -> None:
        """What was read up to this line."""
        people = [one for one in read if isinstance(one, Recipient)]
        mistakes = [one for one in read if isinstance(one, Mistake)]
        if people:
            self.done.stored += self._put(people)
        self.done.people += len(people)
        self.done.mistakes += len(mistakes)
        self.done.told += mistakes[: TOLD - len(self.done.told)]
        self.done.lines = last


def json_batches(lines: Iterable[Line]) -> Iterator[tuple[int, Sequence[_Read]]]:
    """People of JSON Lines (https://jsonlines.org), for `Import.take_all`."""
    several = iter(lines)
    while batch := list(islice(several, BATCH)):
        yield batch[-1].number, read_json(batch)


def csv_batches(lines: Iterable[Line]) -> Iterator[tuple[int, Sequence[_Read]]]:
    """People of CSV (RFC 4180) with a line of names first; a cell that is empty is left out."""
    several = iter(lines)
    header = next(several, Line(1, b""))
    if (wrong := _wrong_header(header)) is not None:
        yield header.number, [wrong]
        return
    table = _Table(header, several)
    rows = iter(table)
    while batch := list(islice(rows, BATCH)):
        yield table.last, batch


def read_json(lines: Sequence[Line]) -> list[_Read]:
    """A person or a mistake for each line that is not empty."""
    wanted = [line for line in lines if line.text is None or line.text.strip()]
    texts = [line.text for line in wanted if line.text is not None]
    # All at once is a third of the time. Joined by line ends, which no JSON text has inside: so lines that are wrong
    # each by itself cannot be right together, and whatever is wrong is looked for line by line.
    if len(texts) == len(wanted) and all(t.lstrip()[:1] == b"{" and t.rstrip()[-1:] == b"}" for t in texts):
        try:
            found = _LINES.validate_json(b"[" + b",\n".join(texts) + b"]")
        except ValidationError:
            found = []
        if len(found) == len(wanted):
            return [_checked(line.number, one) for line, one in zip(wanted, found, strict=True)]
    return [_read_line(line) for line in wanted]


def _read_line(line: Line) -> _Read:
    if line.text is None:
        return _too_long(line.number)
    return _validated(line.number, lambda: _LINE.validate_json(line.text or b""))


def _too_long(number: int) -> Mistake:
    return Mistake(number, "", f"the line is longer than {LONGEST:,} bytes")


def _validated(number: int, read: Callable[[], RecipientLine]) -> _Read:
    try:
        found = read()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part)[:80] for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        return Mistake(number, where, f"{first['msg'].replace(' at line 1 column', ' at column')}{more}")
    return _checked(number, found)


def _checked(number: int, line: RecipientLine) -> _Read:
    try:
        return checked_person(
            Recipient(line.id, line.email, line.name, line.locale, line.timezone, line.phone, line.addresses)
        )
    except InvalidDestination as error:
        return Mistake(number, "", str(error))


def _wrong_header(header: Line) -> Mistake | None:
    if header.text is None:
        return _too_long(header.number)
    names = _names(header.text)
    known = set(RecipientLine.model_fields) - {"addresses"}
    wrong = [n for n in names if n not in known and not (n.startswith(_ADDRESSES) and len(n) > len(_ADDRESSES))]
    if wrong or "id" not in names or len(set(names)) < len(names):
        what = f"{wrong[0][:40]!r} is no column" if wrong else "each column stands once, and one of them is id"
        columns = ", ".join(name for name in RecipientLine.model_fields if name != "addresses")
        return Mistake(header.number, "", f"{what}; the first line names the columns: {columns}, addresses.KIND")
    return None


def _delimiter(text: bytes) -> str:
    return max(_DELIMITERS, key=lambda one: text.count(one.encode()))


def _names(text: bytes) -> list[str]:
    rows = list(csv.reader([text.decode(*_ENCODINGS)], delimiter=_delimiter(text)))
    return [name.strip() for name in rows[0]] if rows else []


class _Table:
    """Rows behind a line of names, which may be of several lines each."""

    def __init__(self, header: Line, lines: Iterator[Line]) -> None:
        self.last = header.number
        """The last line that was read."""
        assert header.text is not None  # noqa: S101 - `_wrong_header` has looked
        self._names = _names(header.text)
        self._lines = lines
        self._is_too_long = False
        self._rows = csv.reader(self._texts(), delimiter=_delimiter(header.text), strict=True)

    def __iter__(self) -> Iterator[_Read]:
        while True:
            first = self.last + 1
            try:
                cells = next(self._rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield Mistake(first, "", f"not a row of CSV: {error}")
                continue
            if self._is_too_long:
                self._is_too_long = False
                yield _too_long(first)
            elif any(cells):
                yield self._person(first, cells)

    def _texts(self) -> Iterator[str]:
        for line in self._lines:
            self.last = line.number
            self._is_too_long |= line.text is None
            yield (line.text or b"").decode(*_ENCODINGS) + "\n"

    def _person(self, number: int, cells: Sequence[str]) -> _Read:
        if len(cells) > len(self._names):
            return Mistake(number, "", f"the row has {len(cells)} cells, more than there are columns")
        named: dict[str, Any] = {}
        for name, cell in zip(self._names, cells, strict=False):
            if cell and name.startswith(_ADDRESSES):
                named.setdefault("addresses", {})[name.removeprefix(_ADDRESSES)] = cell
            elif cell:
                named[name] = cell
        return _validated(number, lambda: _LINE.validate_python(named))
