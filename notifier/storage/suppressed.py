"""How a `Suppression` is stored: one text per address, which the release before reads too, and the other way round.

``since US reason``; with several parts of different kinds ``since US several US since US reason US since US reason…``.

reason  ``bounced: CODE``, ``complaint: TEXT``, ``forgotten``, ``unsubscribed:CATEGORY,CATEGORY``, or what an operator
        wrote, behind ``operator: `` where it could be taken for one of the others

A category that was switched off later than the first has ``=since`` behind it: for the release before that is one more
category, which no rule has. ``several`` is to it an operator's reason: it sends nothing, and lifts it at no replay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from notifier.domain.suppression import NOTHING, Part, PartKind, Suppression, by_operator, without_addresses
from notifier.storage.records import RECORD, UNIT, moment, stamp

_SEVERAL = "several"
_UNSUBSCRIBED = "unsubscribed:"
_OPERATOR = "operator: "
_FORGOTTEN = "forgotten"
_WORDS = {PartKind.BOUNCE: "bounced:", PartKind.COMPLAINT: "complaint:"}
#: What an operator's word must not begin with as it stands; the first is what a replay by the release before lifts.
_TAKEN = ("bounced", *_WORDS.values(), _UNSUBSCRIBED, _OPERATOR)
#: Before the time of the category before it.
_SINCE = "="
#: What would end a category in the middle; `%` because that is how the others are written.
_ESCAPED = str.maketrans({letter: f"%{ord(letter):02X}" for letter in f"%,={RECORD}{UNIT}"})


def encode(suppression: Suppression) -> str:
    """Empty for `NOTHING`."""
    categories = [part for part in suppression.parts if part.kind is PartKind.CATEGORY]
    pairs = [(part.since, _words(part)) for part in suppression.parts if part.kind is not PartKind.CATEGORY]
    if categories:
        pairs.append((categories[0].since, _categories(categories)))
    if len(pairs) > 1:
        pairs.insert(0, (suppression.since, _SEVERAL))
    return UNIT.join(f"{stamp(since)}{UNIT}{reason}" for since, reason in pairs)


def decode(stored: str | None) -> Suppression:
    """What is stored for an address. What nobody can read stops everything, as an operator's word would."""
    if not stored:
        return NOTHING
    try:
        return NOTHING.plus(*_read(stored.split(UNIT)))
    except ValueError:
        return NOTHING.plus(by_operator(stored, 0.0))


def _words(part: Part) -> str:
    if part.kind is PartKind.FORGOTTEN:
        return _FORGOTTEN
    if part.kind is PartKind.OPERATOR:
        taken = part.detail.startswith(_TAKEN) or part.detail == _FORGOTTEN
        return _OPERATOR + part.detail if taken else part.detail
    return f"{_WORDS[part.kind]} {part.detail}".rstrip()


def _categories(parts: Sequence[Part]) -> str:
    names = [
        part.detail.translate(_ESCAPED) + ("" if part.since == parts[0].since else f",{_SINCE}{stamp(part.since)}")
        for part in parts
    ]
    return _UNSUBSCRIBED + ",".join(names)


def _read(fields: Sequence[str]) -> list[Part]:
    pairs = [(moment(since), reason) for since, reason in zip(fields[::2], fields[1::2], strict=True)]
    if len(pairs) > 1 and pairs[0][1] == _SEVERAL:
        del pairs[0]
    return [part for since, reason in pairs for part in _parts(since, reason)]


def _parts(since: float, reason: str) -> Iterator[Part]:
    if reason.startswith(_UNSUBSCRIBED):
        yield from _read_categories(since, reason.removeprefix(_UNSUBSCRIBED).split(","))
        return
    for kind, word in _WORDS.items():
        if reason.startswith(word):
            yield Part(kind, since, reason.removeprefix(word).strip())
            return
    if reason == _FORGOTTEN:
        yield Part(PartKind.FORGOTTEN, since)
    else:
        yield Part(PartKind.OPERATOR, since, without_addresses(reason.removeprefix(_OPERATOR)))


def _read_categories(since: float, written: Sequence[str]) -> Iterator[Part]:
    for place, name in enumerate(written):
        if name.startswith(_SINCE):
            continue
        following = written[place + 1] if place + 1 < len(written) else ""
        own = moment(following[1:]) if following.startswith(_SINCE) else since
        yield Part(PartKind.CATEGORY, own, unquote(name))
