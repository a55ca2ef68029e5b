"""What one event costs where its type has many rules, of which two want it."""

import time
from pathlib import Path

from notifier.domain.event import Event
from notifier.rendering.expressions import Expressions
from notifier.rendering.renderer import Renderer
from notifier.rules.catalog import Catalog
from notifier.rules.planner import plan
from tests.bench.scale.curve import Curve

_TRIES = 50


class _Directory:
    def endpoints(self, tenant: str, event_type: str) -> tuple[str, ...]:
        return ("ep_a",)


def _planned(size: int, folder: Path) -> float:
    """CPU of the quickest of some plans, in milliseconds."""
    (folder / "order.placed").mkdir()
    rules = "".join(_rule(number) for number in range(size))
    (folder / "order.placed" / "rules.yaml").write_text(f"event: order.placed\nrules:\n{rules}")
    catalog = Catalog.load(folder, Renderer.load(folder), Expressions())
    data = {"kind": "k3", "total": 10, **{f"field{number}": number for number in range(30)}}
    event = Event(id="1", source="/shop", type="order.placed", data=data)
    times = []
    for _ in range(_TRIES):
        began = time.thread_time()
        plan(event, catalog, _Directory(), 1.0)
        times.append(time.thread_time() - began)
    return min(times) * 1000


def _rule(number: int) -> str:
    when = f"data.kind == 'k{number}' and data.total > {number}"
    return f"  - id: r{number}\n    channel: webhook\n    category: orders\n    when: {when}\n"


CURVES = (Curve("rules", "planning an event of a type with so many rules", "CPU-ms", (5, 50, 500), _planned, 1.0),)
