"""The faults of a soak: each is done to the running service and has ended when it returns."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable

from tests.acceptance.service import Process
from tests.bench.relay import Behaviour, Relay
from tests.bench.stage import Stage

#: The relay refuses this share of recipients for so long.
_SHARE, _REFUSES_S = 0.2, 5.0
#: A mail that came at most so long before a fault was not yet acknowledged, maybe not yet recorded, when it began.
_UNDER_WAY_S = 2.0


class Faults:
    """Draws one at a time from a shuffled deck, so that none is missing from a short soak."""

    def __init__(self, stage: Stage, relay: Relay, victim: Process, replace: Callable[[], Process]) -> None:
        self._stage = stage
        self._relay = relay
        self._victim = victim
        self._replace = replace
        self._dice = random.Random(20261121)
        self._deck: list[str] = []
        self.done: list[tuple[float, float, str]] = []
        """When each began and when it had struck (unix times), and its name."""

    def pause(self) -> float:
        """Seconds until the next one."""
        return self._dice.uniform(10, 25)

    def strike(self) -> str:
        """Do one; its name."""
        if not self._deck:
            self._deck = ["a worker killed with kill -9", "Redis restarted", "the relay answers 451 to a fifth for 5 s"]
            self._dice.shuffle(self._deck)
        name = self._deck.pop()
        began = time.time()
        struck = {"a": self._kill, "R": self._restart, "t": self._refuse}[name[0]]()
        self.done.append((began, struck, name))
        return name

    def counts(self) -> Counter[str]:
        """How often each was done."""
        return Counter(name for _, _, name in self.done)

    def causes(self, moments: Iterable[float]) -> Counter[str]:
        """Which fault struck within two seconds after each of these moments: what was under way when it did."""
        causes = Counter[str]()
        for moment in moments:
            near = (name for began, struck, name in self.done if began - _UNDER_WAY_S <= moment <= struck)
            causes[next(near, "no fault near")] += 1
        return causes

    def end(self) -> None:
        """The second worker stops as the first does."""
        self._stage.end(self._victim)

    def _kill(self) -> float:
        self._victim.kill()
        struck = time.time()
        self._victim = self._replace()
        return struck

    def _restart(self) -> float:
        self._stage.redis.restart()
        return time.time()

    def _refuse(self) -> float:
        self._relay.behave(Behaviour(share=_SHARE, reply="451 4.3.0 try again later"))
        time.sleep(_REFUSES_S)
        self._relay.behave(Behaviour())
        return time.time()
