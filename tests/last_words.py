"""What the processes of a failed test wrote: the report carries the end of every log that grew while it ran.

Continuous integration keeps nothing but what pytest prints. Servers and processes write into folders below the one that
pytest gives this run (each of its workers has its own), so whatever changed there belongs to the test.
"""

import time
from collections.abc import Generator
from pathlib import Path

import pytest

_BYTES = 4000
"""Of each log; a worker writes a line of some 300 for every batch."""
_FILES = 8
_BEGUN = pytest.StashKey[float]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remembers when the test began; the servers it is the first to use start after this."""
    item.stash[_BEGUN] = time.time()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the logs to the report of a phase that failed."""
    report = yield
    factory: pytest.TempPathFactory | None = getattr(item.config, "_tmp_path_factory", None)
    if report.failed and factory is not None:
        report.sections += tails(factory.getbasetemp(), item.stash[_BEGUN])
    return report


def tails(folder: Path, since: float) -> list[tuple[str, str]]:
    """(heading, end) of the logs that were written to since then, the latest last."""
    grown = [path for path in folder.rglob("*.log") if path.is_file() and path.stat().st_mtime >= since]
    # A browser's profile has databases that are called logs.
    texts = {path: path.read_bytes() for path in grown if "profile" not in path.parts}
    latest = sorted((path for path, text in texts.items() if text), key=lambda path: path.stat().st_mtime)[-_FILES:]
    return [(f"end of {path.relative_to(folder)}", texts[path][-_BYTES:].decode(errors="replace")) for path in latest]
