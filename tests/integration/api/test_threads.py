"""Who works in threads beside a publish: whatever holds them, events are taken in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from notifier.api.app import create_app
from notifier.api.threads import LISTING, PUBLISHING, Threads
from notifier.errors import Overloaded
from notifier.settings import Settings
from notifier.wiring.api import build_services
from tests.integration.api.conftest import TOKENS
from tests.servers.patience import PATIENCE_S

ADMIN = {"Authorization": f"Bearer {TOKENS['admin']}"}
EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "nobody.wants", "data": {}}
#: More than the API has threads for anything.
MANY = PUBLISHING + 20


class _Stuck:
    """Every call of it waits until it is let go, as one does that reads very much."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.entered = threading.Semaphore(0)

    def __getattr__(self, _: str) -> Any:
        def wait(*_: Any, **__: Any) -> list[Any]:
            self.entered.release()
            assert self.free.wait(PATIENCE_S)
            return []

        return wait


@pytest.fixture
def stuck() -> Iterator[_Stuck]:
    stuck = _Stuck()
    yield stuck
    stuck.free.set()


@pytest.mark.parametrize(
    ("method", "path", "body", "part"),
    [
        ("GET", "/v1/limits", None, "limits"),
        ("GET", "/v1/failures/unmatched", None, "operator"),
        ("GET", "/v1/events/evt_1", None, "lookup"),
        ("GET", "/v1/endpoints", None, "endpoints"),
        ("POST", "/v1/failures/replay", {"older_than": 0}, "operator"),
        ("GET", "/v1/recipients/kim", None, "recipients"),
    ],
)
def test_an_event_is_taken_in_while_others_hold_every_thread_they_get(
    api_settings: Settings, stuck: _Stuck, method: str, path: str, body: Any, part: str
) -> None:
    # Given more requests than there are threads, none of which ends
    services, close = build_services(api_settings)
    app = create_app(replace(services, **{part: stuck}))

    async def publish_beside_them() -> int:
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://api", timeout=PATIENCE_S) as client:
            others = [asyncio.create_task(client.request(method, path, headers=ADMIN, json=body)) for _ in range(MANY)]
            await asyncio.to_thread(stuck.entered.acquire, timeout=PATIENCE_S)

            # When
            headers = {**ADMIN, "Content-Type": "application/cloudevents+json"}
            publishing = asyncio.create_task(client.post("/v1/events", json=EVENT, headers=headers))
            done, _ = await asyncio.wait([publishing], timeout=PATIENCE_S)
            stuck.free.set()
            await asyncio.gather(*others, publishing)
            return publishing.result().status_code if done else 0

    try:
        status = asyncio.run(publish_beside_them())
    finally:
        stuck.free.set()
        close()

    # Then
    assert status == 202


def test_a_listing_that_gets_no_turn_is_told_to_come_back() -> None:
    async def last_of_many() -> None:
        threads, free = Threads(turn_seconds=0), threading.Event()
        first = [asyncio.create_task(threads.list(lambda: free.wait(PATIENCE_S))) for _ in range(LISTING)]
        await asyncio.sleep(0)
        try:
            with pytest.raises(Overloaded, match="listed"):
                await threads.list(list)
        finally:
            free.set()
            assert [answer.body for answer in await asyncio.gather(*first)] == [b"true"] * LISTING

    asyncio.run(last_of_many())
