"""Which work queues are full, told by the consumers to whoever takes events in elsewhere, as operations."""

from __future__ import annotations

import json
from collections.abc import Mapping

from notifier.storage import keys
from notifier.storage.commands import Operation, command

#: Milliseconds for which a consumer's word holds; it says it again each second while it is so.
HOLDS_MS = 4_000


def tell_full(queues: Mapping[str, int]) -> Operation[None]:
    """Say that these queues are full, with the tasks that wait in them. Silence means that none is."""
    yield [command("SET", keys.full_queues(), json.dumps(dict(queues)), "PX", HOLDS_MS)]


def full_queues() -> Operation[dict[str, int]]:
    """The queues that are full now."""
    (text,) = yield [command("GET", keys.full_queues())]
    found: dict[str, int] = json.loads(text) if text else {}
    return found
