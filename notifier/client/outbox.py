"""`Outbox`: messages that are queued or sent and not settled, shared by callers and the link's thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from notifier.client.errors import PublishError

#: Messages, and bytes, that are sent and not confirmed; more only fill buffers.
MAX_UNCONFIRMED = 5000
MAX_UNCONFIRMED_BYTES = 16 * 1024 * 1024
_tokens = count(1)


@dataclass(slots=True, eq=False)
class Pending:
    """A message whose future the broker's answer, or its deadline, settles."""

    event_id: str
    body: bytes
    exchange: str
    routing_key: str
    content_type: str
    deadline: float
    """Monotonic seconds."""
    receipt: Any
    """What the future gives when the broker has the message."""
    future: Future[Any] = field(default_factory=Future)
    token: str = field(default_factory=lambda: str(next(_tokens)))
    """Unique in this process; a returned message is recognised by it."""
    sent: bool = False

    def settle(self, error: PublishError | None) -> None:
        """Once; whoever is first wins. A future that its caller cancelled stays cancelled."""
        # Not "if not done()": the caller may cancel in between, and that must not end the link's thread.
        with suppress(InvalidStateError):
            if error is None:
                self.future.set_result(self.receipt)
            else:
                self.future.set_exception(error)


class Outbox:
    """Order is kept: what was sent on a lost connection goes before what was not sent yet."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queued: deque[Pending] = deque()
        self._unconfirmed: dict[int, Pending] = {}
        self._bytes = 0
        self._next_tag = 1

    def put(self, pending: Pending) -> None:
        """Queue a message."""
        with self._changed:
            self._queued.append(pending)

    def take(self) -> Pending | None:
        """The next message, counted as sent from here on; None when there is none or enough are unconfirmed."""
        with self._changed:
            while self._queued and len(self._unconfirmed) < MAX_UNCONFIRMED and self._bytes < MAX_UNCONFIRMED_BYTES:
                pending = self._queued.popleft()
                if pending.future.done():
                    continue
                pending.sent = True
                self._unconfirmed[self._next_tag] = pending
                self._bytes += len(pending.body)
                self._next_tag += 1
                return pending
            self._changed.notify_all()
            return None

    def has_queued(self) -> bool:
        """Whether anything waits to be sent."""
        return bool(self._queued)

    def confirmed(self, tag: int, *, multiple: bool) -> list[Pending]:
        """The messages a confirm is about."""
        with self._changed:
            tags = [tag] if tag in self._unconfirmed else []
            if multiple:
                tags = []
                # Tags ascend, so a "multiple" takes from the front and never looks at the rest.
                for unconfirmed in self._unconfirmed:
                    if unconfirmed > tag:
                        break
                    tags.append(unconfirmed)
            found = [self._unconfirmed.pop(each) for each in tags]
            self._bytes -= sum(len(pending.body) for pending in found)
            self._changed.notify_all()
            return found

    @property
    def has_unconfirmed(self) -> bool:
        """Whether something is sent and not settled."""
        return bool(self._unconfirmed)

    def begin_again(self) -> None:
        """A new channel: its tags start at 1, and what was not confirmed is sent again."""
        with self._changed:
            self._queued.extendleft(reversed(self._unconfirmed.values()))
            self._unconfirmed.clear()
            self._bytes = 0
            self._next_tag = 1

    def overdue(self, now: float) -> list[Pending]:
        """Messages whose time is over. Those that are sent stay until their tag is confirmed or the channel ends."""
        with self._changed:
            late = [p for p in (*self._queued, *self._unconfirmed.values()) if p.deadline <= now]
            if late:
                self._queued = deque(p for p in self._queued if p.deadline > now)
                self._changed.notify_all()
            return late

    def refused(self, is_named: Callable[[Pending], bool]) -> list[Pending]:
        """What the channel's end refused, which is not here any more: of what was sent the named, or else all."""
        with self._changed:
            sent = self._unconfirmed
            tags = [tag for tag, pending in sent.items() if is_named(pending)] or list(sent)
            found = [sent.pop(tag) for tag in tags]
            self._bytes -= sum(len(pending.body) for pending in found)
            self._changed.notify_all()
            return found

    def clear(self) -> list[Pending]:
        """Everything, which is not here any more."""
        with self._changed:
            found = [*self._unconfirmed.values(), *self._queued]
            self._unconfirmed.clear()
            self._queued.clear()
            self._bytes = 0
            self._changed.notify_all()
            return found

    def wait_until_settled(self, timeout: float) -> None:
        """Return when nobody waits for a message any more, or after ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(self._is_settled, timeout)

    def _is_settled(self) -> bool:
        return all(pending.future.done() for pending in (*self._queued, *self._unconfirmed.values()))
