"""`Live`: a value made from files that is made anew when they change, and keeps its last good version when they break.

Product teams edit templates and rules in a running system. A half-saved file must not stop deliveries, and a worker
must not be restarted for a changed word.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from notifier.errors import ConfigurationError
from notifier.rules.files import files_below

T = TypeVar("T")

#: Seconds between two looks at the files. A look costs one stat per file (4 ms for 500 files), and a second is what
#: an editor waits without noticing.
LOOK_EVERY_S = 1.0
#: The same while nobody asks: a mistake is told though no event comes.
WATCH_EVERY_S = 5.0

Fingerprint = tuple[tuple[str, int, int], ...]


class Live(Generic[T]):
    """``live.current`` is the newest version that loaded. Safe to ask from threads and greenlets."""

    def __init__(
        self,
        load: Callable[[], T],
        root: Path,
        *,
        on_reload: Callable[[T], None] | None = None,
        on_error: Callable[[ConfigurationError], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Load once, so that a process with broken files does not start. Raises what ``load`` raises."""
        self._load = load
        self._root = root
        self._on_reload = on_reload
        self._on_error = on_error
        self._clock = clock
        self._guard = threading.Lock()
        self._fingerprint = fingerprint(root)
        self._value = load()
        self._next_look = clock() + LOOK_EVERY_S
        self.error: ConfigurationError | None = None
        """Why the newest files are not in use; None while they are."""

    @property
    def current(self) -> T:
        """The newest good version; looks at the files at most once a second."""
        if self._clock() >= self._next_look:
            self.poll()
        return self._value

    def watch(self, every: float = WATCH_EVERY_S) -> None:
        """Look at the files also while nobody asks, on a thread of its own, as long as this is in use."""
        threading.Thread(target=_watch, args=(weakref.ref(self), every), name="content", daemon=True).start()

    def poll(self) -> bool:
        """Look at the files now; whether a new version is in use. Broken files are reported once per change."""
        # Whoever finds another looking takes the last good version at once: nobody waits for a reload.
        if not self._guard.acquire(blocking=False):
            return False
        try:
            self._next_look = self._clock() + LOOK_EVERY_S
            seen = fingerprint(self._root)
            if seen == self._fingerprint:
                return False
            self._fingerprint = seen
            return self._reload()
        finally:
            self._guard.release()

    def _reload(self) -> bool:
        try:
            value = self._load()
        except ConfigurationError as error:
            self.error = error
            if self._on_error is not None:
                self._on_error(error)
            return False
        self._value = value
        self.error = None
        if self._on_reload is not None:
            self._on_reload(value)
        return True


def _watch(live: weakref.ref[Live[Any]], every: float) -> None:
    while (watched := live()) is not None:
        _ = watched.current
        del watched
        time.sleep(every)


def fingerprint(root: Path) -> Fingerprint:
    """Path, time and size of every file below ``root``; empty when there is no such folder."""
    try:
        return tuple(sorted(mark for entry in files_below(root) if (mark := _mark(entry)) is not None))
    except OSError:
        # Told by the load that follows, because this differs from the fingerprint of a folder that was there.
        return ()


def _mark(entry: os.DirEntry[str]) -> tuple[str, int, int] | None:
    try:
        status = entry.stat()
    except OSError:
        # Deleted while we looked, or a link to nothing or in a circle: the next look sees it whole.
        return None
    return entry.path, status.st_mtime_ns, status.st_size
