"""Every module of worker, engine, broker and consumers has its test, and this says which has none.

A module has its own test file, in the same place below `tests/unit` (`notifier/worker/policy.py` →
`tests/unit/worker/test_policy.py`), which imports it and has tests. What a file imports it uses: ruff refuses the rest.
The few that are tested elsewhere are named here with the reason.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("notifier/worker", "notifier/engine", "notifier/broker", "consumers")

_ENGINE = "tests/integration/engine"
_SPEAKS = "it speaks SMTP over a socket, to a server that answers as a test says"
#: Module → the test that asks it, and why it is not in its own file.
ELSEWHERE: dict[str, tuple[str, str]] = {
    "consumers/__main__.py": ("tests/integration/consumers/test_intake_process.py", "it is the process"),
    "notifier/engine/dialogue.py": (f"{_ENGINE}/test_odd_replies.py", _SPEAKS),
    "notifier/engine/relays.py": (f"{_ENGINE}/test_relays.py", _SPEAKS),
    "notifier/engine/smtp.py": (f"{_ENGINE}/test_smtp_transactions.py", _SPEAKS),
    "notifier/engine/smtp_connect.py": (f"{_ENGINE}/test_smtp_tls.py", _SPEAKS),
    "notifier/engine/smtp_login.py": (f"{_ENGINE}/test_smtp_login.py", _SPEAKS),
    "notifier/engine/smtp_pool.py": (f"{_ENGINE}/test_particular_relays.py", _SPEAKS),
    "notifier/engine/smtp_sessions.py": (f"{_ENGINE}/test_smtp_sessions.py", _SPEAKS),
    "notifier/engine/reply_class.py": ("tests/unit/engine/test_replies.py", "names, which `replies` gives"),
    "notifier/engine/reply_table.py": ("tests/unit/engine/test_replies.py", "a table, which `replies` asks"),
    "notifier/engine/reply_words.py": ("tests/unit/engine/test_replies.py", "patterns, which the table asks"),
    "notifier/engine/transaction.py": ("tests/unit/engine/test_second_try.py", "values without a line that decides"),
    "notifier/worker/endpoints/gate.py": (
        "tests/unit/worker/endpoints/test_policy.py",
        "what is let through and what is said of it afterwards are two sides of one breaker",
    ),
    "notifier/worker/endpoints/health.py": (
        "tests/unit/worker/endpoints/test_policy.py",
        "what is let through and what is said of it afterwards are two sides of one breaker",
    ),
}


def modules() -> list[str]:
    """Those that define something."""
    files = [file for part in PARTS for file in sorted((ROOT / part).rglob("*.py"))]
    return [str(file.relative_to(ROOT)) for file in files if file.name != "__init__.py"]


def own_test(module: str) -> str:
    """Where its test is, if it is in its own file."""
    path = Path(module.removeprefix("notifier/"))
    return str(Path("tests/unit") / path.parent / f"test_{path.name}")


def number_of_tests(text: str) -> int:
    """How many tests a file has."""
    nodes = ast.walk(ast.parse(text))
    return sum(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in nodes)


def imported(text: str) -> set[str]:
    """The dotted names that a file imports when it is run."""
    tree = ast.parse(text)
    hidden = [
        node
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and "TYPE_CHECKING" in ast.unparse(guard.test)
        for node in ast.walk(guard)
    ]
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return found


def is_own_test(module: str, text: str) -> bool:
    """Whether the text of a file is a test of that module."""
    return number_of_tests(text) > 0 and module.removesuffix(".py").replace("/", ".") in imported(text)


@pytest.mark.parametrize("module", modules())
def test_every_module_has_its_test(module: str) -> None:
    file, _ = ELSEWHERE.get(module, (own_test(module), ""))
    there = (ROOT / file).is_file()

    assert there, f"{module} has no test: write {own_test(module)}"
    text = (ROOT / file).read_text()
    assert number_of_tests(text) if module in ELSEWHERE else is_own_test(module, text), f"{file} does not test {module}"


def test_what_is_named_as_tested_elsewhere_is_there_and_has_no_file_of_its_own() -> None:
    assert ELSEWHERE.keys() <= set(modules())
    assert [module for module in ELSEWHERE if (ROOT / own_test(module)).is_file()] == []
    assert all(len(reason.split()) > 2 for _, reason in ELSEWHERE.values())


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("from notifier.worker.policy import Policy\ndef test_a(): Policy", True),
        ("from notifier.worker import policy\ndef test_a(): policy", True),
        ("import notifier.worker.policy\ndef test_a(): notifier.worker.policy", True),
        ("from notifier.worker.policy import Policy", False),
        ("from notifier.worker.outage import retry\ndef test_a(): retry", False),
        ("if TYPE_CHECKING:\n  from notifier.worker.policy import Policy\ndef test_a(): pass", False),
    ],
)
def test_a_test_imports_what_it_tests_and_has_tests(text: str, is_one: bool) -> None:
    assert is_own_test("notifier/worker/policy.py", text) is is_one


def test_test_files_of_these_parts_are_named_after_what_they_test() -> None:
    # What is left over when a module was renamed or removed would be read as if it were its test.
    known = {own_test(module) for module in modules()}
    folders = [Path("tests/unit") / part.removeprefix("notifier/") for part in PARTS]
    there = {str(file.relative_to(ROOT)) for folder in folders for file in (ROOT / folder).rglob("test_*.py")}

    assert {file for file in there - known if not re.search(r"smtp_replies_corpus", file)} == set()
