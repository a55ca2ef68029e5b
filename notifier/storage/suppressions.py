"""`Suppressions`: addresses that nothing, or not everything, is sent to, by recipient key, with all reasons.

A claim reads them in its own round trip (`claims.claim`). A change of one address is one script: it replaces what was
read when that is still there, and gives what is there otherwise, to begin again with. So a crash anywhere loses nothing
that was answered, and two who change one address at the same time both have their way.

Two addresses of one person may lie in two slots of a Cluster, so they are changed one after the other, in an order in
which nothing is lost (`move`, `adopt`, `Suppressions.unsubscribe`).
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
from notifier.storage.spread import Spread
from notifier.storage.store import Store
from notifier.storage.suppressed import decode, encode


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
    """Some suppressions, in the order of their keys; on a Cluster of their slots first."""

    entries: tuple[tuple[str, Suppression], ...]
    """Recipient key and what is known."""
    next: str
    """Pass it as ``after`` to get the next page; empty on the last."""


class Suppressions:
    """The suppression list. Raises `StorageUnavailable`; every call may be repeated."""

    def __init__(self, store: Store) -> None:
        self._run = store.run
        self._spread = store.spread

    def add(self, recipient_key: str, part: Part) -> Change:
        """One more reason. Every other part stays, and so does one of this name: since when it has been so counts."""
        return self._run(_change(recipient_key, lambda known: known.plus(part), self._spread))

    def unsubscribe(self, recipient_key: str, category: str, now: float, person: str = "") -> None:
        """The owner of the address switches a category off; ``person`` is the key of whom the mail was for, by id.

        When their address has changed since that mail, the category is switched off for the new one too.
        """
        self._run(_unsubscribe(recipient_key, unsubscribed(category, now), person, self._spread))

    def remove(self, recipient_key: str, names: Collection[str]) -> Change:
        """Lift the parts of these names (`Part.name`), and no other."""
        return self._run(_change(recipient_key, lambda known: known.minus(names), self._spread))

    def lift_bounce(self, recipient_key: str, seen: float) -> bool:
        """Lift a bounce that was known at ``seen``; False when there is none, or a newer one."""
        change = _change(recipient_key, lambda known: _without_bounce(known, seen), self._spread)
        return bool(self._run(change).removed)

    def key_of(self, address: str) -> str:
        """The key of an address, which from now on holds what was kept under its `ids.former_key` too."""
        self._run(adopt(address, self._spread))
        return recipient_key(address)

    def get(self, recipient_key: str) -> Suppression:
        """What is known of an address; `NOTHING` where it may be written to."""
        return self._run(_get_many([recipient_key], self._spread)).get(recipient_key, NOTHING)

    def get_many(self, recipient_keys: Sequence[str]) -> dict[str, Suppression]:
        """Those of several people, in one round trip."""
        return self._run(_get_many(recipient_keys, self._spread))

    def list(self, limit: int = 100, after: str = "") -> SuppressionPage:
        """``limit`` entries, fewer on the last page; ``after`` is `next` of the page before."""
        return self._run(_list(limit, after, self._spread))

    def count(self) -> int:
        """How many addresses are on the list."""
        return self._run(_count(self._spread))


def move(person: str, old: str, new: str, spread: Spread) -> Operation[None]:
    """Before a person's address changes: what is their wish and not the old mailbox's state holds for the new one.

    Links in mails to the old address change the new one from then on. Whoever follows one changes the old address, and
    then looks where the person has moved; here it is first said where they move, and then read what the old address
    has. So a wish that comes meanwhile is seen here, or there, or by both.
    """
    yield [command("HSET", keys.moved(spread.tag(person)), person, new)]
    wishes = (yield from _get_many([old], spread)).get(old, NOTHING).wishes
    yield from _change(new, lambda known: known.plus(*wishes), spread)


def adopt(address: str, spread: Spread) -> Operation[None]:
    """What is kept under the `ids.former_key` of an address is kept under its key from now on.

    Never under neither: whoever looks meanwhile looks at both, and finds it.
    """
    key, former = recipient_key(address), former_key(address)
    old = ""
    if former:
        (stored,) = yield [command("HGET", keys.suppressions(spread.tag(former)), former)]
        old = stored or ""
    while old:
        parts = decode(old).parts
        yield from _change(key, lambda known, parts=parts: known.plus(*parts), spread)  # type: ignore[misc]
        (there,) = yield [_swap(former, old, "", spread)]
        old = there[0] if there else ""


def _change(key: str, alter: Callable[[Suppression], Suppression], spread: Spread) -> Operation[Change]:
    """Nearly no address is on the list, so one that gets its first part costs one round trip."""
    stored = ""
    while True:
        before = decode(stored)
        after = alter(before)
        wanted = encode(after) if after != before else stored
        (refused,) = yield [_swap(key, stored, wanted, spread)]
        if not refused:
            return Change(before, after)
        (stored,) = refused


def _unsubscribe(recipient_key: str, part: Part, person: str, spread: Spread) -> Operation[None]:
    yield from _change(recipient_key, lambda known: known.plus(part), spread)
    if person:
        # After the change: a move that began before it and has not seen it is seen here (`move`).
        (moved,) = yield [command("HGET", keys.moved(spread.tag(person)), person)]
        if moved and moved != recipient_key:
            yield from _change(moved, lambda known: known.plus(part), spread)


def _without_bounce(known: Suppression, seen: float) -> Suppression:
    bounce = known.get(PartKind.BOUNCE)
    # In milliseconds, as it is stored: rounding must not make a bounce newer than the delivery that caused it.
    return known.minus([PartKind.BOUNCE]) if bounce and milliseconds(bounce.since) <= milliseconds(seen) else known


def _swap(key: str, expected: str, wanted: str, spread: Spread) -> Call:
    tag = spread.tag(key)
    return run_script("swap_suppression", [keys.suppressions(tag), keys.suppressions_order(tag)], key, expected, wanted)


def _get_many(recipient_keys: Sequence[str], spread: Spread) -> Operation[dict[str, Suppression]]:
    parts = spread.parts(recipient_keys)
    if not parts:
        return {}
    replies = yield [command("HMGET", keys.suppressions(tag), *names) for tag, names in parts]
    pairs = [pair for (_, names), texts in zip(parts, replies, strict=True) for pair in zip(names, texts, strict=True)]
    return {key: decode(text) for key, text in pairs if text}


def _list(limit: int, after: str, spread: Spread) -> Operation[SuppressionPage]:
    order = Order(keys.suppressions, keys.suppressions_order, lambda key, _: [key], each=1)
    stored, following = yield from page(order, "", after, limit, spread)
    return SuppressionPage(tuple((key, decode(text)) for key, text in stored.items()), following)


def _count(spread: Spread) -> Operation[int]:
    counts = yield [command("HLEN", keys.suppressions(tag)) for tag in spread.tags]
    return sum(counts)
