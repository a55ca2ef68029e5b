"""`RelayBreaker`: whether a relay may be used now, and who may find out whether it is well again.

It opens when connection, TLS or login is refused, and at so many transactions in a row that broke off, or in which
different mails were refused for what concerns the relay (`engine.replies`). What it says about one recipient, sender
or mail shows it at work. While it is open nothing is said to it; after a cool-down that doubles, one mail probes it,
and never one that it has just refused. A relay that said we are too fast only rests for a moment.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from notifier.engine.replies import ReplyClass, classify
from notifier.engine.smtp import Mail
from notifier.engine.suspicion import Suspicion
from notifier.engine.transaction import Accepted, Broken, Paused, Phase, Rejected, Transaction
from notifier.logs import get, wide

Clock = Callable[[], float]

#: Seconds of the first pause, which a restarting relay takes, and of the longest: each pause is twice the one before.
FIRST_COOL_DOWN_S = 5.0
LONGEST_COOL_DOWN_S = 300.0
#: The first one after a refused login, and up to half as much more: workers that found it out together do not ask
#: together, and accounts are locked after a few wrong passwords in a few minutes.
LOGIN_COOL_DOWN_S = 60.0
LOGIN_SPREAD = 0.5
#: The first cool-down after refused mails: it may have been these mails after all, so another one asks soon.
SUSPICION_COOL_DOWN_S = 1.0
#: Transactions in a row that broke off or were refused for our fault before the relay is thought to be ill.
FAILURES_IN_A_ROW = 5
#: Seconds a relay rests that said we are too fast: what waits for a connection goes back untried instead of being
#: refused one by one, and by the time it returns the rate is known. Doubled while the relay takes nothing in between.
REST_S = 1.0
LONGEST_REST_S = 60.0
#: Seconds after which to look again while somebody else probes, or should.
PROBE_LOOK_S = 1.0
#: Seconds for which a probe that is due is kept for mails that were not refused; then any mail is better than none.
PROBE_PATIENCE_S = 5.0

#: Refusals that count against the relay when different mails get them in a row.
AGAINST_RELAY = frozenset({ReplyClass.CLIENT_REFUSED, ReplyClass.DIALOGUE, ReplyClass.RELAY_ILL, ReplyClass.LOGIN})
#: A login that is asked for before a recipient is named is asked for by every mail; one such answer is enough.
_BEFORE_RECIPIENT = frozenset({Phase.CONNECT, Phase.AUTH, Phase.MAIL})

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
        self._rest = REST_S
        self._rests_until = 0.0
        self._broken_in_a_row = 0
        self._suspicion = Suspicion(clock)
        self._probe: Mail | None = None
        self._unreachable = False
        self._troubled = False
        """Something is to be forgotten when a mail is accepted."""

    def admits(self, mail: Mail) -> Paused | None:
        """None: this mail may use the relay, as a probe when it is down; tell the end by one of the others."""
        if self.state.up:
            if self.remaining() > 0:
                return self.turns_away()
            self._rests_until = 0.0
            return None
        if self._suspicion.lets_ask(mail):
            return None
        if self._may_probe(mail):
            self._probe = mail
            return None
        return self.turns_away()

    def turns_away(self) -> Paused:
        """What a mail is told that may not use the relay now."""
        state = self.state
        due_in = self.remaining() if state.up else state.probe_at - self._clock()
        seconds = due_in if due_in > 0 and self._probe is None else PROBE_LOOK_S
        return Paused(state.relay, seconds, state.reason, down=not state.up)

    @property
    def passes(self) -> bool:
        """Whether the relay is up and does not rest, so that whoever uses it may go on without asking anew."""
        return self.state.up and not self._rests_until

    def remaining(self) -> float:
        """Seconds until the relay may be used or probed; 0 when it may be now."""
        if self.state.up:
            return max(0.0, self._rests_until - self._clock()) if self._rests_until else 0.0
        if self._suspicion.wants_others:
            return 0.0
        return PROBE_LOOK_S if self._probe is not None else max(0.0, self.state.probe_at - self._clock())

    def connected(self) -> None:
        """A connection was opened: the relay is back, if that was what it lacked."""
        if self._unreachable:
            self._close()

    def failed(self, reason: str, *, by_login: bool = False) -> None:
        """Connection, TLS or login was refused. Many at once count once."""
        if self.state.up or self._probe is not None:
            self._unreachable = True
        self._open(reason, _login_cool_down() if by_login else FIRST_COOL_DOWN_S)

    def ended(self, mail: Mail, transaction: Transaction) -> None:
        """A transaction ended."""
        if isinstance(transaction, Accepted):
            if self._troubled:
                self._is_well(mail)
        elif isinstance(transaction, Broken):
            self._broken_in_a_row += 1
            self._suspicion.avoid(mail)
            self._against(mail, describe(transaction), FIRST_COOL_DOWN_S)
        elif isinstance(transaction, Rejected):
            self._refused(mail, transaction)

    def rest(self, seconds: float) -> None:
        """Nothing is said to it for so long, although it is up."""
        self._rests_until = max(self._rests_until, self._clock() + seconds)

    def given_up(self, mail: Mail | None = None) -> None:
        """The probe was cancelled, or says nothing about the relay."""
        if mail is None or self._probe is mail:
            self._probe = None

    def _may_probe(self, mail: Mail) -> bool:
        late = self._clock() - self.state.probe_at
        return self._probe is None and late >= 0 and (late >= PROBE_PATIENCE_S or not self._suspicion.avoids(mail))

    def _refused(self, mail: Mail, rejected: Rejected) -> None:
        meaning = classify(rejected)
        if meaning is ReplyClass.LOGIN and rejected.phase in _BEFORE_RECIPIENT:
            self._open(describe(rejected), FIRST_COOL_DOWN_S)
        elif meaning not in AGAINST_RELAY:
            self._is_at_work(mail, throttles=meaning is ReplyClass.RELAY_RATE)
        elif self._suspicion.grows(mail) or self._probe is mail:
            self._against(mail, describe(rejected), SUSPICION_COOL_DOWN_S)

    def _against(self, mail: Mail, reason: str, cool_down: float) -> None:
        self._troubled = True
        in_a_row = self._broken_in_a_row + self._suspicion.mails
        if self._probe is mail or (self.state.up and in_a_row >= FAILURES_IN_A_ROW):
            self._open(reason, cool_down)

    def _is_well(self, mail: Mail) -> None:
        """It took a mail."""
        self._troubled, self._rest = False, REST_S
        self._broken_in_a_row = 0
        was_up = self.state.up
        if not was_up and (self._probe is mail or not self._unreachable):
            self._close()
        self._suspicion.clear(None if was_up else mail)

    def _is_at_work(self, mail: Mail, *, throttles: bool) -> None:
        """An answer that shows the relay at work, though it did not take the mail."""
        self._broken_in_a_row = 0
        if throttles:
            self._begin_rest()
        if self.state.up:
            self._suspicion.clear()
        elif self._probe is mail or self._suspicion.asked(mail):
            self._close()
            self._suspicion.clear(mail)

    def _begin_rest(self) -> None:
        self._troubled = True
        if not self._rests_until:
            self._rest, rest = min(2 * self._rest, LONGEST_REST_S), self._rest
            self._rests_until = self._clock() + rest

    def _open(self, reason: str, cool_down: float) -> None:
        was_up, now = self.state.up, self._clock()
        if not was_up and self._probe is None:
            return
        # Only a failed probe doubles the cool-down.
        doubled = 0.0 if was_up else min(2 * self._cool_down, LONGEST_COOL_DOWN_S)
        self._cool_down = max(cool_down, doubled)
        self._probe = None
        self._troubled = True
        self._suspicion.opened(now + self._cool_down if was_up else 0.0)
        probe_at = now + self._cool_down
        self.state = replace(
            self.state, up=False, reason=reason, since=now if was_up else self.state.since, probe_at=probe_at
        )
        if was_up:
            relay, probe_in = self.state.relay, self._cool_down
            wide(_log, "relay.paused", level=logging.WARNING, relay=relay, reason=reason, probe_in_s=probe_in)

    def _close(self) -> None:
        since, now = self.state.since, self._clock()
        self._probe, self._unreachable = None, False
        self._broken_in_a_row = 0
        self._cool_down = FIRST_COOL_DOWN_S
        self.state = RelayState(self.state.relay, up=True, reason="", since=now)
        wide(_log, "relay.resumed", relay=self.state.relay, paused_s=round(now - since, 1))


def _login_cool_down() -> float:
    return LOGIN_COOL_DOWN_S * random.uniform(1, 1 + LOGIN_SPREAD)  # noqa: S311 - spread, not a secret


def describe(failure: Rejected | Broken) -> str:
    """A failure as operators read it."""
    if isinstance(failure, Rejected):
        return f"{failure.phase}: {failure.code} {failure.text}"
    return f"{failure.phase}: {failure.kind}: {failure.why}"
