"""``python -m tests.bench.profiling``: where the CPU of a worker and a consumer goes, as one Markdown table.

py-spy looks at the real process 250 times a second while it is busy; `stages` says which part of the product each look
belongs to. The share of a stage times the scenario's CPU per thousand is what that stage costs. ``--scenarios idle``
looks at both processes while single events come, one every 20 ms.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.acceptance.service import Process
from tests.bench.figures import Figure, Sizes
from tests.bench.pings import WARM, of_events, ping
from tests.bench.scenarios import Round, Watch
from tests.bench.stage import Stage
from tests.bench.stages import Samples, read_samples

#: The scenarios that are looked at; intake comes with the emails it plans.
SCENARIOS = ("intake, batches of 50", "email, batches of 50", "webhook, batches of 50")
SAMPLES_PER_S = 250
#: Enough for about ten seconds of each scenario.
EVENTS = 20_000
#: Single events, and seconds between two: so few at once that nothing waits, and so many that a stage is seen often.
IDLE, PINGS, EVERY_S = "idle", 1500, 0.02


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profiling", description="CPU of each stage.")
    parser.add_argument("--scenarios", nargs="+", default=[*SCENARIOS, IDLE], metavar="NAME")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--raw", metavar="FOLDER", type=Path, help="keep py-spy's files there, for a flame graph")
    options = parser.parse_args()
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if spy is None:
        sys.stderr.write("py-spy is not installed; it is in the development lock: make .venv/.dev\n")
        return 1
    sizes = Sizes(full=options.events, ten=options.events // 2, one=options.events // 5)
    with tempfile.TemporaryDirectory(prefix="notifier-profile-") as directory:
        folder = options.raw or Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        watch = watching(spy, folder)
        figures = _measure(Path(directory), sizes, options.scenarios, watch)
        print(table([(figure, read_samples(_file(folder, figure.name))) for figure in figures]))
    return 0


def watching(spy: str, folder: Path) -> Watch:
    """A `Watch` that writes one file of stacks for each scenario."""

    @contextmanager
    def watch(name: str, process: Process) -> Iterator[None]:
        if not name:
            yield
            return
        target = ["--pid", str(process.popen.pid), "--output", str(_file(folder, name))]
        how = ["--rate", str(SAMPLES_PER_S), "--format", "raw", "--full-filenames", "--threads", "--duration", "600"]
        # Pausing the process for each look wakes its sleeping threads, which then seem busy: a fifth of all looks.
        how.append("--nonblocking")
        with (folder / "py-spy.log").open("ab") as log:
            sampler = subprocess.Popen([spy, "record", *target, *how], stdout=log, stderr=log, start_new_session=True)
        try:
            yield
        finally:
            sampler.send_signal(signal.SIGINT)
            sampler.wait(60)

    return watch


def table(profiles: list[tuple[Figure, Samples]]) -> str:
    """One row a stage, one column a scenario: share of the process's CPU, and what that is for a thousand."""
    totals: Counter[str] = Counter()
    for _, samples in profiles:
        totals.update(samples.shares())
    head = ["stage", *(f"{figure.name}: % (ms/1000)" for figure, _ in profiles)]
    rows = [
        [stage, *(_cell(figure, samples, stage) for figure, samples in profiles)] for stage, _ in totals.most_common()
    ]
    last = ["all, as measured under py-spy", *(f"{_milliseconds(figure):.0f} ms/1000" for figure, _ in profiles)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows, last])


def _cell(figure: Figure, samples: Samples, stage: str) -> str:
    share = samples.shares().get(stage, 0.0)
    return f"{share:.1%} ({share * _milliseconds(figure):.0f})" if share else ""


def _milliseconds(figure: Figure) -> float:
    """CPU of the measured process for a thousand events or deliveries."""
    return next(iter(figure.cpu.values())) / figure.count * 1e6


def _measure(directory: Path, sizes: Sizes, names: list[str], watch: Watch) -> list[Figure]:
    stage = Stage(directory)
    try:
        wanted: Callable[[str], bool] = names.__contains__
        figures = list(Round(stage, sizes, wanted, lambda what: _say(f"profiling {what}"), watch).figures())
        return figures + (_idle(stage, watch) if IDLE in names else [])
    finally:
        stage.close()


def _idle(stage: Stage, watch: Watch) -> list[Figure]:
    """Both processes, by what they use for a single event that nothing waits beside."""
    _say("profiling single events")
    processes = {"consumer": stage.consumer(50), "worker": stage.worker(stamping=True)}
    names = [f"{IDLE}, {role}" for role in processes]
    with ExitStack() as watched:
        for name, process in zip(names, processes.values(), strict=True):
            watched.enter_context(watch(name, process))
        before = stage.usage(**{role: [process] for role, process in processes.items()})
        ping(stage, IDLE, PINGS, IDLE, of_events(stage), EVERY_S)
        stage.until_empty()
        used = stage.usage(**{role: [process] for role, process in processes.items()}).since(before)
    for process in processes.values():
        stage.end(process)
    return [Figure(name, PINGS + WARM, cpu={role: used[role]}) for name, role in zip(names, processes, strict=True)]


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name.replace(', ', '-').replace(' ', '-')}.txt"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
