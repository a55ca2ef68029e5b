"""The rules that ship with the project: they load, and every sample reaches somebody."""

import pytest

from notifier.rules.content import Content
from notifier.rules.explanation import explain
from tests.shop_folders import FOLDERS, SHOP
from tests.unit.rules.trees import NOW, Endpoints


@pytest.fixture(scope="module")
def content() -> Content:
    """The project's own templates folder."""
    return Content.load(SHOP)


def test_every_folder_with_rules_has_a_sample(content: Content) -> None:
    assert set(FOLDERS) <= set(content.catalog.patterns)
    assert [folder for folder in FOLDERS if not content.catalog.samples.get(folder)] == []


def test_every_sample_reaches_somebody_and_what_they_read_can_be_rendered(content: Content) -> None:
    for sample in (sample for folder in FOLDERS for sample in content.catalog.samples[folder]):
        told = explain(sample.event, content.catalog, Endpoints("ep_1"), content.renderer, NOW)
        assert told.valid, sample.file
        assert told.total > 0, sample.file
        for rule in told.rules:
            assert rule.problems == (), sample.file
            assert [delivery.error for delivery in rule.deliveries if delivery.error] == [], sample.file
