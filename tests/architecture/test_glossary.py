"""The words of the glossary are the words of the code."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def classes() -> set[str]:
    """Every class and type alias that the service defines, by name; read, not imported."""
    found: set[str] = set()
    for file in [*(ROOT / "notifier").rglob("*.py"), *(ROOT / "consumers").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Assign):
                found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def test_every_word_of_the_glossary_is_a_class() -> None:
    words = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/glossary.md").read_text(), flags=re.MULTILINE)

    assert len(words) > 20
    assert set(words) - classes() == set()
