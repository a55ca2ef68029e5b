"""`notifier …` in a process that is kept: a verb then costs what it does, not the second that its imports take.

Where the process itself matters (exit status, signals, terminals), tests start a real one.
"""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]


class WarmCommandLine:
    """One process with one environment, which answers one verb after the other."""

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.warm_cli"],
            env={**environment, "PYTHONPATH": str(ROOT), "WARM_CLI_FOLDER": str(directory)} | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, stdin: str = "", **changed: str) -> subprocess.CompletedProcess[str]:
        """One verb to its end; ``changed`` are variables for it alone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"arguments": arguments, "stdin": stdin, "environment": changed}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the command line died of {arguments}"
        answer = json.loads(line)
        return subprocess.CompletedProcess(list(arguments), answer["status"], answer["stdout"], answer["stderr"])

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> "WarmCommandLine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _serve() -> None:
    from notifier.api import server
    from notifier.cli import processes

    processes._become = lambda command: _stand_in(command[2])  # type: ignore[assignment]
    server.serve = lambda settings: _stand_in("api")
    warnings.filterwarnings("error", category=DeprecationWarning, module=r"(notifier|consumers)\b")
    os.chdir(os.environ.pop("WARM_CLI_FOLDER"))
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))))


def _stand_in(program: str, *_: Any) -> NoReturn:
    """In the place of a role that would run until it is stopped: its settings and options were read."""
    print(f"would run {program}")
    raise SystemExit(0)


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    from typer.testing import CliRunner

    from notifier.cli.application import application
    from notifier.process import settings

    settings.cache_clear()
    done = CliRunner().invoke(application, asked["arguments"], input=asked["stdin"], env=asked["environment"])
    settings.cache_clear()
    trouble = (
        "" if done.exception is None or isinstance(done.exception, SystemExit) else f"Traceback {done.exception!r}"
    )
    return {"status": done.exit_code, "stdout": done.stdout, "stderr": done.stderr + trouble}


if __name__ == "__main__":
    _serve()
