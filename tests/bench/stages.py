"""Which part of the product a sampled stack belongs to.

From the innermost frame outwards, the first frame whose file is in the table names the stage, so the standard library's
time belongs to whoever called it.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_ADDRESSES, _COMPOSE, _RENDER = "check the address", "compose the mail", "templates and expressions"
_SMTP, _HTTP, _LOOP = "SMTP conversation", "HTTP exchange", "event loop: sockets, timers (uvloop)"
_DECODE, _OUTCOME = "decode events and tasks", "decide, count, hand to the recorder"
_RUN, _RECEIVE, _EVENTS = "Celery: run and acknowledge a task", "Celery: receive", "Celery: task events"
_CLAIM, _RECORD, _ENDPOINTS = "claim (Redis)", "record (Redis)", "read endpoints (Redis)"
_REGISTER, _PLANNED = "register deliveries (Redis)", "mark events as planned (Redis)"
_LIMITS, _ENDPOINT_POLICY = "rate limits", "breakers, slow and paused endpoints"
_ADMISSION = "admission: which batch goes on"
_PLAN, _BATCH, _AMQP = "match and plan", "make batches and tasks", "AMQP (pika)"

#: Part of a frame, ``function (path/file.py:line)`` → stage; the first row that matches a frame wins. Libraries that
#: several stages use (redis, amqp, kombu, asyncio, gevent's sockets) are left out: their time is their caller's.
_TABLE: tuple[tuple[str, str], ...] = (
    ("/celery/events/", _EVENTS),
    ("/kombu/serialization.py", _DECODE),
    ("/kombu/utils/json.py", _DECODE),
    ("notifier/domain/batch.py", _DECODE),
    ("notifier/domain/waiting.py", _DECODE),
    ("read_json", _DECODE),
    ("notifier/worker/celery_side/receiving.py", _RECEIVE),
    ("notifier/worker/celery_side/lazy_batch.py", _DECODE),
    ("notifier/worker/batch/claims.py", _CLAIM),
    ("notifier/domain/cloudevents.py", _DECODE),
    ("notifier/domain/event.py", _DECODE),
    ("consumers/envelope.py", _DECODE),
    ("notifier/rendering/", _RENDER),
    ("notifier/domain/addresses.py", _ADDRESSES),
    ("EmailChannel.send", _SMTP),
    ("notifier/channels/email/outcomes.py", _SMTP),
    ("notifier/channels/email/", _COMPOSE),
    ("notifier/engine/bridge.py", _LOOP),
    ("notifier/engine/wakeups.py", _LOOP),
    ("notifier/engine/", _SMTP),
    ("/aiosmtplib/", _SMTP),
    ("notifier/channels/webhook/signing.py", "sign"),
    ("notifier/channels/webhook/", _HTTP),
    ("Ledger.claim", _CLAIM),
    ("claim_request", _CLAIM),
    ("Ledger.record", _RECORD),
    ("notifier/worker/batch/recorder.py", _RECORD),
    ("Ledger.register", _REGISTER),
    ("Ledger.planned", _PLANNED),
    ("notifier/storage/endpoints.py", _ENDPOINTS),
    ("notifier/storage/directory.py", _ENDPOINTS),
    ("notifier/worker/rates/", _LIMITS),
    ("notifier/storage/limits.py", _LIMITS),
    ("notifier/limits/", _LIMITS),
    ("notifier/worker/endpoints/", _ENDPOINT_POLICY),
    ("notifier/storage/breakers.py", _ENDPOINT_POLICY),
    ("notifier/storage/held.py", _ENDPOINT_POLICY),
    ("notifier/worker/admission.py", _ADMISSION),
    ("notifier/worker/celery_side/prefetch.py", _ADMISSION),
    ("notifier/domain/fairness.py", _ADMISSION),
    ("notifier/worker/batch/time_slices.py", "gevent hub"),
    *((f"notifier/worker/celery_side/{name}.py", _RUN) for name in ("guard", "tasks")),
    ("notifier/logs.py", "logs"),
    ("/prometheus_client/", _OUTCOME),
    ("notifier/worker/", _OUTCOME),
    ("/celery/worker/loops.py", _RECEIVE),
    ("/celery/worker/strategy.py", _RECEIVE),
    ("/celery/worker/", _RUN),
    ("/celery/app/trace.py", _RUN),
    ("/celery/concurrency/", _RUN),
    ("/pika/", _AMQP),
    ("notifier/rules/", _PLAN),
    ("consumers/batching.py", _BATCH),
    ("consumers/task_message.py", _BATCH),
    ("notifier/domain/encoding.py", _BATCH),
    ("notifier/domain/task_message.py", _BATCH),
    ("consumers/intake.py", "intake: the steps between"),
    ("consumers/", "publish, confirm, acknowledge"),
    ("/gevent/hub.py", "gevent hub"),
    ("/uvloop/", _LOOP),
    ("/asyncio/runners.py", _LOOP),
)


@dataclass(frozen=True)
class Samples:
    """Looks at one process, by stage."""

    counts: Counter[str]

    def shares(self) -> dict[str, float]:
        """Stage → its part of all looks."""
        total = self.counts.total()
        return {stage: number / total for stage, number in self.counts.most_common()}


def read_samples(file: Path) -> Samples:
    """Reads py-spy's raw format: ``outermost;…;innermost count`` a line.

    A process that is not paused changes while it is read: a name may be any text of it, line ends included. Such lines
    are left out.
    """
    counts: Counter[str] = Counter()
    for line in file.read_text(errors="replace").split("\n"):
        stack, _, number = line.rpartition(" ")
        if number.isdecimal():
            counts[stage_of(stack)] += int(number)
    return Samples(counts)


def stage_of(stack: str) -> str:
    """The stage of one stack."""
    for frame in reversed(stack.split(";")):
        if (stage := _stage_of_frame(frame)) is not None:
            return stage
    return "other"


@cache
def _stage_of_frame(frame: str) -> str | None:
    return next((stage for part, stage in _TABLE if part in frame), None)
