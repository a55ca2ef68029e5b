"""Whose events the demo publishes: those of the folder that is named, or it says why not."""

import shutil
from pathlib import Path

import pytest

from notifier.demo.command import chosen_templates, shop_templates
from notifier.errors import ConfigurationError


def test_the_demo_takes_the_templates_that_are_named_and_else_the_shops(tmp_path: Path) -> None:
    own = Path(shutil.copytree(shop_templates(), tmp_path / "templates"))

    assert chosen_templates({"NOTIFIER_TEMPLATES": str(own)}) == own
    assert chosen_templates({}) == shop_templates()


def test_a_folder_without_samples_or_with_mistakes_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no sample events"):
        chosen_templates({"NOTIFIER_TEMPLATES": str(tmp_path)})
    with pytest.raises(ConfigurationError, match="is not a folder"):
        chosen_templates({"NOTIFIER_TEMPLATES": str(tmp_path / "nowhere")})
