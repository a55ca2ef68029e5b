"""Import rules that import-linter cannot express: what importing loads, and what it must not do."""

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROBE = Path(__file__).with_name("import_probe.py")
STANDARD_LIBRARY = sys.stdlib_module_names


@cache
def our_modules() -> tuple[str, ...]:
    """Every module of the two packages, by dotted name."""
    files = sorted(file for package in ("notifier", "consumers") for file in (ROOT / package).rglob("*.py"))
    names = (".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files)
    return tuple(name.removesuffix(".__init__") for name in names)


def probe(*modules: str, root: Path = ROOT) -> dict[str, list[str]]:
    """Imports the modules in a fresh interpreter with an empty environment and warnings as errors."""
    command = [sys.executable, "-W", "error", str(PROBE), *modules]
    done = subprocess.run(command, cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, list[str]] = json.loads(done.stdout)
    return report


def foreign(loaded: list[str]) -> set[str]:
    """Top-level packages that are neither ours nor Python's own."""
    tops = {name.partition(".")[0] for name in loaded}
    return tops - STANDARD_LIBRARY - {"notifier", "consumers"}


def test_importing_any_module_touches_no_file_socket_process_clock_or_environment() -> None:
    # Given every module of ours
    modules = our_modules()

    # When each is imported with nothing in the environment
    report = probe(*modules)

    # Then importing did nothing else
    assert report["violations"] == []


def test_the_probe_sees_what_it_is_there_for(tmp_path: Path) -> None:
    # Given a module under our name that does all it must not
    (tmp_path / "notifier.py").write_text(
        "import os, socket, time\nfrom pathlib import Path\n"
        "os.environ.get('A')\nos.getenv('B')\ntime.time()\nPath('/etc/hosts').read_text()\n"
        "socket.socket().close()\nsocket.getaddrinfo('127.0.0.1', 80)\n"
    )

    # When it is imported
    seen = [line.partition(": ")[2] for line in probe("notifier", root=tmp_path)["violations"]]

    # Then each act is reported once
    assert [" ".join(act.split()[:2]) for act in seen] == [
        "reads the",
        "reads the",
        "reads the",
        "open '/etc/hosts'",
        "socket.getaddrinfo '127.0.0.1'",
    ]


def test_the_client_loads_pika_and_the_standard_library_only() -> None:
    assert foreign(probe("notifier.client")["loaded"]) <= {"pika"}


def test_the_client_loads_nothing_else_of_the_service() -> None:
    loaded = probe("notifier.client")["loaded"]

    ours = {name for name in loaded if name.startswith("notifier.") and not name.startswith("notifier.client")}

    assert ours == set()


@pytest.mark.parametrize("module", ["consumers.__main__", "notifier.api.server", "notifier.cli"])
def test_processes_that_are_not_workers_never_load_gevent(module: str) -> None:
    # Given a process that runs asyncio, which gevent's patches would break
    report = probe(module)

    # Then gevent is not even imported
    assert "gevent" not in foreign(report["loaded"])


def test_the_domain_loads_pydantic_and_its_own_needs_only() -> None:
    modules = [name for name in our_modules() if name.startswith("notifier.domain")]

    libraries = foreign(probe(*modules)["loaded"])

    assert libraries & {"celery", "redis", "pika", "gevent", "httptools", "aiosmtplib", "jinja2", "fastapi"} == set()


def test_nobody_imports_smtplib_which_blocks_a_whole_worker() -> None:
    # Also by name in a string: import-linter sees statements only.
    for module in (ROOT / package for package in ("notifier", "consumers")):
        for file in module.rglob("*.py"):
            names = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
            assert "smtplib" not in names, file


def test_every_module_says_what_lives_in_it() -> None:
    without = [
        str(file.relative_to(ROOT))
        for package in ("notifier", "consumers", "tests")
        for file in (ROOT / package).rglob("*.py")
        if not ast.get_docstring(ast.parse(file.read_text()))
    ]

    assert without == []


def test_init_files_hold_a_docstring_and_the_public_surface_only() -> None:
    allowed = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    guilty = [
        str(file.relative_to(ROOT))
        for package in ("notifier", "consumers")
        for file in (ROOT / package).rglob("__init__.py")
        if not all(isinstance(node, allowed) for node in ast.parse(file.read_text()).body)
    ]

    # The console script's `main` must be importable without the libraries that it then misses politely.
    assert guilty == ["notifier/cli/__init__.py"]


def test_no_module_is_called_after_nothing_in_particular() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}

    assert [name for name in our_modules() if vague & set(name.split("."))] == []
