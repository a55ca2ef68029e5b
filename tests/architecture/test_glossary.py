"""The words of the glossary are the words of the code, and the other way round; each has one meaning."""

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Where an event and its deliveries pass: whoever reads this code finds each name in the glossary.
PATH = ("notifier/domain", "consumers", "notifier/broker", "notifier/worker", "notifier/channels", "notifier/engine")

_ROW = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \| (\S.*) \|$", re.MULTILINE)


def test_every_word_of_the_glossary_is_a_class() -> None:
    assert len(words()) > 20
    assert set(words()) - classes() == set()


def test_every_public_class_of_the_path_is_explained_or_private() -> None:
    unexplained = [f"{place}: {name}" for place, name in public_classes() if name not in words()]

    assert unexplained == [], "give it a row in docs/glossary.md, or a leading underscore if its module alone uses it"


def test_a_word_is_explained_once_and_names_one_class_of_the_path() -> None:
    explained = Counter(words())
    named = Counter(name for _, name in public_classes())

    assert [word for word, count in explained.items() if count > 1] == []
    assert [name for name, count in named.items() if count > 1] == []


def words() -> list[str]:
    rows = _ROW.findall((ROOT / "docs/glossary.md").read_text())
    return [word for names, _ in rows for word in re.findall(r"\w+", names)]


def public_classes() -> list[tuple[str, str]]:
    """Module and name of each class that the path defines for others to use."""
    return [
        (str(file.relative_to(ROOT)), node.name)
        for folder in PATH
        for file in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]


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
