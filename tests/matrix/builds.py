"""A checkout of this project with its own environment: this one, or the one to compare with."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.service import Process, Service

HERE = Path(__file__).parents[2]
DRIVER = Path(__file__).with_name("driver.py")


@dataclass(frozen=True)
class Build:
    """Run from within its own folder: ``python -m`` looks there first, whatever the environment has installed."""

    name: str
    checkout: Path = HERE

    def prefix(self) -> list[str]:
        """What a command of this build begins with."""
        return ["env", "-C", str(self.checkout), str(self.checkout / ".venv/bin/python")]

    def send(self, url: str, mails: Sequence[tuple[str, str, str, bool]], **options: Any) -> dict[str, Any]:
        """Mails through its engine (`driver.py`)."""
        asked = {"url": url, "connections": 10, "seconds": 120, "refused": "/dev/null", **options, "mails": mails}
        done = subprocess.run(
            [*self.prefix(), str(DRIVER)], input=json.dumps(asked), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"the driver of {self.checkout} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert Path(answer["code"]).parent == self.checkout, f"{self.name} ran {answer['code']}"
        return answer


@dataclass
class Roles(Service):
    """The service of a build."""

    build: Build = field(default_factory=lambda: Build("this"))

    def _start(self, role: str, command: list[str]) -> Process:
        return super()._start(role, [*self.build.prefix(), *command[1:]])

    def applied(self) -> None:
        """Its queues are declared."""
        command = [*self.build.prefix(), "-m", "notifier.cli", "topology", "apply"]
        subprocess.run(command, env=self.environment, check=True, capture_output=True, timeout=120)
