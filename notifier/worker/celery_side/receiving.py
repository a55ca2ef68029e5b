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
from notifier.domain.task_message import BATCH_HEADER
from notifier.logs import get, wide
from notifier.worker.celery_side.lazy_batch import Body, as_bytes, lazy_batch

_log = get("worker")

#: How a batch begins in messages of builds before `BATCH_HEADER`; Celery's own writing has blanks.
_BATCH = b'[[{"v":'


def read_json(body: Body) -> Any:
    """A message as kombu reads it, by orjson: 2 µs a delivery instead of 8.

    Numbers keep all their digits, which kombu's do only when they are whole. Its own way is left for what is no JSON
    (NaN, lone surrogates), and for its spelling of what JSON has no word for (``__type__``).
    """
    raw = as_bytes(body)
    return _as_kombu(raw) if b'"__type__"' in raw and not raw.startswith(_BATCH) else read_batch(raw)


def read_batch(raw: bytes) -> Any:
    """What we wrote: ``__type__`` in it is a word of somebody's data."""
    try:
        return read_written(raw)
    except NotJson:
        return _as_kombu(raw)


def _as_kombu(raw: bytes) -> Any:
    return kombu_json.loads(raw.decode("utf-8", "surrogatepass"))


def use_fast_json() -> None:
    """Make kombu read JSON with `read_json`; it goes on writing it as it does."""
    serialization.register(
        "json", kombu_json.dumps, _read_once, content_type="application/json", content_encoding="utf-8"
    )


def _read_once(body: Body | list[Any]) -> Any:
    # Celery asks twice: on arrival, to see the shape, and again when the task has its greenlet.
    return body if isinstance(body, list) else read_json(body)


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
    """``[arguments, {}, embed]``, with a `LazyBatch` of what a header says is one; what is none is read here, once.

    Arguments of another kind would raise in the pool, where nobody acknowledges or rejects (trap T3). Keywords, which
    no task takes, would be named in Python's error, and that in Celery's events.
    """
    if "task" not in message.headers:
        return
    # Message, request and greenlet keep the body until the task has ended, two dozen batches of 50 KiB at once and more
    # when they wait for what they delayed: more than a CPU's cache. So it is put in the message's place, and gives its
    # bytes up when it is read.
    header, came_back = message.headers.get(BATCH_HEADER), message.delivery_info.get("redelivered", False)
    if (lazy := lazy_batch(header, message.body, read_batch, came_back=came_back)) is not None:
        message.body = lazy
        return
    match message.payload:
        case [list(), dict() as keywords, dict()] if not keywords:
            message.body = message.payload
        case [list(), dict(), dict()]:
            raise _NotOurTask("the body has keywords, which no task takes")
        case other:
            raise _NotOurTask(f"the body is {type(other).__name__}, not [arguments, keywords, embed]")


def _reject(message: Any, body: Body | None, error: Exception, consumer: Any) -> None:
    # Never the body itself: it holds addresses. Nor the words of a library, which may quote it.
    reason = str(error) if isinstance(error, _NotOurTask) else f"cannot be read: {type(error).__name__}"
    wide(
        _log,
        "message.unreadable",
        level=logging.ERROR,
        error=reason,
        bytes=len(as_bytes(body or b"")),
        type=message.content_type,
    )
    metrics.BATCHES_REJECTED.labels("unreadable").inc()
    message.reject_log_error(_log, consumer.connection_errors)
