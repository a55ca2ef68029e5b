"""`Live`: a value made from files that is made anew when they change, and keeps its last good version when they break.

Product teams edit templates and rules in a running system. A half-saved file must not stop deliveries, and a worker
must not be restarted for a changed word.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from notifier.errors import ConfigurationError, Problem
from notifier.rules.files import files_below

T = TypeVar("T")
U = TypeVar("U")

#: Seconds between two looks at the files: what an editor waits without noticing.
LOOK_EVERY_S = 1.0
#: A look costs one stat per file (4 ms for 500 files, 60 ms for 5,000). The pause after it is this many times as long
#: as the look took, so that no folder costs more than a fiftieth of a CPU.
PAUSE = 50
#: Times that files are read which change meanwhile, until what was read is used all the same.
SETTLING = 10

Fingerprint = tuple[tuple[str, int, int, int, int], ...]


def _here(do: Callable[[], U]) -> U:
    return do()


class Live(Generic[T]):
    """``live.current`` is the newest version that loaded. Safe to ask from threads and greenlets.

    Asking never looks at files: `watch` does, on a thread of its own.
    """

    def __init__(
        self,
        load: Callable[[], T],
        root: Path,
        *,
        renew: Callable[[T], T] | None = None,
        aside: Callable[[Callable[[], Any]], Any] = _here,
        on_reload: Callable[[T], None] | None = None,
        on_error: Callable[[ConfigurationError], None] | None = None,
    ) -> None:
        """Load once, so that a process with broken files does not start. Raises what ``load`` raises.

        ``renew``: loads anew, with the version in use to take from. ``aside``: where looks and loads are run, for
        processes whose threads are greenlets.
        """
        self._load = load
        self._renew = renew or (lambda _: load())
        self._aside = aside
        self._root = root
        self._on_reload = on_reload
        self._on_error = on_error
        # Not a lock: gevent's belong to one hub. Whoever took it out is the one that looks.
        self._turn = deque([True])
        self._fingerprint = fingerprint(root)
        self._value = load()
        self.error: ConfigurationError | None = None
        """Why the newest files are not in use; None while they are."""

    @property
    def current(self) -> T:
        """The newest good version."""
        return self._value

    def watch(self, every: float = LOOK_EVERY_S) -> None:
        """Look at the files from now on, on a thread of its own, as long as this is in use."""
        threading.Thread(target=_watch, args=(weakref.ref(self), every), name="content", daemon=True).start()

    def poll(self) -> bool:
        """Look at the files now; whether a new version is in use. Broken files are reported once per change."""
        # Whoever finds another looking takes the last good version at once: nobody waits for a reload.
        try:
            self._turn.pop()
        except IndexError:
            return False
        try:
            found = self._aside(self._look)
        finally:
            self._turn.append(True)
        if isinstance(found, ConfigurationError):
            self.error = found
            if self._on_error is not None:
                self._on_error(found)
        elif found is not None:
            self.error = None
            if self._on_reload is not None:
                self._on_reload(self._value)
        return found is True

    def _look(self) -> ConfigurationError | Literal[True] | None:
        """Put a new version in use, if there is one and it is good."""
        seen = fingerprint(self._root)
        if seen == self._fingerprint:
            return None
        for _ in range(SETTLING):
            found = self._read()
            before, seen = seen, fingerprint(self._root)
            # Files that changed while they were read may have been read half before and half after.
            if before == seen:
                break
        self._fingerprint = before
        if isinstance(found, ConfigurationError):
            return found
        self._value = found
        return True

    def _read(self) -> T | ConfigurationError:
        try:
            return self._renew(self._value)
        except ConfigurationError as error:
            return error
        except OSError as error:
            # A folder that is taken away while it is read; the next look sees that it has changed.
            return ConfigurationError([Problem(str(self._root), f"cannot be read: {error}", "make it readable")])


def _watch(live: weakref.ref[Live[Any]], every: float) -> None:
    while (watched := live()) is not None:
        began = time.monotonic()
        watched.poll()
        del watched
        time.sleep(max(every, PAUSE * (time.monotonic() - began)))


def fingerprint(root: Path) -> Fingerprint:
    """Path, times, size and inode of every file below ``root``; empty when there is no such folder."""
    try:
        return tuple(sorted(mark for entry in files_below(root) if (mark := _mark(entry)) is not None))
    except OSError:
        # Told by the load that follows, because this differs from the fingerprint of a folder that was there.
        return ()


def _mark(entry: os.DirEntry[str]) -> tuple[str, int, int, int, int] | None:
    try:
        status = entry.stat()
    except OSError:
        # Deleted while we looked, or a link to nothing or in a circle: the next look sees it whole.
        return None
    return entry.path, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
