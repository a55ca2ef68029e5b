"""What a message of a failure queue says: one we parked, or one RabbitMQ dead-lettered by itself and why it did.

Without Celery and kombu, because the consumer reads dead letters too.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from typing import Any

import orjson

from notifier.domain.batch import Batch
from notifier.domain.identity import Identity
from notifier.domain.ids import raw_id
from notifier.domain.json_text import NotJson, read_written
from notifier.domain.outcome import Cause
from notifier.domain.parked import PARKED_HEADER, Parked, ParkedBatch, ParkedEvent, decode_parked, told
from notifier.domain.topology import FAILED_INTAKE
from notifier.errors import InvalidBatch
from notifier.storage.records import masked

#: Headers the broker adds when it dead-letters; carried on, they make cycle detection drop the replay (trap T11).
_DEATH_HEADERS = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count")
#: Bytes a compressed task may have inside: far above any batch we write, far below what would hurt.
_INFLATED_LIMIT = 64 * 1024 * 1024
REASON_LIMIT = 300


def read_message(
    queue: str, body: bytes, headers: Mapping[str, Any], content_type: str, *, reread: bool = False
) -> ParkedBatch | ParkedEvent:
    """A message of a failure queue: one of ours, or one the broker dead-lettered.

    ``reread``: a batch that was parked as nothing anybody could read is looked at again, because a later release may
    know its version. It has other ids then, so only whoever writes the index anew may ask for it.
    """
    kept = {name: value for name, value in headers.items() if not name.startswith((*_DEATH_HEADERS, PARKED_HEADER))}
    try:
        found = _carried(headers, body, content_type, kept) or decode_parked(body)
    except InvalidBatch:
        return _dead_lettered(queue, body, headers, kept, content_type)
    if reread and isinstance(found, ParkedEvent) and queue != FAILED_INTAKE:
        batch = _batch_of(found.body, found.headers)
        if isinstance(batch, Batch):
            return ParkedBatch(batch, tuple(_entries(queue, batch, found.parked[0].cause, found.parked[0].reason)))
    return found


def _carried(headers: Mapping[str, Any], body: bytes, content_type: str, kept: dict[str, Any]) -> ParkedEvent | None:
    """A message too large to be wrapped: it is as it came, with its entry in a header."""
    if PARKED_HEADER not in headers:
        return None
    try:
        entry = Parked.from_dict(orjson.loads(headers[PARKED_HEADER]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise InvalidBatch(f"the header {PARKED_HEADER} is not ours: {error}") from error
    return ParkedEvent((entry,), body, content_type, kept)


def _dead_lettered(
    queue: str, body: bytes, headers: Mapping[str, Any], kept: dict[str, Any], content_type: str
) -> ParkedBatch | ParkedEvent:
    cause, reason = why_dead(queue, body, headers)
    if queue != FAILED_INTAKE:
        batch = _batch_of(body, headers)
        if isinstance(batch, Batch):
            return ParkedBatch(batch, tuple(_entries(queue, batch, cause, reason)))
        cause, reason = Cause.POISON, f"a task message nobody can read: {batch}"
    whose = told(Identity.found(kept, body)) if queue == FAILED_INTAKE else {}
    entry = Parked(
        id=raw_id(body), queue=queue, cause=cause, reason=reason[:REASON_LIMIT], parked_at=time.time(), **whose
    )
    return ParkedEvent((entry,), body, content_type, kept)


def why_dead(queue: str, body: bytes, headers: Mapping[str, Any]) -> tuple[Cause, str]:
    """Cause and reason of a dead letter. A delayed retry has died once in each queue of its delay: the last counts."""
    deaths = headers.get("x-death")
    last = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], Mapping) else {}
    why, where = str(last.get("reason", "")), str(last.get("queue", ""))
    if why == "rejected" and queue == FAILED_INTAKE:
        # Intake copies what it refuses, with the reason; only what is too large to be copied is left to the broker.
        return Cause.TOO_LARGE, f"{len(body):,} bytes: larger than an event may be"
    if why == "rejected":
        return Cause.POISON, "a worker could not run it: its log says batch.unreadable or message.unreadable, and why"
    if why == "expired":
        return Cause.DEAD_LETTERED, f"its time to live ended in {where}, where nobody took it: a TTL of a policy"
    if why == "maxlen":
        return Cause.DEAD_LETTERED, f"{where} was over its length limit and dropped its oldest messages: a policy"
    by = "consumers" if queue == FAILED_INTAKE else "workers"
    return Cause.POISON, f"returned by {by} until the broker's delivery limit"


def _batch_of(body: bytes, headers: Mapping[str, Any]) -> Batch | str:
    """The batch of a task message, or why there is none."""
    try:
        return Batch.decode(read_written(_inflated(body, headers))[0][0])
    except (InvalidBatch, NotJson, LookupError, TypeError) as error:
        return str(error)


def _inflated(body: bytes, headers: Mapping[str, Any]) -> bytes:
    """The body without its compression. kombu has undone it already, pika has not."""
    if "compression" not in headers:
        return body
    try:
        return zlib.decompressobj().decompress(body, _INFLATED_LIMIT)
    except zlib.error:
        return body


def _entries(queue: str, batch: Batch, cause: Cause, reason: str) -> list[Parked]:
    now = time.time()
    entries = []
    for delivery in batch.deliveries:
        event = batch.events[delivery.event]
        entries.append(
            Parked(
                id=delivery.id,
                queue=queue,
                cause=cause,
                reason=reason[:REASON_LIMIT],
                parked_at=now,
                **told(Identity.of(event)),
                rule=delivery.rule,
                destination=masked(delivery.to),
                attempts=delivery.attempt,
            )
        )
    return entries
