"""The budget of one render: steps for work, characters for text. Counted, never timed, so it fails the same everywhere.

Rejected: threads and signals (gevent cannot interrupt a loop on the CPU) and processes (1 ms and a pickle per render).
"""

from __future__ import annotations

from collections.abc import Collection
from contextvars import ContextVar, Token
from decimal import Decimal
from types import TracebackType
from typing import Any

#: Steps of one render. A step is one node of a template, one element copied or 64 characters looked at: 20-120 ns, so
#: the worst template ends after about 0.1 s. A digest of 100 items with 30 expressions each takes about 15,000.
STEPS = 1_000_000
#: Characters all strings made by one render may have together; a part of a message is capped at 1 MiB by itself.
CHARACTERS = 8 * 1024 * 1024
#: Nested macro, block and loop calls. 50 stay far below Python's recursion limit wherever the worker's stack stands.
DEPTH = 50
#: Nested lists and objects a comparison, a filter or `tojson` looks into.
NESTING = 100
_WEIGHTLESS = frozenset({int, float, Decimal, bool, type(None)})


class ExhaustedError(Exception):
    """The render used up its budget. Never leaves this package: `faults` turns it into `RenderBudgetExceeded`."""


class RefusedError(Exception):
    """A template did something that is not allowed or makes no sense. `faults` turns it into `RenderError`."""


class Meter:
    """What one render has left. ``with Meter(names):`` makes it the current one."""

    __slots__ = ("characters", "depth", "locale", "names", "steps", "timezone", "token")

    def __init__(self, names: Collection[str] = (), *, locale: str = "", timezone: str = "") -> None:
        self.steps = STEPS
        self.characters = CHARACTERS
        self.depth = 0
        self.names = names
        """Names the template may use, for the suggestion when it uses another."""
        self.locale = locale
        """Language of the texts. Here and not in Jinja's context, which imported macros do not have."""
        self.timezone = timezone
        self.token: Token[Meter] | None = None

    def __enter__(self) -> Meter:
        self.token = _CURRENT.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.token is not None:
            _CURRENT.reset(self.token)
            self.token = None


#: Greenlets, threads and asyncio tasks each have their own context, so renders never share a meter.
_CURRENT: ContextVar[Meter] = ContextVar("meter")
current = _CURRENT.get


def spend(steps: int) -> None:
    """Pay for work about to be done."""
    meter = current()
    meter.steps -= steps
    if meter.steps < 0:
        raise ExhaustedError(f"took more than {STEPS:,} steps")


def spend_characters(count: int) -> None:
    """Pay for a string before it is made."""
    meter = current()
    meter.characters -= count
    meter.steps -= count >> 6
    if meter.characters < 0:
        raise ExhaustedError(f"made more than {CHARACTERS:,} characters of text")
    if meter.steps < 0:
        raise ExhaustedError(f"took more than {STEPS:,} steps")


def enter() -> Meter:
    """Go one call deeper; the caller lowers ``depth`` again."""
    meter = current()
    if meter.depth >= DEPTH:
        raise ExhaustedError(f"calls itself more than {DEPTH} levels deep")
    meter.depth += 1
    return meter


def weigh(*values: Any) -> int:
    """Pay for looking at all of these, inside too, and return their characters.

    Shared lists count as often as they occur: ``[a, a]`` forty times over is a small object that compares, hashes and
    prints like 2^40 elements, and runs out of steps here instead.
    """
    characters = 0
    level: list[Any] = list(values)
    for _ in range(NESTING):
        spend(len(level))
        following: list[Any] = []
        for value in level:
            # In the order of how often they occur: a JSON value is mostly texts and numbers.
            kind = type(value)
            if kind is str or (kind not in _WEIGHTLESS and isinstance(value, str)):
                characters += len(value)
            elif kind in _WEIGHTLESS:
                continue
            elif isinstance(value, dict):
                spend(len(value) * 2)
                following += value
                following += value.values()
            elif isinstance(value, list | tuple):
                spend(len(value))
                following += value
        if not following:
            spend(characters >> 6)
            return characters
        level = following
    raise ExhaustedError(f"looks into lists or objects nested more than {NESTING} levels deep")
