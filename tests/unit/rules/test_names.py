"""File names that nothing reads: misspelt ones are mistakes, and what people keep beside templates is none."""

import pytest

from tests.unit.rules.trees import FOLDER, Tree

GOOD = "event: order.shipped\ncategory: orders\nrules:\n  - id: a\n    channel: email\n    to: data.to\n"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("rule.yaml", "rules.yaml"),
        ("rules.yml", "rules.yaml"),
        ("Rules.yaml", "rules.yaml"),
        ("shema.json", "schema.json"),
        ("samples.json", "sample.json"),
        ("sample-german.json", "sample.json"),
        ("email.html", "email.html.j2"),
        ("email.txt", "email.text.j2"),
        ("de/email.text", "email.text.j2"),
        ("notes.yaml", "rules.yaml"),
    ],
)
def test_a_file_that_is_meant_to_be_read_and_is_not_is_a_mistake(tree: Tree, name: str, meant: str) -> None:
    tree.rules(GOOD)
    tree.write(f"{FOLDER}/{name}", "x")

    (problem,) = tree.problems()

    assert (problem.where, problem.what) == (f"templates/{FOLDER}/{name}", "nothing reads a file of this name")
    assert meant in problem.fix


def test_a_misspelt_rules_file_is_told_though_nothing_else_says_what_the_folder_is(tree: Tree) -> None:
    tree.write(f"{FOLDER}/rule.yaml", GOOD)
    assert f"templates/{FOLDER}/rule.yaml: nothing reads a file of this name (did you mean rules.yaml?" in tree.told()


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "README", "LICENSE", "logo.png", "email.png", "images/logo.svg", "invoice.pdf"),
        *(".gitkeep", ".rules.yaml.swp", "rules.yaml~", "rules.yaml.bak", "rules.yaml.orig", "#rules.yaml#"),
        *("_notes.yaml", "_old/rules.yaml", "email.html.j2~", "sample.german.json"),
    ],
)
def test_what_people_keep_beside_templates_is_no_mistake(tree: Tree, name: str) -> None:
    tree.rules(GOOD)
    sample = '{"specversion": "1.0", "id": "1", "source": "/s", "type": "order.shipped"}'
    tree.write(f"{FOLDER}/{name}", sample)

    assert tree.told() == ""


@pytest.mark.parametrize("name", ["package.json", "docs/mkdocs.yml", "node_modules/x/package.json"])
def test_a_templates_folder_may_lie_in_a_repository_of_its_own(tree: Tree, name: str) -> None:
    tree.rules(GOOD)
    tree.write(name, "x")

    assert tree.told() == ""
