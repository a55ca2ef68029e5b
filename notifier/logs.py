"""Logging: one JSON object a line for machines, or a line of text for people, written to standard error.

`wide` writes one line per unit of work with everything worth knowing about it. Lines carry ids, never addresses,
bodies or secrets; `redact` is the second belt for texts we did not write, such as exceptions of libraries.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

#: Fields that are masked whatever they hold, because their names promise what a log must not have.
_PRIVATE_FIELDS = frozenset({"address", "body", "data", "email", "password", "secret", "token", "to", "authorization"})
#: Libraries whose own lines repeat what ours say, or quote data, and the least level at which they say something new.
_QUIETER = {
    # At debug it writes a task's arguments: of a message that somebody else wrote, all that is in it.
    "celery.pool": logging.INFO,
    # Two lines a task that say less than our one line a batch.
    "celery.app.trace": logging.WARNING,
    "celery.worker.strategy": logging.WARNING,
    "pika": logging.ERROR,
    "aiosmtplib": logging.WARNING,
    "uvicorn.access": logging.WARNING,
}
_MASK = "****"
#: Exceptions of Python and libraries whose words are about a value. None of ours is one of them.
_QUOTING = (ValueError, LookupError, AssertionError)

#: Each pattern begins where a run of its characters begins and is bounded, so a hostile text costs linear time.
_CREDENTIALS = re.compile(r"(?<=://)[^\s\"'<>]{0,256}@")
_SECRET = re.compile(r"\b(whsec_|Bearer +|Basic +)[A-Za-z0-9+/=_.~-]+")
#: ``dlv_…@host`` is a Message-ID, which is an id and stays.
_ADDRESS = re.compile(r"(?<![\w.+%-])(?!dlv_)[\w.+%-]{1,128}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def configure(log_format: Literal["json", "text"], level: str, stream: TextIO | None = None) -> None:
    """Send every logger of this process to one handler; calling it again replaces the handler."""
    handler = _UnlockedHandler(stream or sys.stderr)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _QUIETER.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(True)


def divert(name: str, log_format: Literal["json", "text"], stream: TextIO) -> None:
    """Send the lines of one part to a stream of its own, whatever becomes of the others; again replaces the stream."""
    handler = _UnlockedHandler(stream)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    logger = get(name)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def get(name: str) -> logging.Logger:
    """The logger of one part, named by what it is (``consumer``, ``worker``), not by its module path."""
    return logging.getLogger(f"notifier.{name}" if name != "notifier" else name)


def wide(logger: logging.Logger, what: str, /, *, level: int = logging.INFO, **fields: Any) -> None:
    """One line for one unit of work: ``wide(log, "delivery.attempted", id=…, outcome="sent", seconds=0.2)``."""
    if logger.isEnabledFor(level):
        logger.log(level, what, extra={"fields": fields})


def redact(text: str) -> str:
    """The text without credentials in URLs, webhook secrets, bearer tokens and email addresses."""
    text = _CREDENTIALS.sub(_MASK + "@", text)
    text = _SECRET.sub(r"\g<1>" + _MASK, text)
    return _ADDRESS.sub("[address]", text)


def _clean(name: str, value: Any) -> Any:
    if name.lower() in _PRIVATE_FIELDS:
        return _MASK
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {str(key): _clean(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(name, item) for item in value]
    return redact(str(value))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: Mapping[str, Any] = getattr(record, "fields", {})
    return {name: _clean(name, value) for name, value in fields.items()}


def _trace(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return redact("\n".join(reversed([_told(one) for one in _chain(error)]))) if error is not None else ""


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error and what it was raised from or while handling, nearest first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


def _told(error: BaseException) -> str:
    """One traceback. Python's words about a wrong value quote it (``invalid literal for int(): '…'``)."""
    frames = "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
    words = "(not shown: it may quote data)" if isinstance(error, _QUOTING) else str(error)
    return f"Traceback (most recent call last):\n{frames}\n{type(error).__name__}: {words}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
            **{
                f"{name}_" if name in ("time", "level", "logger", "message") else name: value
                for name, value in _fields(record).items()
            },
        }
        if trace := _trace(record):
            line["trace"] = trace
        return json.dumps(line, ensure_ascii=False, allow_nan=True, default=str)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
        shown = " ".join(f"{name}={_shown(value)}" for name, value in _fields(record).items())
        name = record.name.removeprefix("notifier.")
        line = f"{moment} {record.levelname:<7} {name:<9} {redact(record.getMessage())} {shown}".rstrip()
        trace = _trace(record)
        # A message must not be able to fake a second line; only our own traceback may span several.
        return line.replace("\n", "\\n").translate(_CONTROL) + (f"\n{trace.translate(_CONTROL)}" if trace else "")


def _shown(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or " " in text or '"' in text or "\n" in text else text


class _UnlockedHandler(logging.StreamHandler[TextIO]):
    """Writes each line by one call and takes no lock.

    In a gevent worker a handler's lock is gevent's, and the engine's native thread waiting for it would stop its event
    loop until a greenlet of the other thread runs.
    """

    def createLock(self) -> None:  # noqa: N802 - the name logging calls
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        if not self.filter(record):
            return False
        self.emit(record)
        return True

    def flush(self) -> None:
        """From Python 3.13 on logging's own takes the lock without asking whether there is one, also at exit."""
        self.stream.flush()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.stream.write(self.format(record) + "\n")
            self.flush()
        except Exception:  # a full disk or a closed pipe must not stop deliveries; logging's own habit
            self.handleError(record)
