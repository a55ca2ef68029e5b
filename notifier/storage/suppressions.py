"""`Suppressions`: addresses that nothing, or not everything, is sent to, by recipient key, with all reasons.

A claim reads them in its own round trip (`claims.claim`). Every change is one script: it replaces what was read when
that is still there, and gives what is there otherwise, to begin again with. So a crash anywhere loses nothing that was
answered, and two who change one address at the same time both have their way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from notifier.domain.ids import former_key, recipient_key
from notifier.domain.suppression import NOTHING, Part, PartKind, Suppression, unsubscribed
from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.order import Order, page
from notifier.storage.records import milliseconds
from notifier.storage.store import Store
from notifier.storage.suppressed import decode, encode

#: Which of the script's keys a swap is in, counted as Lua counts them.
_SUPPRESSIONS, _MOVED = 1, 2


@dataclass(frozen=True, slots=True)
class Change:
    """What was known of an address before somebody changed it, and after."""

    before: Suppression
    after: Suppression

    @property
    def removed(self) -> tuple[Part, ...]:
        """Parts that are gone."""
        return tuple(part for part in self.before.parts if part not in self.after.parts)


@dataclass(frozen=True, slots=True)
class SuppressionPage:
    """Some suppressions, in the order of their keys."""

    entries: tuple[tuple[str, Suppression], ...]
    """Recipient key and what is known."""
    next: str
    """Pass it as ``after`` to get the next page; empty on the last."""


class Suppressions:
    """The suppression list. Raises `StorageUnavailable`; every call may be repeated."""

    def __init__(self, store: Store) -> None:
        self._run = store.run

    def add(self, recipient_key: str, part: Part) -> Change:
        """One more reason. Every other part stays, and so does one of this name: since when it has been so counts."""
        return self._run(_change(recipient_key, lambda known: known.plus(part)))

    def unsubscribe(self, recipient_key: str, category: str, now: float, person: str = "") -> None:
        """The owner of the address switches a category off; ``person`` is the key of whom the mail was for, by id.

        When their address has changed since that mail, the category is switched off for the new one too.
        """
        self._run(_unsubscribe(recipient_key, unsubscribed(category, now), person))

    def remove(self, recipient_key: str, names: Collection[str]) -> Change:
        """Lift the parts of these names (`Part.name`), and no other."""
        return self._run(_change(recipient_key, lambda known: known.minus(names)))

    def lift_bounce(self, recipient_key: str, seen: float) -> bool:
        """Lift a bounce that was known at ``seen``; False when there is none, or a newer one."""
        return bool(self._run(_change(recipient_key, lambda known: _without_bounce(known, seen))).removed)

    def key_of(self, address: str) -> str:
        """The key of an address, which from now on holds what was kept under its `ids.former_key` too."""
        self._run(adopt(address))
        return recipient_key(address)

    def get(self, recipient_key: str) -> Suppression:
        """What is known of an address; `NOTHING` where it may be written to."""
        return self._run(_get_many([recipient_key])).get(recipient_key, NOTHING)

    def get_many(self, recipient_keys: Sequence[str]) -> dict[str, Suppression]:
        """Those of several people, in one round trip."""
        return self._run(_get_many(recipient_keys))

    def list(self, limit: int = 100, after: str = "") -> SuppressionPage:
        """``limit`` entries, fewer on the last page; ``after`` is `next` of the page before."""
        return self._run(_list(limit, after))

    def count(self) -> int:
        """How many addresses are on the list."""
        return self._run(_count())


def move(person: str, old: str, new: str) -> Operation[None]:
    """Before a person's address changes: what is their wish and not the old mailbox's state holds for the new one.

    Links in mails to the old address change the new one from then on. Until the directory has the new address, both
    are kept apart as before, so whoever is killed in between has stopped nothing that should be sent.
    """
    while True:
        (texts,) = yield [command("HMGET", keys.suppressions(), old, new)]
        (there,) = yield [command("HGET", keys.moved(), person)]
        from_old, at_new = texts
        wanted = encode(decode(at_new).plus(*decode(from_old).wishes))
        swaps = [(_SUPPRESSIONS, old, from_old or "", from_old or ""), (_SUPPRESSIONS, new, at_new or "", wanted)]
        (refused,) = yield [_swap([*swaps, (_MOVED, person, there or "", new)])]
        if not refused:
            return


def adopt(address: str) -> Operation[None]:
    """What is kept under the `ids.former_key` of an address is kept under its key from now on."""
    key, former = recipient_key(address), former_key(address)
    while former:
        (texts,) = yield [command("HMGET", keys.suppressions(), key, former)]
        known, old = (text or "" for text in texts)
        if not old:
            return
        wanted = encode(decode(known).plus(*decode(old).parts))
        (refused,) = yield [_swap([(_SUPPRESSIONS, key, known, wanted), (_SUPPRESSIONS, former, old, "")])]
        if not refused:
            return


def _change(recipient_key: str, alter: Callable[[Suppression], Suppression]) -> Operation[Change]:
    """Nearly no address is on the list, so one that gets its first part costs one round trip."""
    stored = ""
    while True:
        before = decode(stored)
        after = alter(before)
        wanted = encode(after) if after != before else stored
        (refused,) = yield [_swap([(_SUPPRESSIONS, recipient_key, stored, wanted)])]
        if not refused:
            return Change(before, after)
        (stored,) = refused


def _unsubscribe(recipient_key: str, part: Part, person: str) -> Operation[None]:
    while True:
        moved = ""
        if person:
            (there,) = yield [command("HGET", keys.moved(), person)]
            moved = there or ""
        people = list(dict.fromkeys([recipient_key, moved] if moved else [recipient_key]))
        (texts,) = yield [command("HMGET", keys.suppressions(), *people)]
        known = [text or "" for text in texts]
        swaps = [
            (_SUPPRESSIONS, key, text, encode(decode(text).plus(part))) for key, text in zip(people, known, strict=True)
        ]
        if person:
            swaps.append((_MOVED, person, moved, moved))
        (refused,) = yield [_swap(swaps)]
        if not refused:
            return


def _without_bounce(known: Suppression, seen: float) -> Suppression:
    bounce = known.get(PartKind.BOUNCE)
    # In milliseconds, as it is stored: rounding must not make a bounce newer than the delivery that caused it.
    return known.minus([PartKind.BOUNCE]) if bounce and milliseconds(bounce.since) <= milliseconds(seen) else known


def _swap(swaps: Sequence[tuple[int, str, str, str]]) -> Call:
    """(which hash, field, expected, new): all or none."""
    words = (word for swap in swaps for word in swap)
    return run_script("swap_suppressions", [keys.suppressions(), keys.moved(), keys.suppressions_order()], *words)


def _get_many(recipient_keys: Sequence[str]) -> Operation[dict[str, Suppression]]:
    if not recipient_keys:
        return {}
    (stored,) = yield [command("HMGET", keys.suppressions(), *recipient_keys)]
    return {key: decode(text) for key, text in zip(recipient_keys, stored, strict=True) if text}


def _list(limit: int, after: str) -> Operation[SuppressionPage]:
    order = Order(keys.suppressions(), keys.suppressions_order(), lambda key, _: [key], each=1)
    stored, following = yield from page(order, "", after, limit)
    return SuppressionPage(tuple((key, decode(text)) for key, text in stored.items()), following)


def _count() -> Operation[int]:
    (count,) = yield [command("HLEN", keys.suppressions())]
    return int(count)
