"""JSON files that people write: read strictly, with the line of every mistake, also of one found by path later."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


class JsonMistake(ValueError):
    """The file is not JSON as we read it."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


def read_json(text: str) -> Any:
    """The value. Raises `JsonMistake`, also for duplicate keys and NaN, which the standard library lets through."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise JsonMistake(error.lineno, f"not JSON: {error.msg}") from error
    except _Refused as error:
        raise JsonMistake(_line_of_word(text, error.word), str(error)) from error
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


class _Refused(ValueError):
    def __init__(self, message: str, word: str) -> None:
        super().__init__(message)
        self.word = word


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _Refused(f"{twice[:40]!r} is written twice in one object", json.dumps(twice))
    return found


def _refuse_constant(word: str) -> Any:
    raise _Refused(f"{word} is not JSON", word)


def _line_of_word(text: str, word: str) -> int:
    place = text.find(word)
    return text.count("\n", 0, place) + 1 if place >= 0 else 1
