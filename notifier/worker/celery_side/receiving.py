"""Messages Celery cannot read: rejected into ``failed-*``, where stock Celery would end the worker or drop them.

A message with right headers and a body of another shape raises out of Celery's strategy and ends the process, again
and again until the delivery limit (trap T6); one that cannot be decoded is acknowledged away (trap T7).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NoReturn

from celery import bootsteps
from celery.exceptions import InvalidTaskError
from kombu import serialization
from kombu.utils import json as kombu_json

from notifier import metrics
from notifier.domain.json_text import NotJson, read_written
from notifier.logs import get, wide
from notifier.worker.celery_side.lazy_batch import lazy_batch

_log = get("worker")


def read_json(body: str | bytes | memoryview) -> Any:
    """A message as kombu reads it, by orjson: 2 µs a delivery instead of 8.

    Numbers keep all their digits, which kombu's do only when they are whole. Its own way is left for what is no JSON
    (NaN, lone surrogates), and for its spelling of what JSON has no word for (``__type__``).
    """
    raw = _bytes(body)
    return _as_kombu(raw) if b'"__type__"' in raw else _read_batch(raw)


def _read_batch(raw: bytes) -> Any:
    """What we wrote: ``__type__`` in it is a word of somebody's data."""
    try:
        return read_written(raw)
    except NotJson:
        return _as_kombu(raw)


def _as_kombu(raw: bytes) -> Any:
    return kombu_json.loads(raw.decode("utf-8", "surrogatepass"))


def use_fast_json() -> None:
    """Make kombu read JSON with `read_json`, and batches when their turn has come; it goes on writing it as it does."""
    serialization.register(
        "json", kombu_json.dumps, read_or_wait, content_type="application/json", content_encoding="utf-8"
    )


def read_or_wait(body: str | bytes | memoryview | list[Any]) -> Any:
    """A task's body; of one of ours, a `LazyBatch` with it."""
    # Celery asks twice: on arrival, to see the shape, and again when the task has its greenlet.
    if isinstance(body, list):
        return body
    raw = _bytes(body)
    return lazy_batch(raw, _read_batch) or read_json(raw)


def _bytes(body: str | bytes | memoryview) -> bytes:
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)


class _NotOurTask(InvalidTaskError):
    """A message that is none of our tasks; the text is ours and quotes nothing."""


class RejectUnreadable(bootsteps.StartStopStep):
    """Puts itself between the broker's messages and Celery's strategies, before the task consumer is made."""

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        make_handler = consumer.create_task_handler
        consumer.create_task_handler = lambda: _guarded(make_handler(), consumer)
        consumer.on_decode_error = lambda message, error: _reject(message, message.body, error, consumer)
        # Celery's own log the body and all headers, which may hold addresses; `_guarded` rejects what is raised.
        consumer.on_unknown_message = consumer.on_unknown_task = consumer.on_invalid_task = _refuse


def _guarded(receive: Callable[[Any], None], consumer: Any) -> Callable[[Any], None]:
    def receive_or_reject(message: Any) -> None:
        body = message.body
        try:
            _check_shape(message)
            receive(message)
        except (*consumer.connection_errors, *consumer.channel_errors):
            raise
        except Exception as error:
            if message.acknowledged:
                raise
            _reject(message, body, error, consumer)

    return receive_or_reject


def _refuse(*_: Any) -> NoReturn:
    raise _NotOurTask("no task of that name takes such a message; `celery -A notifier inspect registered` names them")


def _check_shape(message: Any) -> None:
    """``[arguments, {}, embed]``; the payload is decoded once, Celery's strategy reads it from the message too.

    Arguments of another kind would raise in the pool, where nobody acknowledges or rejects (trap T3). Keywords, which
    no task takes, would be named in Python's error, and that in Celery's events.
    """
    if "task" not in message.headers:
        return
    match message.payload:
        case [list(), dict() as keywords, dict()] if not keywords:
            # Message, request and greenlet keep the body until the task has ended, two dozen batches of 50 KiB at once
            # and more when they wait for what they delayed: more than a CPU's cache. Of this they keep only what
            # `LazyBatch` is, which gives its bytes up when it is read.
            message.body = message.payload
        case [list(), dict(), dict()]:
            raise _NotOurTask("the body has keywords, which no task takes")
        case other:
            raise _NotOurTask(f"the body is {type(other).__name__}, not [arguments, keywords, embed]")


def _reject(message: Any, body: str | bytes | memoryview | None, error: Exception, consumer: Any) -> None:
    # Never the body itself: it holds addresses. Nor the words of a library, which may quote it.
    reason = str(error) if isinstance(error, _NotOurTask) else f"cannot be read: {type(error).__name__}"
    wide(
        _log,
        "message.unreadable",
        level=logging.ERROR,
        error=reason,
        bytes=len(_bytes(body or b"")),
        type=message.content_type,
    )
    metrics.BATCHES_REJECTED.labels("unreadable").inc()
    message.reject_log_error(_log, consumer.connection_errors)
