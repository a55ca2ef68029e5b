"""`LazyBatch`: a batch that waits for its turn as the bytes it came in, recognised by a header of its message.

The broker hands a worker more batches than it runs at once, so that none is waited for. Read on arrival, each of them
was 600 KiB of dictionaries and strings where its bytes are 50: eighty of them were a third of the worker's memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from notifier.domain.batch import MAX_DELIVERIES, MAX_WAITING
from notifier.domain.rule import WORK_QUEUES
from notifier.errors import InvalidBatch

#: A digest's mail names its events by further places; in somebody's data it only makes a batch run by itself.
_DIGEST = b'"digest":'
#: A message's, as the libraries below give it.
Body = str | bytes | memoryview


class LazyBatch:
    """One task's argument. What it says of itself before it is read is only what admission needs."""

    __slots__ = ("_came_back", "_raw", "_read", "deliveries", "queue")

    def __init__(self, raw: bytes, queue: str, deliveries: int, read: Callable[[bytes], Any], came_back: bool) -> None:
        self.queue = queue
        self.deliveries = deliveries
        # What spoiled others that it ran with must not do it again.
        self._came_back = came_back
        self._raw = raw
        self._read = read

    @property
    def size(self) -> int:
        """Bytes, until it is read."""
        return len(self._raw)

    @property
    def joins(self) -> bool:
        """Whether it may run with others of its queue as one: it is small, came just now, and is no digest's mail."""
        return not self._came_back and self.deliveries <= MAX_DELIVERIES // 2 and _DIGEST not in self._raw

    def __repr__(self) -> str:
        """For Celery's logs and Flower: never the content."""
        return f"<batch of {self.deliveries} for {self.queue}>"

    def __json__(self) -> str:
        """For replies of `celery inspect`."""
        return repr(self)

    def read(self) -> Any:
        """The batch's JSON object; once, for the bytes are given up. Raises `InvalidBatch` when it is none."""
        raw, self._raw = self._raw, b""
        try:
            [[wire], _, _] = self._read(raw)
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidBatch("a task's body is not what its header says") from error
        return wire


def lazy_batch(
    header: object, body: Body, read: Callable[[bytes], Any], *, came_back: bool = False
) -> list[Any] | None:
    """A task's body with a `LazyBatch` in it, by `task_message.BATCH_HEADER`; None where that says nothing.

    ``read`` reads it when its time has come; ``came_back``: the broker has handed it to a worker before.
    """
    told = _read_header(header) if isinstance(header, str) else None
    return None if told is None else [[LazyBatch(as_bytes(body), *told, read, came_back)], {}, {}]


def as_bytes(body: Body) -> bytes:
    """Text is what py-amqp makes of a body that says its encoding."""
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)


@lru_cache(maxsize=1024)
def _read_header(header: str) -> tuple[str, int] | None:
    queue, _, number = header.rpartition(" ")
    if queue not in WORK_QUEUES or not (number.isascii() and number.isdigit() and len(number) < 6):
        return None
    deliveries = int(number)
    return (queue, deliveries) if 0 < deliveries <= MAX_WAITING else None
