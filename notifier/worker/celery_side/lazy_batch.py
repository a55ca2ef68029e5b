"""`LazyBatch`: a batch that waits for its turn as the bytes it came in.

The broker hands a worker more batches than it runs at once, so that none is waited for. Read on arrival, each of them
was 600 KiB of dictionaries and strings where its bytes are 50: eighty of them were a third of the worker's memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from notifier.domain.batch import MAX_WAITING
from notifier.domain.rule import SHARDS, WORK_KINDS, Priority, queue_name, work_kind
from notifier.domain.task_message import AFTER, BEFORE
from notifier.errors import InvalidBatch

_BEFORE = re.compile(
    re.escape(BEFORE)
    + rb'\{"v":1,"channel":"(%b)","priority":"(%b)",(?:"shard":([0-9]),)?"events":'
    % ("|".join(WORK_KINDS).encode(), "|".join(Priority).encode())
)
_AFTER = b"}" + AFTER
#: Deliveries come after the events, and each names its event. Keys of an event's data may be called so too, which makes
#: a batch look larger.
_DELIVERIES, _DELIVERY = b',"deliveries":[', b'"event":'


class LazyBatch:
    """One task's argument. What it says of itself before it is read is only what admission needs."""

    __slots__ = ("_deliveries", "_raw", "_read", "queue")

    def __init__(self, raw: bytes, queue: str, read: Callable[[bytes], Any]) -> None:
        self.queue = queue
        self._deliveries = -1
        self._raw = raw
        self._read = read

    @property
    def deliveries(self) -> int:
        """How many it has at most; it says so itself when it is read. Counted once: Celery asks for the body twice."""
        if self._deliveries < 0:
            self._deliveries = min(MAX_WAITING, self._raw.count(_DELIVERY, max(0, self._raw.find(_DELIVERIES))))
        return self._deliveries

    def __repr__(self) -> str:
        """For Celery's logs and Flower: never the content."""
        return f"<batch of {self.deliveries} for {self.queue}>"

    def __json__(self) -> str:
        """For replies of `celery inspect`."""
        return repr(self)

    def read(self) -> Any:
        """The batch's JSON object; once, for the bytes are given up. Raises `InvalidBatch` when it is none."""
        self._deliveries = self.deliveries
        raw, self._raw = self._raw, b""
        try:
            [[wire], _, _] = self._read(raw)
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidBatch("a task's body is not the JSON it looked like") from error
        return wire


def lazy_batch(raw: bytes, read: Callable[[bytes], Any]) -> list[Any] | None:
    """A task's body with a `LazyBatch` in it; None for what `domain.task_message` did not write.

    ``read`` reads it when its time has come.
    """
    start = _BEFORE.match(raw)
    if start is None or not raw.endswith(_AFTER):
        return None
    shard = int(start[3] or 0)
    if shard > SHARDS:
        return None
    queue = queue_name(work_kind(start[1].decode()), Priority(start[2].decode()), shard)
    return [[LazyBatch(raw, queue, read)], {}, {}]
