"""`Rule`: which events concern whom, by which channel, with which template. Values; `notifier.rules` loads them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Literal

from notifier.domain.limit import Rate
from notifier.domain.provider import Provider
from notifier.domain.retry import RetrySchedule


class Channel(StrEnum):
    """How something is delivered; what each is like: `domain.channels`."""

    EMAIL = "email"
    WEBHOOK = "webhook"
    HTTP_API = "http_api"
    """Of a provider: its file says how."""


class Collecting(StrEnum):
    """How something is put aside until more of its kind is there; what comes of it is delivered by a channel."""

    DIGEST = "digest"


#: What a batch asks a worker for. Words of queues, tasks, metrics and the ledger: none is in both.
WorkKind = Channel | Collecting
#: Each of them, in the order in which queues are declared and read.
WORK_KINDS: tuple[WorkKind, ...] = (*Channel, *Collecting)


def work_kind(word: str) -> WorkKind:
    """Raises `ValueError` for a word that is none."""
    return next((kind for kind in Collecting if kind.value == word), None) or Channel(word)


class Priority(StrEnum):
    """Which lane a delivery waits in."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


#: Further queues of every lane, for the deliveries of tenants that have many waiting (`domain.fairness`). All of them
#: are always declared and read: were their number a setting, two roles that disagree would leave deliveries in a queue
#: that nobody reads. An idle one costs the broker 0.13 MB.
SHARDS = 4


@cache
def queue_name(kind: WorkKind, priority: Priority, shard: int = 0) -> str:
    """The work queue, which is also the routing key, of a delivery: ``email-low``, or ``email-low-shard2`` of its lane.

    No dots: native delayed delivery binds ``#.<key>``, so a key that is a dot-suffix of another would run twice.
    Digests have one lane: collecting an item is a Redis write, nobody waits for it.
    """
    lane = kind.value if isinstance(kind, Collecting) else f"{kind}-{priority}"
    return f"{lane}-shard{shard}" if shard else lane


def lane_queues(lane: str) -> tuple[str, ...]:
    """A lane's own queue and its shards; whoever reads one reads them all."""
    return (lane, *(f"{lane}-shard{shard}" for shard in range(1, SHARDS + 1)))


#: Every lane, named like its own queue.
LANES: tuple[str, ...] = tuple(dict.fromkeys(queue_name(kind, p) for kind in WORK_KINDS for p in Priority))

#: Every work queue, in the order a worker without ``--queues`` reads them.
WORK_QUEUES: tuple[str, ...] = tuple(queue for lane in LANES for queue in lane_queues(lane))


@dataclass(frozen=True, slots=True)
class Window:
    """When a digest closes: every fixed period, or some time after its first item, or at a number of items."""

    every: float | None = None
    """Seconds; windows are aligned to the epoch in UTC, so every process agrees where one ends."""
    after_first: float | None = None
    """Seconds after the first item."""
    at_most: int | None = None
    """Items that close the window at once."""


@dataclass(frozen=True, slots=True)
class Throttle:
    """How much of one rule a recipient gets: at most so many deliveries within any window of so many seconds."""

    at_most: int
    per: float
    """Seconds, counted by when deliveries were planned, so that a backlog drops no more than a quiet day would."""
    key: str = ""
    """Expression; deliveries with another key are counted apart."""
    overflow: Literal["drop", "digest"] = "drop"
    """What becomes of the rest: recorded as ``suppressed``, or collected into one message."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """One file attached to an email: expressions over the event that give its name, media type and base64 content."""

    name: str
    content: str
    media_type: str = "application/octet-stream"
    cid: str = ""
    """The name the HTML shows it by, ``cid:logo``; empty for what is attached."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of a rules.yaml. Expressions are kept as source text; `rules.matching` compiles them once."""

    id: str
    """``<folder>/<id in the file>``: unique in the whole catalog, stable, written in the ledger."""
    event: str
    """Event type, or a pattern with ``*``."""
    channel: Channel
    template: str
    """The folder below templates/ whose files render it."""
    category: str
    transactional: bool
    priority: Priority = Priority.NORMAL
    to: str = ""
    """Expression giving an address, a recipient id, an object, or a list of them; empty for webhooks."""
    when: str = ""
    expires: float | None = None
    """Seconds after the event was published, or planned when nobody knows that; after it nothing is sent."""
    key: str = ""
    window: Window | None = None
    uncertain: Literal["resend", "park"] = "resend"
    """What to do when nobody knows whether it left: send again with the same id, or ask a person."""
    retry: RetrySchedule | None = None
    """None means the channel's own schedule."""
    attachments: tuple[Attachment, ...] = ()
    throttle: Throttle | None = None
    limit: Rate | None = None
    """How fast all deliveries of it leave together; more of them wait."""
    omit: tuple[str, ...] = ()
    """Parts of the data that its templates never read, such as ``data.people``: they are not copied into tasks."""
    sender: str = ""
    """From address; empty means NOTIFIER_EMAIL_FROM."""
    cc: str = ""
    """Expression like `to`: who gets a copy; all are shown to each other."""
    auto_submitted: bool = True
    """Answers of machines are not wanted. False for what people answer, such as a ticket's mail."""
    provider: Provider | None = None
    """Of `Channel.HTTP_API`: whose API it is."""
    source: str = ""
    """``file:line`` of the rule, for errors and explain."""

    @property
    def channel_word(self) -> str:
        """The channel as the rule names it."""
        return self.kind.value if self.provider is None else self.provider.name

    @property
    def kind(self) -> WorkKind:
        """What its batches ask for: a rule with a window collects, and its digests go by its channel."""
        return self.channel if self.window is None else Collecting.DIGEST
