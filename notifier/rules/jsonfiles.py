"""JSON files that people write: read strictly, with the line of every mistake, also of one found by path later."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

#: What the standard library says → what is wrong and what to do; the first that fits.
_EXPLAINED = (
    (
        "Expecting ',' delimiter",
        "a comma or a closing bracket is missing behind this line",
        "write it at the line's end",
    ),
    ("Illegal trailing comma", "a comma with nothing behind it", "remove the comma"),
    ("Expecting property name", "", "write a name in double quotes, and no comma before a closing }"),
    ("Expecting ':' delimiter", "", "write a colon between the name and its value"),
    ("Expecting value", "", "write a value: a text in double quotes, a number, true, false, null, [ or {"),
    ("Extra data", "something follows the end of the value", "a file has one value: is a bracket closed too early?"),
    ("Unterminated string", "a text has no end", "close it with double quotes on the same line"),
    ("Invalid control character", "a text goes over a line end or has a tab", r"write \n or \t"),
    ("Invalid \\", "", r"write \\ for a backslash"),
)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


class JsonMistake(ValueError):
    """The file is not JSON as we read it."""

    def __init__(self, line: int, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.line = line
        self.fix = fix


def read_json(text: str) -> Any:
    """The value. Raises `JsonMistake`, also for duplicate keys and NaN, which the standard library lets through."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _explained(text, error) from error
    except _Refused as error:
        raise JsonMistake(_line_of_word(text, error.word), str(error), error.fix) from error
    except (RecursionError, ValueError) as error:
        # ValueError: an integer of more than 4,300 digits (sys.set_int_max_str_digits).
        raise JsonMistake(1, f"not JSON we read: {error}") from error


def line_of(text: str, path: Sequence[str | int]) -> int:
    """The line of the value at ``path`` in JSON that `read_json` took; of the nearest value around it otherwise."""
    line, depth = 1, 0
    here: list[str | int | None] = []
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word in {"}", "]"}:
            here.pop()
        elif word == ",":
            # None: an object's next key has not come yet.
            here[-1] = here[-1] + 1 if isinstance(here[-1], int) else None
        elif here and here[-1] is None:
            here[-1] = json.loads(word)
        elif word != ":":
            if len(here) > depth and here == list(path[: len(here)]):
                line, depth = text.count("\n", 0, match.start()) + 1, len(here)
            if word in {"{", "["}:
                here.append(None if word == "{" else 0)
    return line


def _explained(text: str, error: json.JSONDecodeError) -> JsonMistake:
    what, fix = next(((w, f) for begin, w, f in _EXPLAINED if error.msg.startswith(begin)), ("", ""))
    position = error.pos
    if error.msg.startswith(("Expecting ',' delimiter", "Expecting ':' delimiter", "Illegal")):
        # What is missing is so behind what was there last, which may be lines before.
        position = max(len(text[:position].rstrip()) - 1, 0)
    return JsonMistake(text.count("\n", 0, position) + 1, f"not JSON: {what or error.msg}", fix)


class _Refused(ValueError):
    def __init__(self, message: str, word: str, fix: str) -> None:
        super().__init__(message)
        self.word = word
        self.fix = fix


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _Refused(f"{twice[:40]!r} is written twice in one object", json.dumps(twice), "keep one of them")
    return found


def _refuse_constant(word: str) -> Any:
    raise _Refused(f"{word} is not JSON", word, "write a number, or null")


def _line_of_word(text: str, word: str) -> int:
    place = text.find(word)
    return text.count("\n", 0, place) + 1 if place >= 0 else 1
