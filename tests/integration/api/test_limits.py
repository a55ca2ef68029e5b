"""Rate limits over HTTP, on a real Redis."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.integration.api.conftest import TOKENS

OPERATE = {"Authorization": f"Bearer {TOKENS['operate']}"}
ADMIN = {"Authorization": f"Bearer {TOKENS['admin']}"}
pytestmark = pytest.mark.usefixtures("fresh")


def listed(client: TestClient) -> dict[str, Any]:
    return {limit["scope"]: limit for limit in client.get("/v1/limits", headers=OPERATE).json()}


def test_a_limit_is_set_seen_and_reset(client: TestClient) -> None:
    # When an operator sets limits, one of them of a rule, whose id has a slash
    for scope, rate in (("domain:GMail.com", "20/s burst 40"), ("rule:order.placed/mail", "unlimited")):
        answer = client.put(f"/v1/limits/{scope}", json={"rate": rate}, headers=OPERATE)
        assert answer.status_code == 204, answer.text

    # Then they are seen
    limits = listed(client)
    assert limits["domain:gmail.com"] == {
        "scope": "domain:gmail.com",
        "rate": "20/s burst 40",
        "origin": "set live",
        "per_second": 20.0,
        "factor": 1.0,
        "waiting": 0,
        "line": 0.0,
    }
    assert limits["rule:order.placed/mail"]["per_second"] is None

    # And a reset takes one back, once
    path = "/v1/limits/domain:gmail.com"
    assert client.delete(path, headers=OPERATE).status_code == 204
    assert client.delete(path, headers=OPERATE).status_code == 404
    assert list(listed(client)) == ["rule:order.placed/mail"]


def test_limits_are_read_page_by_page(client: TestClient) -> None:
    # Given five limits
    for name in "cadbe":
        client.put(f"/v1/limits/tenant:{name}", json={"rate": "1/s"}, headers=OPERATE)

    # When pages of two are read, then each begins behind the last of the one before
    pages, after = list[list[str]](), ""
    while not pages or len(pages[-1]) == 2:
        answer = client.get("/v1/limits", params={"limit": 2, "after": after}, headers=OPERATE)
        pages.append([limit["scope"] for limit in answer.json()])
        after = pages[-1][-1]
    assert pages == [["tenant:a", "tenant:b"], ["tenant:c", "tenant:d"], ["tenant:e"]]
    assert client.get("/v1/limits", params={"limit": 0}, headers=OPERATE).status_code == 422


@pytest.mark.parametrize(
    ("scope", "rate", "why"),
    [("planet", "1/s", "planet"), ("relay", "fast", "fast"), ("recipient:kim@example.org", "1/s", "rcp_")],
)
def test_what_cannot_be_limited_is_a_problem_that_says_why(client: TestClient, scope: str, rate: str, why: str) -> None:
    answer = client.put(f"/v1/limits/{scope}", json={"rate": rate}, headers=OPERATE)

    assert answer.status_code == 422
    assert why in answer.json()["detail"]


def test_readers_may_not_change_limits(client: TestClient) -> None:
    reader = {"Authorization": f"Bearer {TOKENS['read']}"}

    assert client.put("/v1/limits/relay", json={"rate": "1/s"}, headers=reader).status_code == 403


def test_an_endpoint_has_a_rate_that_can_be_changed_and_taken_away(client: TestClient) -> None:
    # Given an endpoint with a rate of its own
    body = {"url": "https://example.com/hooks", "tenant": "acme", "rate": "10/s burst 5"}
    made = client.post("/v1/endpoints", json=body, headers=ADMIN)
    assert made.status_code == 201, made.text
    identity = made.json()["id"]

    # Then it is listed among the limits
    assert listed(client)[f"endpoint:{identity}"]["origin"] == "endpoint record"

    # And it is changed, kept when something else changes, and taken away
    rates = []
    for change in ({"rate": "2/s"}, {"description": "slow"}, {"rate": ""}):
        answer = client.patch(f"/v1/endpoints/{identity}", json=change, headers=ADMIN)
        rates.append(answer.json()["rate"])
    assert rates == ["2/s", "2/s", ""]
    assert listed(client) == {}


def test_a_rate_that_is_none_is_refused(client: TestClient) -> None:
    answer = client.post("/v1/endpoints", json={"url": "https://example.com/", "rate": "fast"}, headers=ADMIN)

    assert answer.status_code == 422
    assert "fast" in answer.text
