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

violations: list[str] = []


def blame() -> str | None:
    """The line of ours whose import did this, or None when the import system or somebody else's import did."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return None
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in OURS:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def record(what: str) -> None:
    """Notes an act if code of ours is to blame for it."""
    where = blame()
    if where is not None:
        violations.append(f"{where}: {what}")


class WatchedEnvironment(dict[str, str]):
    """Stands for `os.environ`, empty, and notes who reads it."""

    def __getitem__(self, key: str) -> str:
        record(f"reads the environment variable {key}")
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        record(f"reads the environment variable {key}")
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        record(f"looks for the environment variable {key}")
        return super().__contains__(key)


def watched(name: str, clock: Callable[[], Any]) -> Callable[[], Any]:
    """A clock that notes who reads it."""

    def read() -> Any:
        record(f"reads the clock {name}")
        return clock()

    return read


def main(modules: list[str]) -> None:
    """Imports each module with everything watched; prints violations and what got loaded."""
    # The name, not the variables: what counts is who reads them, and the process was started with none.
    os.environ = WatchedEnvironment()  # type: ignore[assignment]  # noqa: B003
    for name in CLOCKS:
        setattr(time, name, watched(name, getattr(time, name)))
    sys.addaudithook(lambda event, arguments: record(f"{event} {arguments[0]!r}") if event in WATCHED else None)
    for module in modules:
        importlib.import_module(module)
    loaded = sorted({name for name in sys.modules if not name.startswith("_")})
    json.dump({"violations": violations, "loaded": loaded}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
