"""Recipient throttles: what a rule's allowance does not admit is dropped, or collected into a digest, before rendering.

A batch without such a rule costs a look at each delivery and no round trip. What was tried before was admitted before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from notifier import metrics
from notifier.channels.port import Directory, Withheld, Work
from notifier.domain.delivery import Status
from notifier.domain.rule import Throttle, Window
from notifier.storage.digests import Digests, Item
from notifier.storage.throttles import Question, Throttles
from notifier.worker.batch.preparer import gate
from notifier.worker.outage import retry_while_down

#: What the ledger says of a delivery that was one too many.
THROTTLED = "throttled"


#: `sift` of one process.
Sift = Callable[[list[Work], Directory, float], tuple[list[Work], list[Withheld]]]


def sift(
    throttles: Throttles, digests: Digests, work: list[Work], directory: Directory, now: float
) -> tuple[list[Work], list[Withheld]]:
    """What goes on its way, and what was one too many.

    One round trip for a batch with throttled rules, a second one when something is collected.
    """
    asking = [(one, throttle) for one in work if (throttle := one.rule.throttle) and _is_first(one)]
    asking = [(one, throttle) for one, throttle in asking if gate(one, directory, now) is None]
    if not asking:
        return work, []
    questions = [Question(one.delivery, throttle) for one, throttle in asking]
    answers = retry_while_down(lambda: throttles.admit(questions), "ask recipients' throttles")
    over = [pair for pair, admitted in zip(asking, answers, strict=True) if not admitted]
    if not over:
        return work, []
    _collect(digests, [(one, throttle) for one, throttle in over if throttle.overflow == "digest"], now)
    stopped = {one.delivery.id for one, _ in over}
    going = [one for one in work if one.delivery.id not in stopped]
    return going, [_withheld(one, throttle) for one, throttle in over]


def _collect(digests: Digests, over: Sequence[tuple[Work, Throttle]], now: float) -> None:
    if not over:
        return
    items = [Item(one.delivery, one.event, Window(after_first=throttle.per)) for one, throttle in over]
    collected = retry_while_down(lambda: digests.collect(items, now), "collect throttled deliveries")
    metrics.DIGEST_ITEMS.inc(sum(1 for item in collected if item.fresh))


def _is_first(one: Work) -> bool:
    """A digest was throttled item by item, and what was tried before had been admitted."""
    return one.claim.tries == 0 and one.delivery.digest is None


def _withheld(one: Work, throttle: Throttle) -> Withheld:
    if throttle.overflow == "digest":
        return Withheld(one, Status.HELD, f"{THROTTLED}: waits for its digest")
    return Withheld(one, Status.SUPPRESSED, THROTTLED)
