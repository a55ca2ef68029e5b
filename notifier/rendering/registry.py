"""The tables of filters and tests, and how an entry pays for its work: `shallow`, `deep`, `test`.

All give finished values, never generators: a chain of 100,000 lazy ``map`` calls would overflow the C stack. Left out
of Jinja's own set: `safe`, `striptags`, `urlize`, `xmlattr` (HTML belongs in templates), `wordwrap`, `center` (wide by
design), `attr`, `pprint`, `random`, `slice`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from notifier.rendering.meter import ExhaustedError, spend, spend_characters, weigh
from notifier.rendering.values import refuse_undefined

Filter = Callable[..., Any]
FILTERS: dict[str, Filter] = {}
TESTS: dict[str, Filter] = {}


def shallow(*names: str) -> Callable[[Filter], Filter]:
    """A filter that does not look inside its elements, so that ``digest.items | length`` costs one step."""

    def register(function: Filter) -> Filter:
        @wraps(function)
        def paid(*args: Any, **kwargs: Any) -> Any:
            spend(1 + len(args) + len(kwargs))
            try:
                return function(*args, **kwargs)
            except ExhaustedError:
                raise
            except Exception:
                # Whatever was refused: a name that nothing has is the reason, and is told instead of its kind.
                refuse_undefined(*args, *kwargs.values())
                raise

        FILTERS.update(dict.fromkeys(names, paid))
        return function

    return register


def deep(*names: str) -> Callable[[Filter], Filter]:
    """A filter that reads all of its value: everything inside is paid first, and the text it makes afterwards."""

    def register(function: Filter) -> Filter:
        @wraps(function)
        def paid(*args: Any, **kwargs: Any) -> Any:
            weigh(args, *kwargs.values())
            try:
                result = function(*args, **kwargs)
            except ExhaustedError:
                raise
            except Exception:
                refuse_undefined(*args, *kwargs.values())
                raise
            if isinstance(result, str):
                spend_characters(len(result))
            return result

        FILTERS.update(dict.fromkeys(names, paid))
        return function

    return register


def test(*names: str) -> Callable[[Filter], Filter]:
    """A test, what stands behind ``is``; comparing tests weigh their arguments themselves."""

    def register(function: Filter) -> Filter:
        @wraps(function)
        def paid(*args: Any) -> bool:
            spend(1 + len(args))
            return bool(function(*args))

        TESTS.update(dict.fromkeys(names, paid))
        return function

    return register
