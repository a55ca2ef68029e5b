"""Run as a program: imports modules and reports, as JSON, what they did that importing must not do.

Audit hooks cannot be removed again, so each probe is a process of its own. An act counts when code of ours did it while
being imported; the import system's own reading of source files does not.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

OURS = ("notifier", "consumers")
WATCHED = ("open", "socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.listdir")
CLOCKS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter")
# Read by prometheus_client when its process collector is made: the time the machine was started, once.
ALLOWED_FILES = ("/proc/stat",)

violations: list[str] = []


def is_ours(frame: FrameType) -> bool:
    """Whether a frame runs code of ours."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in OURS


def is_import_system(frame: FrameType) -> bool:
    """Whether a frame loads modules or looks for installed plugins, as pydantic does before its first model."""
    return "<frozen importlib" in frame.f_code.co_filename or str(frame.f_globals.get("__name__")).startswith(
        "importlib."
    )


def caller(depth: int) -> FrameType | None:
    """The line of ours that did this itself: what a library asks the environment or a clock is the library's affair."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None and frame.f_globals.get("__name__") == "os":
        frame = frame.f_back
    return frame if frame is not None and is_ours(frame) else None


def culprit(depth: int) -> FrameType | None:
    """The line of ours that made this happen, through libraries too; None when the import system or a library did."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None and not is_ours(frame):
        if is_import_system(frame):
            return None
        frame = frame.f_back
    return frame


def record(what: str, frame: FrameType | None) -> None:
    """Notes an act if code of ours is to blame for it."""
    if frame is not None:
        violations.append(f"{frame.f_code.co_filename}:{frame.f_lineno}: {what}")


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Python's own hook for files, sockets and processes."""
    if event in WATCHED and arguments[0] not in ALLOWED_FILES:
        record(f"{event} {arguments[0]!r}", culprit(2))


class WatchedEnvironment(dict[str, str]):
    """Stands for `os.environ`, empty, and notes who reads it."""

    def __getitem__(self, key: str) -> str:
        record(f"reads the environment variable {key}", caller(2))
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        record(f"reads the environment variable {key}", caller(2))
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        record(f"looks for the environment variable {key}", caller(2))
        return super().__contains__(key)


def watched(name: str, clock: Callable[[], Any]) -> Callable[[], Any]:
    """A clock that notes who reads it."""

    def read() -> Any:
        record(f"reads the clock {name}", caller(2))
        return clock()

    return read


def main(modules: list[str]) -> None:
    """Imports each module with everything watched; prints violations and what got loaded."""
    # What an interpreter loads by itself, as Debian's does with its sitecustomize, is not our doing.
    before = frozenset(sys.modules)
    # The name, not the variables: what counts is who reads them, and the process was started with none.
    os.environ = WatchedEnvironment()  # type: ignore[assignment]  # noqa: B003
    for name in CLOCKS:
        setattr(time, name, watched(name, getattr(time, name)))
    sys.addaudithook(audit)
    for module in modules:
        importlib.import_module(module)
    loaded = sorted({name for name in sys.modules.keys() - before if not name.startswith("_")})
    json.dump({"violations": violations, "loaded": loaded}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
