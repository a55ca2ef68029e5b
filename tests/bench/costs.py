"""``python -m tests.bench.costs [--runs 3] [--write]``: what one event and one delivery cost, for ``notifier size``.

CPU is that of tasks of ten deliveries, which is what a service with something to do makes; medians of the runs.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from notifier.domain import topology
from notifier.domain.batch import Batch
from notifier.domain.cloudevents import decode_structured
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.encoding import encode_batch
from notifier.domain.rule import Channel, Priority
from notifier.sizing.costs import Costs
from notifier.storage.connection import connect
from notifier.storage.ledger import Ledger
from tests.bench import gauges, workload
from tests.bench.figures import Figure, Sizes
from tests.bench.progress import say
from tests.bench.records import USUAL, weigh
from tests.bench.scenarios import Round
from tests.bench.stage import Stage
from tests.bench.waiting import until
from tests.bench.workload import EMAIL, NEWS
from tests.servers.redis import RedisServer

TABLE = Path(__file__).parents[2] / "notifier" / "sizing" / "costs.json"
_TOGETHER = 10
_SCENARIOS = {
    "event": f"intake, batches of {_TOGETHER}",
    "email": f"email, batches of {_TOGETHER}",
    "webhook": f"webhook, batches of {_TOGETHER}",
}
#: Of a fan-out: events, and people of each.
_NEWS, _PEOPLE = 10, 2000
_LEDGER_EVENTS = 16_000
_LARGEST = str(1024 * 1024)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.costs", description="What one delivery costs.")
    parser.add_argument("--runs", type=int, default=3, help="runs of each scenario (3)")
    parser.add_argument("--write", action="store_true", help="make it the table of `notifier size`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="notifier-costs-") as folder:
        found = _measured(Path(folder), options.runs)
    text = json.dumps(found.model_dump(), indent=2) + "\n"
    sys.stdout.write(text)
    if options.write:
        TABLE.write_text(text)
    return 0


def _measured(folder: Path, runs: int) -> Costs:
    figures, spread = list[Figure](), list[dict[str, float]]()
    stage = Stage(folder)
    try:
        for number in range(runs):
            say(f"run {number + 1} of {runs}")
            figures += Round(stage, Sizes(), lambda name: name in _SCENARIOS.values(), say).figures()
            spread.append(_fan_out(stage))
    finally:
        stage.close()
    return Costs.model_validate(
        {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.system()} on {platform.machine()}, Python {platform.python_version()}",
            "cpu_ms": {
                **{name: _cpu([one for one in figures if one.name == of]) for name, of in _SCENARIOS.items()},
                "recipient": _medians(spread),
            },
            "sent_bytes": round(_weighed(folder / "sent", fails=False)),
            "failed_bytes": round(_weighed(folder / "failed", fails=True)),
            "message_bytes": round(_message_bytes()),
            "worker_mib": round(_most(figures, "worker")),
            "consumer_mib": round(_most(figures, "consumer")),
        }
    )


def _cpu(figures: Iterable[Figure]) -> dict[str, float]:
    """Milliseconds for one, by role."""
    names = {"workers": "worker"}
    return _medians(
        [{names.get(role, role): used / one.count * 1000 for role, used in one.cpu.items()} for one in figures]
    )


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    roles = [role for role in ("consumer", "worker", "broker", "redis") if any(run.get(role) for run in runs)]
    return {role: round(median(run.get(role, 0.0) for run in runs), 4) for role in roles}


def _fan_out(stage: Stage) -> dict[str, float]:
    """Of one recipient more, while no worker takes anything."""
    stage.redis.flush()
    consumer = stage.service(stage.mails, NOTIFIER_EVENT_MAX_BYTES=_LARGEST).consumer()
    with gauges.frozen([consumer.popen.pid]):
        run = f"fan{time.monotonic_ns()}"
        stage.publish(NEWS, [workload.news(f"{run}-{number}", _PEOPLE) for number in range(_NEWS)])
        until(lambda: stage.depth(topology.INTAKE_QUEUE) == _NEWS, "the events wait")
        before = stage.usage(consumer=[consumer])
    until(lambda: stage.depth(topology.INTAKE_QUEUE) == 0, "every event was acknowledged", timeout=120)
    used = stage.usage(consumer=[consumer]).since(before)
    worker = stage.worker()
    stage.until_empty()
    for process in (consumer, worker):
        stage.end(process)
    return {role: seconds / (_NEWS * _PEOPLE) * 1000 for role, seconds in used.items() if role != "sink"}


def _weighed(folder: Path, *, fails: bool) -> float:
    folder.mkdir()
    server = RedisServer(folder)
    try:
        store = connect(server.url)
        found = weigh(store, Ledger(store), _LEDGER_EVENTS, *USUAL, fails=fails)
        store.close()
    finally:
        server.close()
    return found


def _message_bytes() -> float:
    """Of a task, for each delivery in it, without what its event brought."""
    bodies = [workload.event(EMAIL, number, "run") for number in range(_TOGETHER)]
    events = [decode_structured(body) for body in bodies]
    deliveries = [
        Delivery(
            id=f"dlv_{number:026}",
            event=number,
            rule=EMAIL.rule,
            to=Mailbox(address=f"{number}@example.org"),
            queued=0.0,
        )
        for number in range(_TOGETHER)
    ]
    batch = Batch(channel=Channel.EMAIL, priority=Priority.NORMAL, events=events, deliveries=deliveries)
    return (len(encode_batch(batch).body) - sum(map(len, bodies))) / _TOGETHER


def _most(figures: Iterable[Figure], role: str) -> float:
    return max(one.peak_rss.get(role, 0.0) for one in figures)


if __name__ == "__main__":
    sys.exit(main())
