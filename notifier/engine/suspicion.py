"""`Suspicion`: the mails that a relay refused in a row for a reason that should concern every mail, and who checks it.

"Relaying denied" may be meant for everybody or for recipients outside. So a relay that is paused for such answers is
asked at once by mails of other kinds: one that it takes shows that it is these mails, and that the relay is well.
"""

from __future__ import annotations

from collections.abc import Callable

from notifier.engine.smtp import Mail

#: Mails of other kinds that may ask while the first cool-down lasts.
MOST_OTHERS = 5
#: Refused mails that are remembered, so that none of them is a probe.
MOST_REMEMBERED = 1000
#: Seconds for which refusals of a kind count no more after mails of another kind went through.
CLEARED_FOR_S = 60.0

#: Sender and recipient; sender and the recipient's domain.
Key = tuple[str, str]
Kind = tuple[str, str]


class Suspicion:
    """Belongs to one relay's breaker; forgotten when a mail goes through."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._refused: set[Key] = set()
        self._avoided: set[Key] = set()
        self._asking: set[Key] = set()
        self._kinds: set[Kind] = set()
        self._others_left = 0
        self._others_until = 0.0
        self._cleared: frozenset[Kind] = frozenset()
        self._cleared_until = 0.0

    @property
    def mails(self) -> int:
        """Different mails that were refused in a row; one that comes again and again counts once."""
        return len(self._refused)

    def grows(self, mail: Mail) -> bool:
        """It was refused; False when its kind is known to be refused by a relay that is well."""
        if self._cleared_until and self._clock() >= self._cleared_until:
            self._cleared, self._cleared_until = frozenset(), 0.0
        if _kind(mail) in self._cleared:
            return False
        self.avoid(mail)
        if len(self._refused) < MOST_REMEMBERED:
            self._refused.add(_key(mail))
            self._kinds.add(_kind(mail))
        return True

    def avoid(self, mail: Mail) -> None:
        """It must not be the next probe."""
        if len(self._avoided) < MOST_REMEMBERED:
            self._avoided.add(_key(mail))

    def avoids(self, mail: Mail) -> bool:
        """Whether it is one of those that had trouble a moment ago."""
        return _key(mail) in self._avoided

    def opened(self, until: float) -> None:
        """The relay was paused; mails of other kinds may ask until then."""
        self._others_left = MOST_OTHERS if self._refused else 0
        self._others_until = until

    @property
    def wants_others(self) -> bool:
        """Whether a mail of another kind may ask at once."""
        return self._others_left > 0 and self._clock() < self._others_until

    def lets_ask(self, mail: Mail) -> bool:
        """Whether this mail is of another kind and may ask at once."""
        if not self.wants_others or _kind(mail) in self._kinds:
            return False
        self._others_left -= 1
        self._asking.add(_key(mail))
        return True

    def asked(self, mail: Mail) -> bool:
        """Whether it was let to ask."""
        return _key(mail) in self._asking

    def clear(self, by: Mail | None = None) -> None:
        """A mail went through; ``by`` is the one that showed a paused relay to be well."""
        if by is not None and self._kinds and _kind(by) not in self._kinds:
            self._cleared, self._cleared_until = frozenset(self._kinds), self._clock() + CLEARED_FOR_S
        for seen in (self._refused, self._avoided, self._asking, self._kinds):
            seen.clear()
        self._others_left = 0


def _key(mail: Mail) -> Key:
    return _from(mail), mail.recipient


def _from(mail: Mail) -> str:
    """From, where it is not the envelope's sender: that one may be another for each mail (VERP)."""
    return mail.author or mail.sender


def _kind(mail: Mail) -> Kind:
    return _from(mail), mail.recipient.rpartition("@")[2].lower()
