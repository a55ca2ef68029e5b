"""`RelayBreaker`: whether a relay may be used now, and who may find out whether it is well again.

It opens when connection, TLS or login is refused, and when so many transactions in a row failed for our fault or broke
off: one refusal of that kind may be about one mail. While it is open nothing is said to the relay; after a cool-down
that doubles, one delivery probes it. A relay that said we are too fast only rests for a moment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from notifier.engine.replies import LOGIN_CODES, is_about_recipient, is_about_us, is_throttled
from notifier.engine.transaction import Accepted, Broken, Paused, Rejected, Transaction
from notifier.logs import get, wide

Clock = Callable[[], float]

FIRST_COOL_DOWN_S = 5.0
LONGEST_COOL_DOWN_S = 300.0
#: Transactions in a row that failed for our fault, or broke off, before the relay is thought to be ill.
FAILURES_IN_A_ROW = 5
#: Seconds a relay rests that said we are too fast: what waits for a connection goes back untried instead of being
#: refused one by one, and by the time it returns the rate is known.
REST_S = 1.0
#: Seconds after which to look again while somebody else probes.
PROBE_LOOK_S = 1.0

_log = get("relay")


@dataclass(frozen=True, slots=True)
class RelayState:
    """What operators see of a relay."""

    relay: str
    """``host:port``."""
    up: bool
    reason: str
    """Why it is paused; empty when it is up."""
    since: float
    """Unix seconds when it was paused, or came up again."""
    probe_at: float = 0.0
    """Unix seconds from which one delivery may probe it."""


class RelayBreaker:
    """One relay's breaker. Lives in the engine's loop; `state` and `remaining` are for any thread."""

    def __init__(self, relay: str, clock: Clock) -> None:
        self.state = RelayState(relay, up=True, reason="", since=clock())
        self._clock = clock
        self._cool_down = FIRST_COOL_DOWN_S
        self._rests_until = 0.0
        self._in_a_row = 0
        self._probing = False
        self._unreachable = False

    def admits(self) -> Paused | None:
        """None: the caller may use the relay, as the one probe when it is down; tell the end by one of the others."""
        if self.state.up and not self._rests_until:
            return None
        seconds = self.remaining()
        if seconds > 0:
            return Paused(self.state.relay, seconds, self.state.reason, down=not self.state.up)
        self._rests_until = 0.0
        self._probing = not self.state.up
        return None

    @property
    def passes(self) -> bool:
        """Whether the relay is up and does not rest, so that whoever uses it may go on without asking anew."""
        return self.state.up and not self._rests_until

    def remaining(self) -> float:
        """Seconds until the relay may be used or probed; 0 when it may be now."""
        if self.state.up:
            return max(0.0, self._rests_until - self._clock()) if self._rests_until else 0.0
        return PROBE_LOOK_S if self._probing else max(0.0, self.state.probe_at - self._clock())

    def connected(self) -> None:
        """A connection was opened: the relay is back, if that was what it lacked."""
        if self._unreachable:
            self._close()

    def failed(self, reason: str) -> None:
        """Connection, TLS or login was refused. Many at once count once."""
        if self.state.up or self._probing:
            self._unreachable = True
        self._open(reason)

    def ended(self, transaction: Transaction) -> None:
        """A transaction ended."""
        if isinstance(transaction, Accepted):
            self._in_a_row = 0
            if not self.state.up and (self._probing or not self._unreachable):
                self._close()
            return
        failure = _failure(transaction)
        if not failure:
            self._settle(transaction)
            return
        self._in_a_row += 1
        is_login = isinstance(transaction, Rejected) and transaction.code in LOGIN_CODES
        if self._probing or is_login or self._in_a_row >= FAILURES_IN_A_ROW:
            self._open(failure)

    def given_up(self) -> None:
        """A probe was cancelled, or says nothing about the relay."""
        self._probing = False

    def _settle(self, transaction: Transaction) -> None:
        """An answer that shows the relay at work, though it did not take the mail."""
        self._in_a_row = 0
        if isinstance(transaction, Rejected) and is_throttled(transaction) and not is_about_recipient(transaction):
            self._rests_until = self._clock() + REST_S
        if self._probing:
            self._close()

    def _open(self, reason: str) -> None:
        was_up, now = self.state.up, self._clock()
        if not was_up and not self._probing:
            return
        # Only a failed probe doubles the cool-down.
        self._cool_down = FIRST_COOL_DOWN_S if was_up else min(2 * self._cool_down, LONGEST_COOL_DOWN_S)
        self._probing = False
        probe_at = now + self._cool_down
        self.state = replace(
            self.state, up=False, reason=reason, since=now if was_up else self.state.since, probe_at=probe_at
        )
        if was_up:
            relay, probe_in = self.state.relay, self._cool_down
            wide(_log, "relay.paused", level=logging.WARNING, relay=relay, reason=reason, probe_in_s=probe_in)

    def _close(self) -> None:
        since, now = self.state.since, self._clock()
        self._probing = self._unreachable = False
        self._in_a_row = 0
        self._cool_down = FIRST_COOL_DOWN_S
        self.state = RelayState(self.state.relay, up=True, reason="", since=now)
        wide(_log, "relay.resumed", relay=self.state.relay, paused_s=round(now - since, 1))


def _failure(transaction: Transaction) -> str:
    """Why this speaks against the relay; empty when it does not."""
    if isinstance(transaction, Rejected) and is_about_us(transaction):
        return describe(transaction)
    return describe(transaction) if isinstance(transaction, Broken) else ""


def describe(failure: Rejected | Broken) -> str:
    """A failure as operators read it."""
    if isinstance(failure, Rejected):
        return f"{failure.phase}: {failure.code} {failure.text}"
    return f"{failure.phase}: {failure.kind}: {failure.why}"
