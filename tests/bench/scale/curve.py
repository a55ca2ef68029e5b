"""One curve: what is measured at which sizes, and what it shall be."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Measure = Callable[[int, Path], float]
"""(size, a folder of its own) → the figure, in the curve's unit."""


@dataclass(frozen=True)
class Curve:
    """A figure that should not depend on a size, or only as far as is said."""

    name: str
    what: str
    """One phrase: what is measured, and of what there are ``size``."""
    unit: str
    sizes: tuple[int, int, int]
    measure: Measure
    target: float
    """What it shall be at the largest size."""
    better: Literal["less", "more"] = "less"
    greenlets: bool = False
    """Whether it is measured in a process like a worker's, with gevent in the place of threads."""

    def is_met(self, figures: Sequence[float]) -> bool:
        """Whether the figure at the largest size is as it shall be."""
        return figures[-1] <= self.target if self.better == "less" else figures[-1] >= self.target

    def exponent(self, figures: Sequence[float]) -> float:
        """The slope of the logarithms, least squares: 0 is flat, 1 grows as the size does, -1 is a rate that halves."""
        xs, ys = [math.log(size) for size in self.sizes], [math.log(max(figure, 1e-9)) for figure in figures]
        x, y = sum(xs) / len(xs), sum(ys) / len(ys)
        return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)
