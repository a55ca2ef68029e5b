"""Each mistake is told at its place, in words that say what is wrong; nothing is said of what is right."""

from pathlib import Path

import pytest

from notifier.checks.content import check
from notifier.rules.content import Content
from tests.mistakes.patches import Mistake, is_told, loaded_shop, mistakes, told_of


@pytest.fixture(scope="module")
def shop() -> Content:
    return loaded_shop()


@pytest.mark.parametrize("mistake", list(mistakes()), ids=lambda mistake: mistake.name)
def test_a_mistake_is_told_at_its_place(mistake: Mistake, shop: Content, tmp_path: Path) -> None:
    said = told_of(mistake, tmp_path, shop)

    assert is_told(mistake, said), f"{mistake.at}: {mistake.told}\nis not among\n" + "\n".join(map(str, said))


def test_nothing_is_said_of_the_shops_own_templates(shop: Content) -> None:
    assert check(shop) == []
