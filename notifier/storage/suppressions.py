"""`Suppressions`: addresses nothing is sent to any more, by recipient key, with the reason.

A claim reads them in its own round trip (`claims.claim`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from notifier.storage import keys
from notifier.storage.commands import Operation, command
from notifier.storage.records import UNIT, clean, moment, stamp
from notifier.storage.store import Store


@dataclass(frozen=True, slots=True)
class Suppression:
    """One address nothing is sent to."""

    recipient_key: str
    reason: str
    since: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class SuppressionPage:
    """Some suppressions, in no order; an entry may appear twice while others are added."""

    entries: tuple[Suppression, ...]
    cursor: str
    """Pass it to get the next page; empty on the last."""


class Suppressions:
    """The suppression list."""

    def __init__(self, store: Store) -> None:
        self._run = store.run

    def add(self, recipient_key: str, reason: str, now: float) -> bool:
        """The first reason stays; False when the address was there."""
        return self._run(_add(recipient_key, reason, now))

    def remove(self, recipient_key: str) -> bool:
        """Write to this address again; False when it was not there."""
        return self._run(_remove(recipient_key))

    def get(self, recipient_key: str) -> Suppression | None:
        """Why an address is on the list."""
        return self._run(_get(recipient_key))

    def get_many(self, recipient_keys: Sequence[str]) -> dict[str, Suppression]:
        """Those of several people, in one round trip."""
        return self._run(_get_many(recipient_keys))

    def list(self, limit: int = 100, cursor: str = "") -> SuppressionPage:
        """About ``limit`` entries."""
        return self._run(_list(limit, cursor))

    def count(self) -> int:
        """How many addresses are on the list."""
        return self._run(_count())


def parse_suppression(recipient_key: str, stored: str) -> Suppression:
    """The entry that was stored; its reason is never empty."""
    since, _, reason = stored.partition(UNIT)
    return Suppression(recipient_key, reason, moment(since))


def _add(recipient_key: str, reason: str, now: float) -> Operation[bool]:
    value = stamp(now) + UNIT + (clean(reason) or "suppressed")
    (added,) = yield [command("HSETNX", keys.suppressions(), recipient_key, value)]
    return bool(added)


def _remove(recipient_key: str) -> Operation[bool]:
    (removed,) = yield [command("HDEL", keys.suppressions(), recipient_key)]
    return bool(removed)


def _get(recipient_key: str) -> Operation[Suppression | None]:
    (stored,) = yield [command("HGET", keys.suppressions(), recipient_key)]
    return None if stored is None else parse_suppression(recipient_key, stored)


def _get_many(recipient_keys: Sequence[str]) -> Operation[dict[str, Suppression]]:
    if not recipient_keys:
        return {}
    (stored,) = yield [command("HMGET", keys.suppressions(), *recipient_keys)]
    found = zip(recipient_keys, stored, strict=True)
    return {key: parse_suppression(key, text) for key, text in found if text is not None}


def _list(limit: int, cursor: str) -> Operation[SuppressionPage]:
    (reply,) = yield [command("HSCAN", keys.suppressions(), cursor or "0", "COUNT", limit)]
    following, entries = reply
    found = tuple(parse_suppression(key, stored) for key, stored in entries.items())
    return SuppressionPage(found, "" if str(following) == "0" else str(following))


def _count() -> Operation[int]:
    (count,) = yield [command("HLEN", keys.suppressions())]
    return int(count)
