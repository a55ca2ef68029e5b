"""The API while others hold its connections or list everything: what a publish takes beside them, as a ratio."""

import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from statistics import median

from tests.acceptance.service import ADMIN_TOKEN
from tests.bench.bars import percentile
from tests.bench.pressure.findings import Finding
from tests.bench.stage import Stage
from tests.bench.workload import EMAIL
from tests.servers.patience import PATIENCE_S

CLIENTS, ENDPOINTS, LISTERS = 2000, 4000, 8
#: A publish beside them takes at most so many times what it takes without.
_TWICE = 2.0
_HEADERS = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/cloudevents+json"}


def run(stage: Stage, *, quick: bool) -> Finding:
    """Rounds without and with, in turn, so that a busy minute of the machine is in both."""
    count, rounds = (100, 2) if quick else (500, 4)
    finding = Finding("strangers", f"{CLIENTS:,} idle and slow clients of the API, {ENDPOINTS:,} endpoints to list")
    api = stage.service(stage.mails).api()
    stage.new_endpoints((f"http://127.0.0.1:{stage.hooks.port}/{n}", "nobody.publishes") for n in range(ENDPOINTS))
    cases: dict[str, Callable[[], AbstractContextManager[None]]] = {
        f"beside {CLIENTS:,} idle and slow clients": lambda: _strangers(api.health_port),
        f"beside {LISTERS} that list {ENDPOINTS:,} endpoints": lambda: _listers(api.health_port, "/v1/endpoints"),
        f"beside {LISTERS} that list {ENDPOINTS:,} limits": lambda: _listers(api.health_port, "/v1/limits"),
    }
    for name, beside in cases.items():
        alone, disturbed = [], []
        for number in range(rounds):
            alone.append(_late(api.health_port, f"{name}-{number}-alone", count))
            with beside():
                disturbed.append(_late(api.health_port, f"{name}-{number}", count))
        ratio = median(disturbed) / median(alone)
        finding.add(f"p99 of a publish alone, {name}", f"{median(alone):.1f} ms, {median(disturbed):.1f} ms")
        finding.add(f"ratio {name}", f"{ratio:.2f}", f"at most {_TWICE:g}", ratio <= _TWICE)
    return finding


def _late(port: int, run: str, count: int) -> float:
    """Milliseconds of the slowest hundredth of so many publishes over one connection."""
    taken = []
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        for number in range(count):
            event = {"specversion": "1.0", "id": f"{run}-{number}", "source": "/s", "type": EMAIL.event_type}
            began = time.perf_counter()
            connection.request("POST", "/v1/events", json.dumps({**event, "data": {}}), _HEADERS)
            answer = connection.getresponse()
            answer.read()
            taken.append((time.perf_counter() - began) * 1000)
            assert answer.status == 202, answer.status
    return percentile(sorted(taken), 99)


def _strangers(port: int) -> AbstractContextManager[None]:
    return _process("stranger_process", port, CLIENTS)


def _listers(port: int, path: str) -> AbstractContextManager[None]:
    return _process("lister_process", port, LISTERS, path)


@contextlib.contextmanager
def _process(name: str, *arguments: object) -> Iterator[None]:
    """Clients of a process of their own, from when all have begun."""
    command = [sys.executable, "-m", f"tests.bench.pressure.{name}", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.terminate()
