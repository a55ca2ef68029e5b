"""`Throttles`: which deliveries a recipient's allowance admits; one script for a whole batch.

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
from notifier.storage.commands import Operation, command, run_script
from notifier.storage.records import milliseconds
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

    def admit(self, questions: Sequence[Question]) -> list[bool]:
        """Whether each may go; those that may are counted. One round trip; asking again changes nothing."""
        return self._run(_admit(questions))

    def look(self, questions: Sequence[Question]) -> list[Allowance]:
        """As `admit` would answer; nothing is counted."""
        return self._run(_look(questions))


def _admit(questions: Sequence[Question]) -> Operation[list[bool]]:
    logs: dict[str, int] = {}
    arguments: list[str | int] = []
    for question in questions:
        delivery, throttle = question.delivery, question.throttle
        arguments += [
            logs.setdefault(_log(delivery), len(logs) + 1),
            keys.short(delivery.id, "dlv_"),
            milliseconds(delivery.queued),
            milliseconds(throttle.per),
            throttle.at_most,
            milliseconds(throttle.per + REMEMBERED_S),
        ]
    (answers,) = yield [run_script("throttle", list(logs), *arguments)]
    return [answer == 1 for answer in answers]


def _look(questions: Sequence[Question]) -> Operation[list[Allowance]]:
    calls = []
    for question in questions:
        log, planned = _log(question.delivery), milliseconds(question.delivery.queued)
        window = milliseconds(question.throttle.per)
        calls.append(command("ZSCORE", log, keys.short(question.delivery.id, "dlv_")))
        calls.append(command("ZCOUNT", log, f"({planned - window}", f"({planned + window}"))
    replies = yield calls
    pairs = zip(replies[::2], replies[1::2], strict=True)
    return [
        Allowance(int(used), known is not None or int(used) < question.throttle.at_most)
        for question, (known, used) in zip(questions, pairs, strict=True)
    ]


def _log(delivery: Delivery) -> str:
    """Hashed, because a recipient may be an address."""
    group = digest_id(delivery.rule, delivery.to.identity, delivery.key, "throttle")
    return keys.throttle(keys.short(group, "dlv_"))
