"""``python -m tests.matrix brokers [SUITE …] [--rabbitmq 4.3 …] [--redis valkey-9 …] [--python 3.13 …]``.

Whole suites on other people's brokers: RabbitMQ 3.10 as this machine has it, 4.0 and 4.3 from folders (`debian`), Redis
7 as it has it, others from folders too (`scripts/install-redis-versions`), any Python that pyenv or the system has, and
3.14 from a folder (`debian_python`). One row a suite; and, with ``nodes`` among the suites, how long publishers and
mails stood still when one of three nodes was killed and another one froze. Without options four combinations in which
each version occurs, else all that are named.
"""

import argparse
import functools
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path

from tests.acceptance.place import place
from tests.bench.progress import say
from tests.bench.report import markdown
from tests.faults.nodes import FOLDERS, fail_nodes
from tests.servers.debian import folder_of
from tests.servers.debian_python import debian_python
from tests.servers.mail.machines import cache
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.rabbitmq_cluster import RabbitCluster
from tests.servers.rabbitmq_installation import VARIABLE
from tests.servers.redis import RedisServer

ROOT = Path(__file__).parents[2]
#: Version → the Debian suite that has it; none is what this machine has.
RABBITMQ = {"3.10": "", "4.0": "trixie", "4.3": "sid"}
#: Those of `scripts/install-redis-versions`, in its order, after what this machine has.
REDIS = ("7", "8", "valkey-8", "valkey-9")
#: Each version occurs; all 48 combinations would take a day.
PLAN = (("3.10", "7", "3.11"), ("4.0", "8", "3.12"), ("4.3", "valkey-9", "3.13"), ("4.3", "valkey-8", "3.14"))
SUITES = ("tests/contract", "tests/integration", "tests/acceptance", "tests/faults")
NODES = "nodes"
NOT_RUN = "not run"
#: Seconds for which nobody may stand still.
SILENCE_S = 10.0
_HEAD = ("RabbitMQ", "Redis", "Python", "suite", "passed", "failed", "skipped", "seconds", "", "bar")


@dataclass(frozen=True)
class Row:
    """One suite on one set of servers."""

    rabbitmq: str
    redis: str
    python: str
    suite: str
    passed: int
    failed: int
    skipped: int
    seconds: int
    note: str
    bar: str


def main(arguments: Sequence[str]) -> int:
    """The exit code: whether every suite that ran passed."""
    options = _parse(arguments)
    rows = []
    for row in _rows(options):
        say(" | ".join(map(str, astuple(row))))
        rows.append(row)
    print(markdown(_HEAD, [tuple(map(str, astuple(row))) for row in rows]))  # the report
    return int(any(row.bar not in ("met", NOT_RUN) for row in rows))


def _rows(options: argparse.Namespace) -> Iterator[Row]:
    for rabbitmq, redis, python in _combinations(options):
        found = _python(python) if python else sys.executable
        for suite in options.suite or (*SUITES, NODES):
            environment = {**os.environ, **_variables(rabbitmq, redis)}
            if suite == NODES:
                yield _nodes(environment)
            elif found is None:
                yield Row(rabbitmq, redis, python, suite, 0, 0, 0, 0, f"no Python {python} here", NOT_RUN)
            else:
                yield _suite(suite, environment, _interpreter(python, found))


def _combinations(options: argparse.Namespace) -> Sequence[tuple[str, str, str]]:
    if not (options.rabbitmq or options.redis or options.python):
        return PLAN
    return list(itertools.product(options.rabbitmq or RABBITMQ, options.redis or REDIS[:1], options.python or [""]))


def _variables(rabbitmq: str, redis: str) -> dict[str, str]:
    suite = RABBITMQ[rabbitmq]
    found = {VARIABLE: str(folder_of("rabbitmq-server", suite))} if suite else {}
    return found if redis == REDIS[0] else found | {"NOTIFIER_TEST_REDIS": _other_redises()[REDIS.index(redis) - 1]}


@functools.cache
def _other_redises() -> list[str]:
    return _printed([str(ROOT / "scripts" / "install-redis-versions")]).splitlines()


