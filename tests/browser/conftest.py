"""One browser for all tests here, a page for each."""

import os
from collections.abc import Callable, Iterator

import pytest

from tests.browser.chromium import Chromium, Tab
from tests.servers.processes import ServerMissing

Open = Callable[[str], Tab]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A running Chromium; a laptop without it skips its tests, CI must not."""
    try:
        browser = Chromium(tmp_path_factory.mktemp("chromium"))
    except ServerMissing as missing:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(missing))
    yield browser
    browser.close()


@pytest.fixture
def browse(chromium: Chromium) -> Iterator[Open]:
    """Opens addresses in pages that are closed after the test."""
    tabs: list[Tab] = []

    def opened(url: str) -> Tab:
        tabs.append(chromium.open(url))
        return tabs[-1]

    yield opened
    for tab in tabs:
        tab.close()
