"""Deliveries that go each by itself: what every channel does before and around a single try."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from notifier.channels.port import Ended, Ready
from notifier.domain.outcome import Deferred, NotTried, Outcome
from notifier.errors import ClaimLost
from notifier.logs import get

_log = get("worker")

#: One try; it has a deadline of its own: a second clock for each delivery cost 5 % of its CPU.
SendOne = Callable[[Ready], Awaitable[Outcome | NotTried]]


async def send_each(ready: Sequence[Ready], send: SendOne, ended: Ended) -> None:
    """All of them at once."""
    if len(ready) == 1:
        await send_one(0, ready[0], send, ended)
        return
    await asyncio.gather(*(send_one(place, one, send, ended) for place, one in enumerate(ready)))


async def send_one(place: int, ready: Ready, send: SendOne, ended: Ended) -> None:
    """One of them: from when it may leave, unless it has expired by then."""
    if ready.work.start:
        await asyncio.sleep(ready.work.start - time.time())
    started = time.time()
    expires = ready.work.delivery.expires
    if expires is not None and started >= expires:
        outcome: Outcome | NotTried = NotTried("expired", "its rate limit let it go too late", 0.0)
    else:
        outcome = await _try(ready, send)
    ended(place, outcome, started, time.time())


async def _try(ready: Ready, send: SendOne) -> Outcome | NotTried:
    try:
        return await send(ready)
    except ClaimLost as error:
        # Recording this is refused by its stale fence, so the other worker's outcome stands.
        return Deferred("claim_lost", str(error))
    except Exception as error:
        # A bug in a channel: the delivery is tried again and its neighbours go on; the log has the trace.
        _log.exception("delivery.crashed", extra={"fields": {"delivery": ready.work.delivery.id}})
        return Deferred("internal_error", f"{type(error).__name__}: {error}", uncertain=True)
