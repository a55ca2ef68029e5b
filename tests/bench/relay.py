"""`Relay`: a mail relay in a process of its own that can throttle, fail or be slow, and what it was sent."""

import json
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.servers.processes import start, stop_group, wait_until

_COUNTS = re.compile(rb"\n(\d+) (\d+) (\d+) ")


@dataclass(frozen=True)
class Behaviour:
    """What the relay does from the next mail on."""

    delay: float = 0.0
    """Seconds until a mail that has come is answered."""
    per_second: int = 0
    """Mails taken in any second; the rest gets `reply`. 0: all."""
    share: float = 0.0
    """Part of the recipients that gets `reply`."""
    reply: str = "450 4.7.1 too many mails, slow down"


@dataclass(frozen=True)
class Line:
    """A mail that was taken (250) or refused."""

    moment: float
    """Unix time of the answer."""
    code: str
    recipient: str


class Relay:
    """`relay_process` and its log."""

    name = "Python relay on uvloop"

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / "relay.log"
        self._behaviour = directory / "behaviour.json"
        self.behave(Behaviour())
        self.process = start([sys.executable, "-m", "tests.bench.relay_process", str(self._behaviour)], self.log)
        wait_until(lambda: re.match(rb"port \d+\n", self.log.read_bytes()) is not None, self.process, self.log)
        self.port = int(self.log.read_text().split()[1])

    def behave(self, behaviour: Behaviour) -> None:
        """From within 50 ms on."""
        fresh = self._behaviour.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(behaviour)))
        fresh.rename(self._behaviour)

    def count(self) -> int:
        """Mails taken so far."""
        return self._counts()[0]

    def refused(self) -> int:
        """Recipients refused so far."""
        return self._counts()[1]

    def most_at_once(self) -> int:
        """Most mails that had come and were not answered, as of the last answer."""
        return self._counts()[2]

    def lines(self, skip: int = 0) -> Iterator[Line]:
        """Everything so far, in order, without the first ``skip``."""
        with self.log.open() as file:
            for number, text in enumerate(file):
                # The first is the port; one that is not whole yet is for the next time.
                if number > skip and text.endswith("\n"):
                    _, _, _, moment, code, recipient = text.split(" ", 5)
                    yield Line(float(moment), code, recipient.rstrip("\n"))

    def arrivals(self) -> dict[str, float]:
        """Recipient → Unix time of the final dot."""
        return {line.recipient: line.moment for line in self.lines() if line.code == "250"}

    def close(self) -> None:
        """End it."""
        stop_group(self.process, signal.SIGKILL)

    def _counts(self) -> tuple[int, int, int]:
        with self.log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 1000))
            found = _COUNTS.findall(file.read())
        accepted, refused, most = found[-1] if found else (0, 0, 0)
        return int(accepted), int(refused), int(most)
