"""Who may do what: the whole table of routes and roles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.integration.api.conftest import TOKENS

_EVENT = {"specversion": "1.0", "type": "nobody.listens", "source": "/t", "id": "1"}
_ADMIN = {"Authorization": f"Bearer {TOKENS['admin']}"}
_ALL = {"publish", "read", "operate", "admin"}

#: method, path, body, roles that get past the door.
TABLE: list[tuple[str, str, Any, set[str]]] = [
    ("POST", "/v1/events", _EVENT, {"publish", "admin"}),
    ("GET", "/v1/events/evt_none", None, _ALL),
    ("GET", "/v1/deliveries/dlv_none", None, {"read", "operate", "admin"}),
    ("GET", "/v1/endpoints", None, {"operate", "admin"}),
    ("GET", "/v1/endpoints/ep_none", None, {"operate", "admin"}),
    ("POST", "/v1/endpoints/ep_none/disable", None, {"operate", "admin"}),
    ("POST", "/v1/endpoints/ep_none/enable", None, {"operate", "admin"}),
    ("POST", "/v1/endpoints/ep_none/pause", None, {"operate", "admin"}),
    ("POST", "/v1/endpoints/ep_none/resume", None, {"operate", "admin"}),
    ("POST", "/v1/endpoints", {"url": "https://203.0.113.9/"}, {"admin"}),
    ("PATCH", "/v1/endpoints/ep_none", {}, {"admin"}),
    ("POST", "/v1/endpoints/ep_none/rotate", None, {"admin"}),
    ("DELETE", "/v1/endpoints/ep_none", None, {"admin"}),
    ("GET", "/v1/recipients/nobody", None, {"operate", "admin"}),
    ("PUT", "/v1/recipients/a@b", {"email": "kim@example.org"}, {"admin"}),
    ("DELETE", "/v1/recipients/nobody", None, {"admin"}),
    ("POST", "/v1/recipients", None, {"admin"}),
    ("GET", "/v1/limits", None, {"operate", "admin"}),
    ("PUT", "/v1/limits/relay:none", {"rate": "5/s"}, {"operate", "admin"}),
    ("DELETE", "/v1/limits/relay:none", None, {"operate", "admin"}),
    ("POST", "/v1/forget", {"who": "nobody", "dry_run": True}, {"admin"}),
    ("GET", "/v1/failures", None, {"operate", "admin"}),
    ("GET", "/v1/failures/unmatched", None, {"operate", "admin"}),
    ("GET", "/v1/failures/dlv_none", None, {"operate", "admin"}),
    ("POST", "/v1/failures/replay", {"ids": ["x"], "dry_run": True}, {"operate", "admin"}),
    ("POST", "/v1/failures/discard", {"ids": ["x"], "dry_run": True}, {"operate", "admin"}),
]


def _headers(token: str | None) -> dict[str, str]:
    return {"Content-Type": "application/cloudevents+json"} | ({"Authorization": f"Bearer {token}"} if token else {})


def _ask(client: TestClient, method: str, path: str, body: Any, token: str | None) -> Any:
    headers = _headers(token)
    if path != "/v1/events":
        headers["Content-Type"] = "application/json"
    return (
        client.request(method, path, json=body, headers=headers)
        if body is not None
        else client.request(method, path, headers=headers)
    )


@pytest.mark.parametrize("role", sorted(_ALL))
@pytest.mark.parametrize(("method", "path", "body", "allowed"), TABLE)
def test_a_route_is_open_to_exactly_the_roles_of_the_table(
    client: TestClient, method: str, path: str, body: Any, allowed: set[str], role: str
) -> None:
    answer = _ask(client, method, path, body, TOKENS[role])

    if role in allowed:
        assert answer.status_code not in (401, 403, 500), answer.text
    else:
        assert answer.status_code == 403
        assert "needs the role" in answer.json()["detail"]
        assert "insufficient_scope" in answer.headers["www-authenticate"]


@pytest.mark.parametrize("token", [None, "", "wrong-token-0123456789", "publish-token-012345678", "\x7f"])
@pytest.mark.parametrize(("method", "path", "body", "allowed"), TABLE)
def test_every_route_is_closed_without_a_known_token(
    client: TestClient, method: str, path: str, body: Any, allowed: set[str], token: str | None
) -> None:
    answer = _ask(client, method, path, body, token)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) >= {"type", "title", "status", "detail", "where", "do"}


def test_the_table_names_every_route_of_the_api(client: TestClient) -> None:
    described = client.get("/openapi.json").json()["paths"]
    wanted = {
        (method.upper(), path) for path, methods in described.items() if path.startswith("/v1/") for method in methods
    }

    def template(path: str) -> str:
        return next(p for p in sorted(described, key=lambda p: "{" in p) if _fits(p, path))

    assert {(method, template(path)) for method, path, _, _ in TABLE} == wanted


def _fits(pattern: str, path: str) -> bool:
    ours, theirs = pattern.split("/"), path.split("/")
    return len(ours) == len(theirs) and all(o == t or o.startswith("{") for o, t in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("scheme", ["Basic", "Token", "bearer"])
def test_only_the_bearer_scheme_is_read(client: TestClient, scheme: str) -> None:
    answer = client.get("/v1/endpoints", headers={"Authorization": f"{scheme} {TOKENS['admin']}"})

    assert answer.status_code == (200 if scheme == "bearer" else 401)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_health_and_metrics_are_open(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200
    assert client.head(path).status_code == 200


def test_a_stranger_is_refused_before_the_body_is_read(client: TestClient) -> None:

    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 1000

    answer = client.post("/v1/events", content=endless(), headers={"Content-Type": "application/cloudevents+json"})

    assert answer.status_code == 401


def test_a_method_that_a_path_has_not_is_refused_with_all_that_it_has(client: TestClient) -> None:
    # Given every path of the API, as it describes itself
    described = client.get("/openapi.json").json()["paths"]
    described["/openapi.json"] = {"get": {}}

    # When it is asked by a method that no path has
    urls = {path: path.translate({ord(brace): None for brace in "{}"}) for path in described}
    answers = {path: client.request("TRACE", url, headers=_ADMIN) for path, url in urls.items()}

    # Then it names those it has; HEAD where it answers that
    assert {answer.status_code for answer in answers.values()} == {405}
    allowed = {path: set(answer.headers["allow"].split(", ")) for path, answer in answers.items()}
    assert {path: names - {"HEAD"} for path, names in allowed.items()} == {
        path: {method.upper() for method in operations} for path, operations in described.items()
    }
    heads = {"/healthz", "/readyz", "/metrics", "/unsubscribe/{token}", "/openapi.json"}
    assert {path for path, names in allowed.items() if "HEAD" in names} == heads
