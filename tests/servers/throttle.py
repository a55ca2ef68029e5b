"""A relay that throttles: it takes so many mails a second and answers the others with a refusal."""

import re
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Throttle:
    """A bucket of so many mails that fills up again at ``per_second``; counts what it let through and refused.

    ``step`` is where it says no: MAIL, RCPT or DOT. ``matching`` narrows it to some arguments, such as one domain.
    """

    per_second: float
    reply: str = "450 4.7.1 Error: too much mail from you"
    step: str = "MAIL"
    matching: str = ""
    burst: float = 10
    refused_at: list[float] = field(default_factory=list)
    """Unix time of each refusal."""
    _tokens: float = -1
    _filled: float = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, step: str, argument: str) -> str | None:
        """The refusal of one mail too many, or None."""
        if step != self.step or not re.search(self.matching, argument):
            return None
        with self._lock:
            now = time.monotonic()
            full = self.burst if self._tokens < 0 else self._tokens + (now - self._filled) * self.per_second
            self._tokens, self._filled = min(self.burst, full), now
            if self._tokens >= 1:
                self._tokens -= 1
                return None
            self.refused_at.append(time.time())
            return self.reply
