"""How the engine's thread wakes whoever waits for it: greenlets through their hub, plain threads through an event.

A greenlet cannot wait on anything native (its whole hub would stop), and the engine's thread may touch nothing of the
hub but an async watcher. So results go through a deque and one watcher per hub: libev folds wake-ups that come close
together into one, which is the batching. A list swapped by the reader loses what is appended meanwhile (measured).
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Protocol

from gevent import get_hub, monkey
from gevent.event import Event


class Waiter(Protocol):
    """One party that waits once."""

    def wake(self) -> None:
        """Called once, from the engine's thread."""

    def wait(self, seconds: float) -> bool:
        """Whether it was woken within ``seconds``; may be called again after False."""


class _Mailbox:
    """Wakes the greenlets of one hub. Made in that hub's thread; only `post` may be called from another."""

    def __init__(self, hub: Any) -> None:
        self._woken: deque[Event] = deque()
        # ref=False: an idle engine must not keep the hub alive. Whoever waits holds a timer, so the hub never believes
        # that nothing can happen any more (LoopExit).
        self._watcher = hub.loop.async_(ref=False)
        self._watcher.start(self._deliver)

    def post(self, event: Event) -> None:
        """Set a gevent event from another thread; appending comes first, or the hub could look too early."""
        self._woken.append(event)
        self._watcher.send()

    def close(self) -> None:
        """Free the watcher; call it in the hub's thread."""
        self._watcher.stop()
        self._watcher.close()

    def _deliver(self) -> None:
        while self._woken:
            self._woken.popleft().set()


class _HubWaiter:
    """A greenlet that waits while its hub runs others."""

    def __init__(self, mailbox: _Mailbox) -> None:
        self._mailbox = mailbox
        self._event = Event()

    def wake(self) -> None:
        """Through the mailbox: a gevent event may only be set in its hub's thread."""
        self._mailbox.post(self._event)

    def wait(self, seconds: float) -> bool:
        """See `Waiter`."""
        return bool(self._event.wait(seconds))


class _ThreadWaiter:
    """A thread of a process without gevent."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def wake(self) -> None:
        """See `Waiter`."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """See `Waiter`."""
        return self._event.wait(seconds)


class Waiters:
    """Makes the right kind of waiter for the calling greenlet or thread."""

    def __init__(self) -> None:
        self._patched = is_patched()
        self._mailboxes: dict[Any, _Mailbox] = {}

    def new(self) -> Waiter:
        """A waiter for whoever calls."""
        if not self._patched:
            return _ThreadWaiter()
        hub = get_hub()
        mailbox = self._mailboxes.get(hub)
        if mailbox is None:
            mailbox = self._mailboxes[hub] = _Mailbox(hub)
        return _HubWaiter(mailbox)

    def close(self) -> None:
        """Free the calling hub's watcher; those of other threads' hubs end with their hubs."""
        if self._patched:
            mailbox = self._mailboxes.pop(get_hub(), None)
            if mailbox is not None:
                mailbox.close()


def is_patched() -> bool:
    """Whether gevent replaced threading in this process, so that callers are greenlets."""
    return bool(monkey.is_module_patched("threading"))


def native(module: str, name: str) -> Any:
    """A function of the standard library as it was before gevent replaced it, if it did."""
    return monkey.get_original(module, name)
