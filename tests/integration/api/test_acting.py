"""Replays and discards over HTTP end within a bounded time, and say what remains."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from celery import Celery
from starlette.testclient import TestClient

from notifier.api.app import create_app
from notifier.celery import from_settings
from notifier.domain.cloudevents import STRUCTURED
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedEvent
from notifier.domain.topology import FAILED_INTAKE
from notifier.failures.operator import Operator
from notifier.failures.publishing import opened
from notifier.settings import Settings
from notifier.storage.parked import ParkedFilter, ParkedIndex
from notifier.storage.suppressions import Suppressions
from notifier.wiring.api import build_services
from notifier.wiring.stores import build_ledger, build_recipients, build_store
from tests.integration.api.conftest import TOKENS

ADMIN = {"Authorization": f"Bearer {TOKENS['admin']}"}
ALL = ParkedFilter(queue=FAILED_INTAKE)
pytestmark = pytest.mark.usefixtures("fresh")


@pytest.fixture
def app(api_settings: Settings) -> Iterator[Celery]:
    with Celery("test") as app:
        app.conf.update(from_settings(api_settings))
        yield app


@pytest.fixture
def operator(api_settings: Settings, app: Celery) -> Iterator[Operator]:
    store = build_store(api_settings)
    ledger, recipients = build_ledger(api_settings, store), build_recipients(api_settings, store)
    yield Operator(app, ledger, ParkedIndex(store), Suppressions(store), recipients)
    store.close()


@pytest.fixture
def client(api_settings: Settings, operator: Operator) -> Iterator[TestClient]:
    """The API, with the failure queues of this test's broker."""
    services, close = build_services(api_settings)
    yield TestClient(create_app(replace(services, operator=operator)), raise_server_exceptions=False)
    close()


@pytest.fixture
def three_parked(app: Celery, api_settings: Settings) -> list[str]:
    """Events in `failed-intake`, each a message of its own, and in the index."""
    entries = [
        Parked(id=f"evt_{n}", queue=FAILED_INTAKE, cause=Cause.MALFORMED, reason="x", parked_at=time.time())
        for n in range(3)
    ]
    with opened(app) as publishing:
        for entry in entries:
            publishing.park(FAILED_INTAKE, ParkedEvent((entry,), b"{}", STRUCTURED, {}))
    store = build_store(api_settings)
    ParkedIndex(store).add(entries)
    store.close()
    return [entry.id for entry in entries]


def test_a_replay_that_would_take_longer_than_a_request_may_says_what_remains(
    client: TestClient, three_parked: list[str]
) -> None:
    # Given a rate at which the second would be sent after 20 seconds: once the request held its thread that long

    # When
    first = client.post("/v1/failures/replay", json={"ids": three_parked, "rate": 0.05}, headers=ADMIN).json()

    # Then one was sent, and the others are still there
    again_after = first.pop("again_after")
    assert first == {"chosen": 3, "done": 1, "already_sent": 0, "missing": 0, "remaining": 2}
    assert 0 < again_after <= 20
    assert len(client.get("/v1/failures", headers=ADMIN).json()["entries"]) == 2

    # When the same is asked again, in a hurry
    rest = client.post("/v1/failures/replay", json={"ids": three_parked}, headers=ADMIN).json()

    # Then
    assert rest == {"chosen": 2, "done": 2, "already_sent": 0, "missing": 0}


def test_a_rate_no_request_can_keep_is_refused_with_the_way_out(client: TestClient) -> None:
    answer = client.post("/v1/failures/replay", json={"ids": ["evt_1"], "rate": 0.04}, headers=ADMIN)

    assert answer.status_code == 422
    assert "notifier failures replay" in answer.json()["detail"]


def test_a_payload_that_is_looked_for_too_long_is_looked_for_where_that_ended(
    client: TestClient, three_parked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a request whose time is over after the first window, of one message, and an entry in the last of three
    monkeypatch.setattr("notifier.failures.redrive.FIRST_WINDOW", 1)
    monkeypatch.setattr("notifier.api.failures.ACTING_S", -1.0)

    # When its payload is asked for until it is there
    answers = [
        client.get(f"/v1/failures/{three_parked[2]}?payload=true", headers=ADMIN).json()
        for _ in range(len(three_parked))
    ]

    # Then each says how much is left to look at, and begins where the one before ended
    assert [one["remaining"] for one in answers] == [2, 2, 0]
    assert [one["payload"] and one["payload"]["text"] for one in answers] == [None, None, "{}"]

    # And all are still there to be discarded by a request that has its time
    monkeypatch.undo()
    discarded = client.post("/v1/failures/discard", json={"ids": three_parked}, headers=ADMIN).json()
    assert (discarded["done"], discarded["missing"]) == (3, 0)


def test_a_discard_whose_time_is_over_leaves_the_rest_where_it_is(operator: Operator, three_parked: list[str]) -> None:
    # When there is no time at all
    summary = operator.discard(ALL, seconds=-1)

    # Then nothing is taken for missing
    assert (summary.chosen, summary.done, summary.missing, summary.remaining) == (3, 0, 0, 3)
    assert operator.discard(ALL).done == len(three_parked)


def test_two_walks_at_once_do_not_hide_messages_from_each_other(
    operator: Operator, three_parked: list[str], api_settings: Settings
) -> None:
    # Given somebody who walks the queue
    store = build_store(api_settings)
    index = ParkedIndex(store)
    assert index.begin_walk(FAILED_INTAKE, "somebody", 60)

    # When another one has no time to wait for it
    summary = operator.discard(ALL, seconds=0.01)

    # Then nothing is taken for missing, and all is there when the other has ended
    assert (summary.chosen, summary.done, summary.missing, summary.remaining) == (3, 0, 0, 3)
    index.end_walk(FAILED_INTAKE, "somebody")
    store.close()
    assert operator.discard(ALL).done == len(three_parked)
