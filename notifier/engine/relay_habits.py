"""`RelayHabits`: what was learned of a relay while mails went through it, each thing for a bounded time.

How many connections it serves, how many mails it takes on one, and how plainly it wants to be talked to. None of it is
an error: a mail that found it out goes again at once and spends no try.
"""

from __future__ import annotations

import logging
from enum import IntEnum

from notifier.engine.relay_breaker import Clock
from notifier.engine.smtp import SmtpConnection
from notifier.logs import get, wide

#: After this long a relay that was found to want fewer mails on a connection, or plainer talk, is tried again: it may
#: have been changed, and finding out anew costs one mail a round trip.
REMEMBERED_S = 3600.0
#: A relay that serves fewer connections than we may open is asked for one more this often.
ONE_MORE_EVERY_S = 60.0

_log = get("relay")


class Plainness(IntEnum):
    """How a relay wants to be talked to; each includes those before it."""

    AS_OFFERED = 0
    """Commands in groups when it offers PIPELINING (RFC 2920)."""
    NOT_ANNOUNCED = 1
    """Nothing behind a final dot before that is answered."""
    ONE_BY_ONE = 2
    """One command, one reply."""


class RelayHabits:
    """Of one relay, for one process; in the engine's loop."""

    def __init__(self, relay: str, clock: Clock, *, connections: int, announce: bool = False) -> None:
        """``connections`` is the most we open; ``announce`` whether the next mail may be named behind a final dot."""
        self._relay = relay
        self._clock = clock
        self._most = self._serves = connections
        self._one_more_at = 0.0
        self._announce = announce
        self._plainness = Plainness.AS_OFFERED
        self._plain_until = 0.0
        self._mails = 0
        self._mails_until = 0.0
        self._ended_after = 0
        self._trial: SmtpConnection | None = None
        self._trial_at = 0.0
        self.grouping_works = False
        """A mail whose commands went in one write was accepted."""
        self.announcing_works = False
        """A mail that was announced behind a final dot was accepted."""

    # Connections.

    @property
    def scarce(self) -> bool:
        """Whether it serves fewer connections than we may open, as far as is known."""
        return self._serves < self._most

    @property
    def connections(self) -> int:
        """How many it serves."""
        return self._serves

    def serves_more_than(self, count: int) -> bool:
        """Whether a further connection may be opened beside so many; now and then one more than it served before."""
        if count >= self._serves and self.scarce and self._clock() >= self._one_more_at:
            self._serves += 1
            self._one_more_at = self._clock() + ONE_MORE_EVERY_S
        return count < self._serves

    def serves(self, count: int) -> None:
        """So many connections are open and work."""
        self._serves = max(self._serves, min(count, self._most))

    def serves_only(self, count: int, why: str) -> None:
        """A further connection failed, or was sent away, beside so many that work."""
        if not self.scarce:
            fields = {"relay": self._relay, "connections": max(1, count), "allowed": self._most, "reason": why}
            wide(_log, "relay.fewer_connections", level=logging.WARNING, **fields)
        self._serves = max(1, min(count, self._most))
        self._one_more_at = self._clock() + ONE_MORE_EVERY_S

    # Mails on one connection.

    @property
    def mails(self) -> int:
        """How many it takes on one connection; 0 when nothing is known."""
        if self._mails and self._clock() >= self._mails_until:
            self._mails = 0
        return self._mails

    def takes_only(self, mails: int, why: str) -> None:
        """It said that a connection is used up after so many."""
        if self.mails != mails:
            wide(_log, "relay.mails_per_connection", relay=self._relay, mails=mails, reason=why)
        self._mails, self._mails_until = mails, self._clock() + REMEMBERED_S

    def closed_after(self, mails: int, why: str) -> None:
        """It closed a connection without saying that it was used up: twice after as many mails is no chance."""
        if mails == self._ended_after:
            self.takes_only(mails, why)
        self._ended_after = mails

    # Talk.

    @property
    def plainness(self) -> Plainness:
        """How it wants to be talked to."""
        if self._plainness and self._clock() >= self._plain_until:
            self._plainness = Plainness.AS_OFFERED
            self.grouping_works = self.announcing_works = False
        return self._plainness

    @property
    def announces(self) -> bool:
        """Whether the next mail may be announced behind a final dot."""
        return self._announce and not self.plainness

    def may_announce(self, connection: SmtpConnection) -> bool:
        """Whether it may be done on that connection: on one alone, until it is known to work there.

        Where it does not, the mail before may be lost sight of as well; so it is one mail, and not one of each session.
        """
        if not self.announcing_works and not (self._trial and self._trial.usable) and self._clock() >= self._trial_at:
            self._trial, self._trial_at = connection, self._clock() + ONE_MORE_EVERY_S
        return self.announcing_works or self._trial is connection

    def note_accepted(self, grouped: bool, announced: bool) -> None:
        """A mail was accepted whose commands were said like this."""
        if grouped:
            self.grouping_works = True
        if announced:
            self.announcing_works = True

    def wants(self, plainness: Plainness, why: str) -> None:
        """A mail that failed otherwise went through like this."""
        if plainness <= self.plainness:
            return
        wide(_log, "relay.talked_to_plainly", relay=self._relay, how=plainness.name.lower(), reason=why)
        self._plainness, self._plain_until = plainness, self._clock() + REMEMBERED_S
