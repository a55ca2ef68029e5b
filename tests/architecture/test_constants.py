"""A number that decides something says what it is: its unit and why it is not another one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for package in ("notifier", "consumers") for path in (ROOT / package).rglob("*.py"))


def numbers(module: Path) -> Iterator[ast.Assign | ast.AnnAssign]:
    """Constants of a module that are numbers, or tables and products of them."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        if all(name.strip("_").isupper() for name in names) and is_number(node.value):
            yield node


def is_number(value: ast.AST | None) -> bool:
    parts = list(ast.walk(value)) if value is not None else []
    constants = [part.value for part in parts if isinstance(part, ast.Constant)]
    is_computed = any(isinstance(part, ast.Call | ast.Lambda | ast.Subscript) for part in parts)
    has_text = any(isinstance(one, str | bytes) for one in constants)
    return not is_computed and not has_text and any(type(one) in (int, float) for one in constants)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_number_has_its_meaning_above_it(module: Path) -> None:
    lines = module.read_text(encoding="utf-8").splitlines()
    for node in numbers(module):
        above = node.lineno - 2
        while lines[above] and not lines[above].startswith("#") and "=" in lines[above]:
            above -= 1  # one comment may speak of several that stand together
        assert lines[above].startswith("#:"), f"line {node.lineno}: {lines[node.lineno - 1]}"


def test_numbers_are_found() -> None:
    assert sum(1 for module in MODULES for _ in numbers(module)) > 300
