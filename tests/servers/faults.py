"""The ways in which an SMTP relay can answer other than well."""

import random
import re
import threading
from dataclasses import dataclass, field

from tests.servers.throttle import Throttle

DROP = "<drop>"
"""Close the connection without a word."""
HANG = "<hang>"
"""Never answer again on this connection."""
GARBAGE = "\x00\xff not smtp at all"
"""A line that is no SMTP reply."""


@dataclass
class Script:
    """One scripted answer: to which command, for which argument, how often."""

    command: str
    reply: str
    pattern: re.Pattern[str]
    times: int | None

    def takes(self, command: str, argument: str) -> bool:
        """Whether this script answers the command; counts its uses."""
        if self.command != command or self.times == 0 or not self.pattern.search(argument):
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass
class Dice:
    """Random refusals from a seed: the same seed refuses the same commands in the same order."""

    temporary: float
    permanent: float
    source: random.Random

    def reply(self, command: str) -> str | None:
        """A refusal of some recipients; every other command passes."""
        if command != "RCPT":
            return None
        thrown = self.source.random()
        if thrown < self.permanent:
            return "550 5.1.1 no such user (dice)"
        return "451 4.3.0 try again later (dice)" if thrown < self.permanent + self.temporary else None


@dataclass
class Faults:
    """All faults in force; the newest script that fits wins."""

    _scripts: list[Script] = field(default_factory=list)
    _dice: Dice | None = None
    _throttle: Throttle | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, script: Script) -> None:
        """Puts a script before the older ones."""
        with self._lock:
            self._scripts.insert(0, script)

    def roll(self, dice: Dice) -> None:
        """Refuses recipients at random from now on."""
        with self._lock:
            self._dice = dice

    def limit(self, throttle: Throttle) -> None:
        """Refuses what is too fast from now on."""
        with self._lock:
            self._throttle = throttle

    def clear(self) -> None:
        """Answers well again."""
        with self._lock:
            self._scripts.clear()
            self._dice = None
            self._throttle = None

    def reply(self, command: str, argument: str) -> str | None:
        """The scripted answer to a command, or None to answer well."""
        if self._throttle is not None and (refusal := self._throttle.answer(command, argument)) is not None:
            return refusal
        if not self._scripts and self._dice is None:
            return None
        with self._lock:
            for script in self._scripts:
                if script.takes(command, argument):
                    return script.reply
            return self._dice.reply(command) if self._dice else None
