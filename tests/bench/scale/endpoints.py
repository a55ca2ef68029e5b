"""What planning an event costs where a tenant has many endpoints, of which ten want its type."""

import time
from pathlib import Path

from notifier.domain.subscriptions import Subscriptions
from tests.bench.scale.curve import Curve

_WANT, _ASKED = 10, 10_000


def _asked(size: int, folder: Path) -> float:
    """CPU of one question, in microseconds, the first one among ten thousand."""
    patterns = {f"ep_{number:026d}": (f"order.shipped.{number // _WANT}",) for number in range(size)}
    subscriptions = Subscriptions(patterns)
    began = time.thread_time()
    for _ in range(_ASKED):
        subscriptions.of("order.shipped.0")
    return (time.thread_time() - began) / _ASKED * 1e6


CURVES = (
    Curve("endpoints", "endpoints of a tenant, for an event that ten want", "CPU-µs", (200, 2_000, 20_000), _asked, 10),
)
