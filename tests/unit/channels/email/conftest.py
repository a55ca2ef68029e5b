"""Fixtures of the email channel's tests."""

from pathlib import Path

import pytest

from tests.unit.rules.trees import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An empty templates folder."""
    return Tree(tmp_path)
