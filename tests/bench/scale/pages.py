"""One page of a list, of very many entries."""

import time
from pathlib import Path
from statistics import median

from notifier.wiring.stores import build_endpoints
from tests.bench.scale.curve import Curve
from tests.bench.scale.people import redis
from tests.bench.waiting import BenchFailed

_PAGE, _PAGES = 50, 20


def _page(size: int, folder: Path) -> float:
    """Milliseconds, the median of twenty pages that follow each other."""
    with redis(folder) as (settings, store):
        endpoints = build_endpoints(settings, store)
        for number in range(size):
            endpoints.add("acme", f"https://example.org/{number}")
        after, took = endpoints.page("acme", limit=_PAGE).next, list[float]()
        for _ in range(min(_PAGES, size // _PAGE - 1)):
            began = time.monotonic()
            found = endpoints.page("acme", limit=_PAGE, after=after)
            took.append(time.monotonic() - began)
            if len(found.endpoints) != _PAGE:
                raise BenchFailed(f"a page of {len(found.endpoints)} endpoints")
            after = found.next
    return median(took) * 1000


CURVES = (Curve("pages", "a page of 50 endpoints, of so many of a tenant", "ms", (500, 5_000, 50_000), _page, 20),)
