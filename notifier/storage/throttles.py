"""`Throttles`: which deliveries a recipient's allowance admits; one script for a batch, on a Cluster one a slot.

A log per rule, recipient and key holds the admitted deliveries by the time they were planned. An admitted one is found
there again, and a dropped one finds the same neighbours again, so redelivered and retried batches get the same answers
without a list of what was dropped, which in the flood that throttles are for would be the long one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from notifier.domain.delivery import Delivery
from notifier.domain.ids import digest_id
from notifier.domain.rule import Throttle
from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.records import milliseconds
from notifier.storage.spread import Spread
from notifier.storage.store import Store

#: Seconds an admitted delivery is remembered beyond its window: a batch that comes back later than this counts anew,
#: unless it has been tried meanwhile; what was tried is never asked again.
REMEMBERED_S = 3600.0


@dataclass(frozen=True, slots=True)
class Question:
    """Whether this delivery may go to its recipient, by its rule's throttle."""

    delivery: Delivery
    throttle: Throttle


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of one, for somebody who only looks."""

    used: int
    """Deliveries admitted within the window."""
    admitted: bool
    """Whether this one would be, or has been."""


class Throttles:
    """The allowances of all recipients. Raises `StorageUnavailable` when Redis cannot answer now."""

    def __init__(self, store: Store) -> None:
        self._run = store.run
        self._spread = store.spread

    def admit(self, questions: Sequence[Question]) -> list[bool]:
        """Whether each may go; those that may are counted. One round trip; asking again changes nothing."""
        return self._run(_admit(questions, self._spread))

    def look(self, questions: Sequence[Question]) -> list[Allowance]:
        """As `admit` would answer; nothing is counted."""
        return self._run(_look(questions, self._spread))


def _admit(questions: Sequence[Question], spread: Spread) -> Operation[list[bool]]:
    parts: dict[str, list[int]] = {}
    groups = [_group(question.delivery) for question in questions]
    for place, group in enumerate(groups):
        parts.setdefault(spread.tag(group), []).append(place)
    replies = yield [_admit_call(tag, [(groups[i], questions[i]) for i in places]) for tag, places in parts.items()]
    admitted = [False] * len(questions)
    for places, answers in zip(parts.values(), replies, strict=True):
        for place, answer in zip(places, answers, strict=True):
            admitted[place] = answer == 1
    return admitted


def _admit_call(tag: str, asked: Sequence[tuple[str, Question]]) -> Call:
    logs: dict[str, int] = {}
    arguments: list[str | int] = []
    for group, question in asked:
        delivery, throttle = question.delivery, question.throttle
        arguments += [
            logs.setdefault(keys.throttle(group, tag), len(logs) + 1),
            keys.short(delivery.id, "dlv_"),
            milliseconds(delivery.queued),
            milliseconds(throttle.per),
            throttle.at_most,
            milliseconds(throttle.per + REMEMBERED_S),
        ]
    return run_script("throttle", list(logs), *arguments)


def _look(questions: Sequence[Question], spread: Spread) -> Operation[list[Allowance]]:
    calls = []
    for question in questions:
        group, planned = _group(question.delivery), milliseconds(question.delivery.queued)
        log = keys.throttle(group, spread.tag(group))
        window = milliseconds(question.throttle.per)
        calls.append(command("ZSCORE", log, keys.short(question.delivery.id, "dlv_")))
        calls.append(command("ZCOUNT", log, f"({planned - window}", f"({planned + window}"))
    replies = yield calls
    pairs = zip(replies[::2], replies[1::2], strict=True)
    return [
        Allowance(int(used), known is not None or int(used) < question.throttle.at_most)
        for question, (known, used) in zip(questions, pairs, strict=True)
    ]


def _group(delivery: Delivery) -> str:
    """Hashed, because a recipient may be an address."""
    return keys.short(digest_id(delivery.rule, delivery.to.identity, delivery.key, "throttle"), "dlv_")
