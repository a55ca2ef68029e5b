"""Every error this service raises, and what each one makes happen next.

NotifierError
├── ConfigurationError        the process does not start; lists every mistake at once
│   ├── SettingsError         a NOTIFIER_* variable
│   ├── RulesError            a rules.yaml, schema.json or sample.json
│   └── TemplateError         a template that does not compile
├── InvalidEvent              the event is parked in failed-intake (API: 400), never requeued
│   ├── MalformedEvent        not a CloudEvent
│   ├── EventTooLarge         more bytes than NOTIFIER_EVENT_MAX_BYTES (API: 413)
│   ├── SchemaMismatch        data breaks the schema.json of its type
│   └── PlanningError         a rule's expression failed or named a destination that cannot exist
├── InvalidBatch              a task message nobody can read; dead-lettered
├── Inseparable               it is one of several that ran together; handed back, and each runs by itself
├── RenderError               attempt recorded as render_failed, parked, no retry
│   ├── RenderBudgetExceeded  the template took too many steps or made too many bytes
│   ├── InvalidAttachment     not base64, too many bytes, or a name or media type that cannot be a header
│   └── InvalidHeader         what a rule's reply_to, thread or headers gave cannot stand in a mail
├── InvalidDestination        this destination can never be sent to; refused and parked
│   ├── InvalidAddress        not an email address
│   └── ForbiddenTarget       a webhook URL that points inside
│       └── ForbiddenAnswer   its name did so just now; tried again
├── Unavailable               a dependency is away; wait and try again, nothing is lost
│   ├── BrokerUnavailable
│   ├── Overloaded            too much waits for what this event needs; come back later (API: 503)
│   ├── StorageUnavailable
│   ├── HistoryUnavailable    only looking back and forgetting need it; deliveries never wait for it
│   └── WorkerStopping        this process stops; the batch had not begun and goes to another worker
├── EngineError               the bridge to the asyncio loop could not run a coroutine
│   ├── DeadlineExceeded      it was not done in time; it was cancelled and has ended
│   └── EngineStopped         the loop is not running, or ended meanwhile
├── PublishRejected           the broker said no (nack, unroutable, blocked): the publisher still has it
├── TopologyConflict          a queue exists with other arguments (AMQP 406)
├── RuleMissing               a delivery names a rule that this process's templates/ does not have
├── ClaimLost                 another worker took the delivery over; this copy must not be sent
└── NotFound                  no such event, delivery, endpoint or parked delivery
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in something a person wrote, told so that they can mend it."""

    where: str
    """A variable name, or a file with its line: ``templates/order.shipped/rules.yaml:7``."""
    what: str
    """What is wrong, with the value as far as it is not secret."""
    fix: str = ""
    """What to do about it, as an instruction."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.fix})" if self.fix else "")


class NotifierError(Exception):
    """The root: catch it to catch everything this service raises on purpose."""


class ConfigurationError(NotifierError):
    """Files or variables a person wrote are wrong; ``problems`` holds every mistake, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(
            "\n".join([f"{count} mistake{'' if count == 1 else 's'}:", *(f"  {p}" for p in self.problems)])
        )


class SettingsError(ConfigurationError):
    """One or more NOTIFIER_* variables are missing or wrong."""


class RulesError(ConfigurationError):
    """One or more rule, schema or sample files are wrong."""


class TemplateError(ConfigurationError):
    """One or more templates do not compile."""


class InvalidEvent(NotifierError):
    """The event itself is wrong, so trying again cannot help. ``cause`` names the kind in failure queues."""

    cause = "invalid_event"

    def __init__(self, message: str, field: str = "") -> None:
        self.field = field
        super().__init__(message)


class MalformedEvent(InvalidEvent):
    """Not a CloudEvent 1.0."""

    cause = "malformed"


class EventTooLarge(InvalidEvent):
    """The event has more bytes than one task may carry."""

    cause = "too_large"


class SchemaMismatch(InvalidEvent):
    """``data`` breaks the JSON Schema of its event type; ``field`` is the JSON path that failed."""

    cause = "schema"


class PlanningError(InvalidEvent):
    """A rule could not be applied to this event: an expression failed or gave an impossible destination.

    ``field`` is the rule's key, ``what`` the message without the rule's name and place, ``fix`` what to do.
    """

    cause = "planning"

    def __init__(self, message: str, field: str = "", *, what: str = "", fix: str = "") -> None:
        super().__init__(message, field)
        self.what = what or message
        self.fix = fix


class InvalidBatch(NotifierError):
    """A task message that is not a Batch of a version this worker reads."""


class Inseparable(NotifierError):
    """One of several tasks that ran as one cannot be read; each of them is to run by itself."""


class RenderError(NotifierError):
    """A template failed on this event. ``template`` and ``line`` say where, ``what`` the rest, ``fix`` what to do."""

    def __init__(self, message: str, template: str = "", line: int = 0, fix: str = "") -> None:
        self.what = message
        self.template = template
        self.line = line
        self.fix = fix
        place = f"{template}:{line}: " if template and line else f"{template}: " if template else ""
        super().__init__(place + message)


class RenderBudgetExceeded(RenderError):
    """The template used up its steps or bytes; a hostile or runaway template ends here."""


class InvalidAttachment(RenderError):
    """A file of this delivery cannot be attached; the rule or the event's data must change."""


class InvalidHeader(RenderError):
    """A header that a rule asks for cannot be written; the rule or the event's data must change."""


class InvalidDestination(NotifierError):
    """Nothing can ever be delivered to this destination."""


class InvalidAddress(InvalidDestination):
    """Not an email address that can be written into an SMTP command."""


class ForbiddenTarget(InvalidDestination):
    """A webhook URL, or an address its name resolves to, that webhooks may not reach."""


class ForbiddenAnswer(ForbiddenTarget):
    """What a name resolves to now may not be reached; DNS may say something else later."""


class Unavailable(NotifierError):
    """A dependency is away for now; the work is kept and tried again."""


class BrokerUnavailable(Unavailable):
    """RabbitMQ cannot be reached or has blocked publishing."""


class Overloaded(Unavailable):
    """Every work queue this event needs is full; its publisher still has it."""


class StorageUnavailable(Unavailable):
    """Redis cannot be reached, is read-only or is out of memory."""


class HistoryUnavailable(Unavailable):
    """PostgreSQL, which keeps the history, cannot be asked or written to now."""


class WorkerStopping(Unavailable):
    """The process is stopping: what has not begun is handed back to the broker."""


class EngineError(NotifierError):
    """The engine could not run a coroutine to its end."""


class DeadlineExceeded(EngineError):
    """A coroutine was not done in time; it was cancelled and has ended, unless the message says otherwise."""


class EngineStopped(EngineError):
    """The engine's loop is not running: nothing was begun, or what ran was ended with it."""


class PublishRejected(NotifierError):
    """The broker did not take the message: nack, unroutable or timed out. The caller still owns it."""


class TopologyConflict(NotifierError):
    """An exchange or queue exists with other arguments than ours (AMQP 406 PRECONDITION_FAILED)."""


class RuleMissing(NotifierError):
    """A delivery or digest names a rule that templates/ does not have: deleted, or planned by a newer release."""


class ClaimLost(NotifierError):
    """Another worker took the delivery over (our lease ended); what is not sent yet must not be sent."""


class NotFound(NotifierError):
    """Nothing is known under this id."""
