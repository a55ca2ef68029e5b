"""Importing recipients from JSON Lines, as `notifier recipients import` does."""

import json
import time
from pathlib import Path

from tests.bench.scale.curve import Curve
from tests.bench.scale.people import redis
from tests.bench.waiting import BenchFailed


def _imported(size: int, folder: Path) -> float:
    # Releases before have no such module; then the row says so.
    from notifier.api.importing import Import, json_batches
    from notifier.api.lines import Lines
    from notifier.wiring.stores import build_recipients

    person = {"name": "Kim Doe", "locale": "de-AT", "timezone": "Europe/Vienna"}
    texts = (json.dumps({"id": f"user-{n}", "email": f"p{n}@example.org", **person}) for n in range(size))
    data = ("\n".join(texts) + "\n").encode()
    with redis(folder) as (settings, store):
        importing = Import(build_recipients(settings, store).put)
        began = time.monotonic()
        importing.take_all(json_batches(Lines().feed(data)), lambda _: None)
        took = time.monotonic() - began
    if importing.done.stored.added != size:
        raise BenchFailed(f"{importing.done.stored} of {size} people")
    return size / took


CURVES = (
    Curve("imports", "recipients of one file", "people/s", (2_000, 20_000, 200_000), _imported, 20_000, better="more"),
)
