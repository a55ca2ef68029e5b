"""The rules that ship with the project: they load, and every sample reaches somebody."""

from pathlib import Path

import pytest

from notifier.rules.content import Content
from notifier.rules.explanation import explain
from tests.unit.rules.trees import NOW, Endpoints

SHOP = Path(__file__).parents[3] / "templates"


@pytest.fixture(scope="module")
def content() -> Content:
    """The project's own templates folder."""
    return Content.load(SHOP)


def test_every_folder_with_rules_has_a_sample(content: Content) -> None:
    assert set(content.catalog.patterns) == set(content.catalog.samples)


def test_every_sample_reaches_somebody_and_what_they_read_can_be_rendered(content: Content) -> None:
    for sample in (sample for samples in content.catalog.samples.values() for sample in samples):
        told = explain(sample.event, content.catalog, Endpoints("ep_1"), content.renderer, NOW)
        assert told.valid, sample.file
        assert told.total > 0, sample.file
        for rule in told.rules:
            assert rule.problems == (), sample.file
            assert [delivery.error for delivery in rule.deliveries if delivery.error] == [], sample.file
