"""What a relay was sent: by second, and how often each recipient was reached."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.bench.relay import Line


@dataclass
class Tally:
    """Mails and refusals of one run, read from the relay's lines."""

    taken: Counter[str] = field(default_factory=Counter)
    """By recipient."""
    by_second: Counter[int] = field(default_factory=Counter)
    refused_by_second: Counter[int] = field(default_factory=Counter)
    first_copy: dict[str, float] = field(default_factory=dict)
    """When each recipient was first reached."""
    first: float = 0.0
    """Unix time of the first mail or refusal; seconds are counted from it."""
    last: float = 0.0

    @classmethod
    def of(cls, lines: Iterable[Line], run: str) -> "Tally":
        """Only recipients of this run."""
        tally = cls()
        for line in lines:
            if line.recipient.startswith(f"{run}."):
                tally._count(line)
        return tally

    def _count(self, line: Line) -> None:
        self.first = self.first or line.moment
        second = int(line.moment - self.first)
        if line.code == "250":
            self.taken[line.recipient] += 1
            self.first_copy.setdefault(line.recipient, line.moment)
            self.by_second[second] += 1
            self.last = line.moment
        else:
            self.refused_by_second[second] += 1

    def taken_within(self, seconds: int, start: int = 0) -> list[int]:
        """Mails of each of so many seconds."""
        return [self.by_second[start + second] for second in range(seconds)]

    def refused_within(self, seconds: int, start: int = 0) -> list[int]:
        """Refusals of each of so many seconds."""
        return [self.refused_by_second[start + second] for second in range(seconds)]

    def lost(self, expected: Iterable[str]) -> int:
        """Recipients who got nothing."""
        return sum(1 for recipient in expected if not self.taken[recipient])

    def repeated(self) -> list[float]:
        """When each mail that was to come again came first."""
        return [self.first_copy[recipient] for recipient, number in self.taken.items() if number > 1]

    @property
    def doubled(self) -> int:
        """Mails beyond the first of each recipient."""
        return self.taken.total() - sum(1 for number in self.taken.values() if number)
