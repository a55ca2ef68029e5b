"""Fixtures of the rendering tests."""

from pathlib import Path

import pytest

from tests.unit.rendering.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """An empty templates folder."""
    return Shelf(tmp_path / "templates")