def _python(version: str) -> str | None:
    """The system's or one of pyenv's, whose name on the PATH may be a stub without one; else Debian's, in a folder."""
    named = [f"python{version}", *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]
    here = next((found for name in named if (found := shutil.which(name)) and _runs(found)), None)
    return here or debian_python(version)


def _runs(program: str) -> bool:
    return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0


def _suite(suite: str, environment: dict[str, str], python: str) -> Row:
    begun = time.monotonic()
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", suite]
    done = subprocess.run(
        command, cwd=ROOT, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error|skipped)", done.stdout)}
    failed = counts.get("failed", 0) + counts.get("error", 0)
    if done.returncode:
        say(done.stdout[-6000:] + done.stderr[-2000:])
    names = re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", done.stdout, re.MULTILINE)
    bar = "**missed**" if done.returncode else "met"
    return Row(
        *_versions(environment, python), suite, counts.get("passed", 0), failed, counts.get("skipped", 0),
        round(time.monotonic() - begun), ", ".join(dict.fromkeys(names))[:200], bar,
    )  # fmt: skip


def _nodes(environment: dict[str, str]) -> Row:
    os.environ.update({name: environment[name] for name in (VARIABLE, "NOTIFIER_TEST_REDIS") if name in environment})
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        cluster, redis = RabbitCluster(Path(folder, "cluster")), RedisServer(_made(Path(folder, "redis")))
        with closing(cluster), closing(redis), place(cluster, redis, _made(Path(folder, "nodes")), FOLDERS) as at:
            outcome = fail_nodes(cluster, at)
    for name in (VARIABLE, "NOTIFIER_TEST_REDIS"):
        os.environ.pop(name, None)
    silence = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in outcome.silence.items())
    met = not outcome.lost and max(outcome.silence.values()) <= SILENCE_S
    return Row(
        *_versions(environment, sys.executable), NODES, int(met), int(not met), 0, round(time.monotonic() - begun),
        f"lost {outcome.lost}, twice {outcome.twice}, silence: {silence}", "met" if met else "**missed**",
    )  # fmt: skip


def _versions(environment: dict[str, str], python: str) -> tuple[str, str, str]:
    """Of the servers, as they say themselves; each is asked once."""
    asked = (environment.get(VARIABLE, ""), environment.get("NOTIFIER_TEST_REDIS", ""), python)
    if asked not in _KNOWN:
        with tempfile.TemporaryDirectory() as folder:
            os.environ.update({VARIABLE: asked[0]})
            with closing(RabbitMQ(_made(Path(folder, "rabbitmq")))) as server:
                rabbitmq = server.version()
            os.environ.pop(VARIABLE)
        redis = _printed([asked[1] or "redis-server", "--version"])
        _KNOWN[asked] = (rabbitmq, " ".join(redis.split()[:3]), _printed([python, "--version"]).split()[-1])
    return _KNOWN[asked]


_KNOWN: dict[tuple[str, str, str], tuple[str, str, str]] = {}


def _interpreter(version: str, program: str) -> str:
    """Of this checkout's environment, or of one in the cache that has another Python and what the lock says."""
    if not version:
        return program
    lock = ROOT / "requirements" / "dev.txt"
    wanted = cache() / "python" / f"{version}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:8]}"
    if not (wanted / ".made").exists():
        shutil.rmtree(wanted, ignore_errors=True)
        subprocess.run([program, "-m", "venv", str(wanted)], check=True)
        pip = [str(wanted / "bin/python"), "-m", "pip", "install", "-qq"]
        subprocess.run([*pip, "--require-hashes", "-r", str(lock)], check=True)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], check=True)
        (wanted / ".made").touch()
    return str(wanted / "bin/python")


def _printed(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make matrix ARGS='brokers …'", description=__doc__)
    parser.add_argument("suite", nargs="*", help=f"folders or files of tests, or {NODES}; all when none is named")
    parser.add_argument("--rabbitmq", action="append", choices=RABBITMQ, help="only this one; repeatable")
    parser.add_argument("--redis", action="append", choices=REDIS, help="only this one; repeatable")
    parser.add_argument(
        "--python", action="append", help="such as 3.13, as pyenv, the system or Debian sid has it; repeatable"
    )
    return parser.parse_args(arguments)
