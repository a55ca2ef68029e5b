"""Events, deliveries, endpoints, recipients, failures and unsubscribe links over HTTP, on a real Redis."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.event import Event
from notifier.domain.ids import delivery_id, person_key, recipient_key
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked
from notifier.domain.rule import Channel, Rule
from notifier.domain.suppression import Part, bounced, by_operator, forgotten
from notifier.settings import Settings
from notifier.storage.cipher import Cipher
from notifier.storage.endpoints import Endpoints, new_secret
from notifier.storage.ledger import Registration
from notifier.storage.parked import ParkedIndex
from notifier.storage.store import Store
from notifier.storage.suppressions import Suppressions
from notifier.wiring.api import build_api
from notifier.wiring.edges import build_links
from notifier.wiring.stores import build_ledger, build_store
from tests.integration.api.conftest import SECRET_KEY, TOKENS
from tests.servers.patience import poll
from tests.servers.redis import RedisServer

ADMIN = {"Authorization": f"Bearer {TOKENS['admin']}"}
pytestmark = pytest.mark.usefixtures("fresh")


@pytest.fixture
def store(api_settings: Settings) -> Any:
    store = build_store(api_settings)
    yield store
    store.close()


@pytest.fixture
def registry(store: Store) -> Endpoints:
    return Endpoints(store, Cipher(SECRET_KEY))


def _planned(api_settings: Settings, store: Store) -> tuple[Event, Delivery]:
    """An event with one delivery in the ledger."""
    event = Event(id="or/der 1", source="/shop/orders", type="order.placed", tenant="acme")
    rule = Rule("order.placed/mail", "order.placed", Channel.EMAIL, "order.placed", "orders", transactional=True)
    to = Mailbox(address="kim@example.org")
    delivery = Delivery(
        id=delivery_id(event.source, event.id, rule.id, to.identity), event=0, rule=rule.id, to=to, queued=time.time()
    )
    build_ledger(api_settings, store).register([Registration(event, ((delivery, rule),))])
    return event, delivery


def test_an_event_shows_its_deliveries_with_masked_addresses(
    client: TestClient, api_settings: Settings, store: Store
) -> None:
    # Given
    event, delivery = _planned(api_settings, store)

    # When
    answer = client.get(f"/v1/events/{event.key}", headers=ADMIN)

    # Then
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["id"], body["source"], body["tenant"]) == ("or/der 1", "/shop/orders", "acme")
    (shown,) = body["deliveries"]
    assert (shown["id"], shown["status"], shown["tries"]) == (delivery.id, "queued", 0)
    assert "kim@example.org" not in answer.text


def test_an_event_is_found_by_its_own_id_and_source(client: TestClient, api_settings: Settings, store: Store) -> None:
    event, _ = _planned(api_settings, store)

    answer = client.get("/v1/events/or%2Fder%201", params={"source": "/shop/orders"}, headers=ADMIN)

    assert answer.json()["key"] == event.key


def test_a_delivery_is_found_by_its_id(client: TestClient, api_settings: Settings, store: Store) -> None:
    event, delivery = _planned(api_settings, store)

    body = client.get(f"/v1/deliveries/{delivery.id}", headers=ADMIN).json()

    assert (body["event"], body["rule"], body["channel"]) == (event.key, "order.placed/mail", "email")
    assert body["attempts"] == []


@pytest.mark.parametrize("path", ["/v1/events/evt_x", "/v1/events/17", "/v1/deliveries/dlv_x", "/v1/nothing", "/x"])
def test_what_is_not_there_is_a_404_that_says_what_to_do(client: TestClient, path: str) -> None:
    answer = client.get(path, headers=ADMIN)

    assert answer.status_code == 404
    assert answer.json()["do"]
    assert answer.headers["content-type"] == "application/problem+json"


def _add(client: TestClient, **fields: Any) -> Any:
    body = {"url": "https://example.com/hooks", "tenant": "acme", **fields}
    return client.post("/v1/endpoints", json=body, headers=ADMIN)


def test_an_endpoints_life(client: TestClient) -> None:
    # Given a registered endpoint, whose secret is shown
    made = _add(client, event_types=["order.*"], headers={"X-Team": "blue"}, description="orders")
    assert made.status_code == 201, made.text
    identity, first = made.json()["id"], made.json()["secret"]
    assert first.startswith("whsec_")

    # Then it is listed without its secret and without the values of its headers
    page = client.get("/v1/endpoints", params={"tenant": "acme"}, headers=ADMIN).json()
    (listed,) = page["endpoints"]
    assert page["next"] == ""
    assert (listed["id"], listed["state"], listed["header_names"]) == (identity, "enabled", ["x-team"])
    assert "secret" not in listed
    assert client.get("/v1/endpoints", params={"tenant": "other"}, headers=ADMIN).json() == {
        "endpoints": [],
        "next": "",
    }

    # When it is changed, rotated, switched off and on
    changed = client.patch(f"/v1/endpoints/{identity}", json={"event_types": ["*"]}, headers=ADMIN).json()
    assert (changed["event_types"], changed["url"]) == (["*"], "https://example.com/hooks")
    rotated = client.post(f"/v1/endpoints/{identity}/rotate", headers=ADMIN).json()
    assert rotated["secret"] not in ("", first)
    disabled = client.post(f"/v1/endpoints/{identity}/disable", json={"reason": "asked"}, headers=ADMIN).json()
    assert (disabled["state"], disabled["reason"]) == ("disabled", "asked")
    enabled = client.post(f"/v1/endpoints/{identity}/enable", headers=ADMIN).json()
    assert (enabled["state"], enabled["reason"]) == ("enabled", "")
    paused = client.post(f"/v1/endpoints/{identity}/pause", json={"reason": "migrates"}, headers=ADMIN).json()
    assert (paused["state"], paused["reason"], paused["held"]) == ("paused", "migrates", 0)
    resumed = client.post(f"/v1/endpoints/{identity}/resume", json={"held": "latest"}, headers=ADMIN).json()
    assert (resumed["state"], resumed["reason"], resumed["delivered"], resumed["dropped"]) == ("enabled", "", 0, 0)

    # And removed
    assert client.delete(f"/v1/endpoints/{identity}", headers=ADMIN).status_code == 204
    assert client.get(f"/v1/endpoints/{identity}", headers=ADMIN).status_code == 404


def test_an_endpoint_may_bring_the_secret_that_its_receiver_has(client: TestClient) -> None:
    # Given secrets made elsewhere
    first, second = new_secret(), new_secret()

    # When an endpoint is registered with one and rotated to the other
    made = client.post("/v1/endpoints", json={"url": "https://example.com/moved", "secret": first}, headers=ADMIN)
    identity = made.json()["id"]
    rotated = client.post(f"/v1/endpoints/{identity}/rotate", json={"secret": second}, headers=ADMIN)

    # Then they sign, and what is no secret is refused without being quoted
    assert (made.json()["secret"], rotated.json()["secret"]) == (first, second)
    wrong = client.post(f"/v1/endpoints/{identity}/rotate", json={"secret": "whsec_c2hvcnQ="}, headers=ADMIN)
    assert wrong.status_code == 422
    assert "c2hvcnQ" not in wrong.text
    client.delete(f"/v1/endpoints/{identity}", headers=ADMIN)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
        "https://example.com:22/",
        "ftp://example.com/",
        "https://user:pass@example.com/",
        "https://2130706433/",
        "not a url at all",
    ],
)
def test_a_url_that_webhooks_may_not_reach_is_refused_at_registration(client: TestClient, url: str) -> None:
    answer = _add(client, url=url)

    assert answer.status_code == 422, answer.text
    assert answer.json()["type"] == "urn:notifier:problem:forbidden_target"
    assert client.get("/v1/endpoints", headers=ADMIN).json()["endpoints"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {"Host": "inside"}},
        {"headers": {"X-A": "b\r\nX-Injected: 1"}},
        {"description": "two\nlines"},
        {"event_types": []},
        {"event_types": ["x" * 300]},
        {"unknown": 1},
        {"tenant": ""},
        {"url": 5},
    ],
)
def test_wrong_fields_of_an_endpoint_are_422_and_store_nothing(client: TestClient, fields: dict[str, Any]) -> None:
    answer = _add(client, **fields)

    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert client.get("/v1/endpoints", headers=ADMIN).json()["endpoints"] == []


def test_a_recipient_is_stored_shown_and_forgotten(client: TestClient) -> None:
    person = {"email": "kim@example.org", "name": "Kim", "locale": "de-AT", "timezone": "Europe/Vienna"}
    ways = {"phone": "+49 170 1234567", "addresses": {"push": "ExponentPushToken[x]"}}
    stored = {"id": "user-1", **person, **ways, "phone": "+491701234567"}

    assert client.put("/v1/recipients/user-1", json={**person, **ways}, headers=ADMIN).json() == stored
    assert client.get("/v1/recipients/user-1", headers=ADMIN).json() == stored
    assert client.delete("/v1/recipients/user-1", headers=ADMIN).status_code == 204
    assert client.get("/v1/recipients/user-1", headers=ADMIN).status_code == 404
    assert client.delete("/v1/recipients/user-1", headers=ADMIN).status_code == 404


NDJSON = {**ADMIN, "Content-Type": "application/x-ndjson"}


def test_many_people_are_stored_at_once_and_mistakes_told_by_line(client: TestClient) -> None:
    # Given 1,200 people, and two lines that are nobody
    lines = [json.dumps({"id": f"user-{number}", "email": f"p{number}@example.org"}) for number in range(1200)]
    lines[700:700] = ['{"id": "user-x"}', "nonsense"]
    body = "\n".join(lines).encode()

    # When they are only checked, then nobody is stored
    checked = client.post("/v1/recipients?dry_run=true", content=body, headers=NDJSON).json()
    assert (checked["people"], checked["mistakes"], checked["stored"]["added"]) == (1200, 2, 0)
    assert client.get("/v1/recipients/user-1", headers=ADMIN).status_code == 404

    # When they are sent in parts of any length, then all but those lines are stored
    parts = (body[start : start + 999] for start in range(0, len(body), 999))
    answer = client.post("/v1/recipients", content=parts, headers=NDJSON)
    assert answer.status_code == 200, answer.text
    assert [one["line"] for one in answer.json()["told"]] == [701, 702]
    assert answer.json()["stored"] == {"added": 1200, "changed": 0, "same": 0}
    assert client.get("/v1/recipients/user-1199", headers=ADMIN).json()["email"] == "p1199@example.org"

    # And the same request again changes nothing
    again = client.post("/v1/recipients", content=body, headers=NDJSON).json()
    assert (again["lines"], again["stored"]) == (1202, {"added": 0, "changed": 0, "same": 1200})


def test_an_import_may_be_larger_than_any_other_body_and_is_of_one_type(client: TestClient) -> None:
    # Given a body of two megabytes of empty lines
    body = b"\n" * 2_000_000

    assert client.post("/v1/recipients", content=body, headers=NDJSON).json()["people"] == 0
    assert client.post("/v1/recipients", content=b"", headers=NDJSON).json()["lines"] == 0
    refused = client.post("/v1/recipients", content=b"{}", headers={**ADMIN, "Content-Type": "application/json"})
    assert (refused.status_code, refused.json()["where"]) == (415, "Content-Type")


def test_an_id_with_a_slash_is_an_id(client: TestClient) -> None:
    path = "/v1/recipients/shop%2Fuser-1"

    assert client.put(path, headers=ADMIN, json={"email": "kim@example.org"}).status_code == 200
    assert client.get(path, headers=ADMIN).json()["id"] == "shop/user-1"
    assert client.delete(path, headers=ADMIN).status_code == 204


@pytest.mark.parametrize(
    ("identity", "person"),
    [
        ("kim@example.org", {"email": "kim@example.org"}),
        ("user-1", {"email": "not an address"}),
        ("user-1", {"email": "kim@example.org\r\nBcc: all@example.org"}),
        ("user-1", {"email": "kim@example.org", "name": "a\nb"}),
        ("user-1", {}),
        ("user-1", {"email": "kim@example.org", "timezone": "Mars/Olympus"}),
        ("user-1", {"phone": "0170 1234567"}),
        ("user-1", {"addresses": {"Slack": "U1"}}),
        ("user-1", {"addresses": {"phone": "+491701234567"}}),
        ("user-1", {"addresses": {"slack": ""}}),
        ("user-1", {"addresses": {"slack": "a\nb"}}),
        ("+491701234567", {"phone": "+491701234567"}),
    ],
)
def test_a_person_who_could_not_be_written_to_is_refused(client: TestClient, identity: str, person: Any) -> None:
    answer = client.put(f"/v1/recipients/{identity}", json=person, headers=ADMIN)

    assert answer.status_code == 422, answer.text


def _parked(number: int, **fields: Any) -> Parked:
    standard: dict[str, Any] = {
        "queue": "failed-email",
        "cause": Cause.EXHAUSTED,
        "reason": "450 later",
        "rule": "order.placed/mail",
        "tenant": "acme",
    }
    return Parked(id=f"dlv_{number}", parked_at=time.time() - number, **{**standard, **fields})


def test_failures_are_listed_newest_first_with_counts_and_pages(client: TestClient, store: Store) -> None:
    # Given
    index = ParkedIndex(store)
    index.add([_parked(number) for number in range(5)])
    index.add([_parked(9, queue="failed-webhook", cause=Cause.REFUSED)])

    # When
    first = client.get("/v1/failures", params={"queue": "failed-email", "limit": 3}, headers=ADMIN).json()
    second = client.get(
        "/v1/failures", params={"queue": "failed-email", "limit": 3, "after": first["next"]}, headers=ADMIN
    ).json()

    # Then
    assert [entry["id"] for entry in first["entries"] + second["entries"]] == [f"dlv_{n}" for n in range(5)]
    assert first["counts"] == {"failed-email": {"exhausted": 5}, "failed-webhook": {"refused": 1}}
    assert client.get("/v1/failures/dlv_9", headers=ADMIN).json()["cause"] == "refused"
    assert client.get("/v1/failures/dlv_77", headers=ADMIN).status_code == 404


def test_the_metrics_page_tells_the_size_of_every_failure_queue(client: TestClient, store: Store) -> None:
    ParkedIndex(store).add([_parked(number) for number in range(3)])

    page = client.get("/metrics").text

    assert 'notifier_failure_queue_size{queue="failed-email"} 3.0' in page
    assert 'notifier_failure_queue_size{queue="failed-intake"} 0.0' in page


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        ({"queue": "failed-email"}, 3),
        ({"cause": "refused"}, 1),
        ({"ids": ["dlv_0", "dlv_77"]}, 1),
        ({"tenant": "other"}, 0),
        ({"older_than": 3600}, 0),
        ({"newer_than": 3600}, 4),
    ],
)
@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_a_dry_run_counts_and_changes_nothing(
    client: TestClient, store: Store, verb: str, chosen: dict[str, Any], count: int
) -> None:
    index = ParkedIndex(store)
    index.add([*(_parked(n) for n in range(3)), _parked(9, queue="failed-webhook", cause=Cause.REFUSED)])

    answer = client.post(f"/v1/failures/{verb}", json={**chosen, "dry_run": True}, headers=ADMIN)

    assert answer.json() == {"chosen": count, "done": 0, "already_sent": 0, "missing": 0}
    assert sum(index.counts().values()) == 4


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_a_filter_that_names_nothing_is_refused(client: TestClient, verb: str) -> None:
    answer = client.post(f"/v1/failures/{verb}", json={}, headers=ADMIN)

    assert answer.status_code == 422
    assert "everything" in answer.json()["detail"]


@pytest.mark.parametrize("verb", ["replay", "discard"])
@pytest.mark.parametrize(
    ("field", "value"), [("dry_run", 0), ("dry_run", "false"), ("older_than", "3"), ("older_than", True)]
)
def test_a_value_of_another_json_type_is_refused_and_not_read_as_what_it_may_mean(
    client: TestClient, verb: str, field: str, value: Any
) -> None:
    answer = client.post(f"/v1/failures/{verb}", headers=ADMIN, json={"ids": ["dlv_1"], field: value})

    assert answer.status_code == 422, answer.text
    assert answer.json()["where"] == f"body.{field}"


def test_endpoints_are_read_page_by_page_and_each_is_on_one(client: TestClient, registry: Endpoints) -> None:
    # Given a few hundred endpoints of two tenants
    made = {registry.add(f"t{n % 2}", f"https://example.com/{n}").id: n % 2 for n in range(120)}

    def walk(**chosen: Any) -> list[list[str]]:
        pages, after = [], ""
        while True:
            page = client.get("/v1/endpoints", params={**chosen, "after": after}, headers=ADMIN).json()
            pages.append([endpoint["id"] for endpoint in page["endpoints"]])
            if not (after := page["next"]):
                return pages

    # When all pages are followed, then each endpoint is on one of them
    pages = walk(limit=50)
    assert [len(page) for page in pages] == [50, 50, 20]
    assert sorted(made) == [identity for page in pages for identity in page]

    # And of a tenant its own only; a page that is just full has none after it
    assert [len(page) for page in walk(tenant="t1", limit=60)] == [60]
    assert {made[identity] for page in walk(tenant="t1", limit=7) for identity in page} == {1}

    # And one that was removed meanwhile moves no other to another page
    first = client.get("/v1/endpoints", params={"limit": 3}, headers=ADMIN).json()
    registry.remove(first["next"])
    rest = client.get("/v1/endpoints", params={"after": first["next"], "limit": 500}, headers=ADMIN).json()
    assert [one["id"] for one in rest["endpoints"]] == sorted(made)[3:]


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        *(
            ("GET", f"/v1/failures?{name}={value}", None, f"query.{name}")
            for name in ("older_than", "newer_than")
            for value in ("inf", "-inf", "nan", "1e308", "1e999", "-1")
        ),
        *(
            ("POST", f"/v1/failures/{verb}", f'{{"{name}": {value}}}', f"body.{name}")
            for verb in ("replay", "discard")
            for name in ("older_than", "newer_than")
            for value in ("1e308", "Infinity", "NaN", "-1")
        ),
        ("POST", "/v1/failures/replay", '{"older_than": 0, "rate": 1e308}', "body.rate"),
        *(
            ("GET", f"/v1/failures?after={cursor}", None, "query.after")
            for cursor in ("abc", "1.", ".a", "9" * 99, "1.a/b")
        ),
        ("POST", "/v1/forget", json.dumps({"who": "x" * 257}), "body.who"),
        ("POST", "/v1/forget", json.dumps({"who": "x" * 100_000}), "body.who"),
        ("POST", "/v1/forget", '{"who": ""}', "body.who"),
    ],
)
def test_a_number_or_name_that_cannot_be_is_told_by_its_field(
    client: TestClient, method: str, path: str, body: str | None, field: str
) -> None:
    """Such ones were once answered 500."""
    headers = {**ADMIN, "Content-Type": "application/json"}
    answer = client.request(method, path, content=body, headers=headers)
    assert (answer.status_code, answer.json()["where"]) == (422, field), answer.text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "query.limit"),
        ("limit=501", "query.limit"),
        ("limit=abc", "query.limit"),
        ("after=%00", "query.after"),
        ("after=" + "a" * 65, "query.after"),
        ("tenant=" + "a" * 257, "query.tenant"),
        ("order=age", "query.order"),
    ],
)
def test_a_page_of_endpoints_that_cannot_be_is_told_by_its_field(client: TestClient, query: str, field: str) -> None:
    answer = client.get(f"/v1/endpoints?{query}", headers=ADMIN)
    assert (answer.status_code, answer.json()["where"]) == (422, field)


def _link(api_settings: Settings, category: str = "orders") -> str:
    links = build_links(api_settings)
    assert links is not None
    url = links.url(recipient_key("kim@example.org"), category)
    return url.removeprefix(api_settings.public_url)


def test_looking_at_an_unsubscribe_link_changes_nothing(
    client: TestClient, api_settings: Settings, store: Store
) -> None:
    answer = client.get(_link(api_settings))

    assert answer.status_code == 200
    assert '<form method="post">' in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not Suppressions(store).get(recipient_key("kim@example.org"))


def test_one_click_switches_a_category_off_and_a_second_category_is_added(
    client: TestClient, api_settings: Settings, store: Store
) -> None:
    # When mail programs POST what RFC 8058 says
    for category in ("orders", "news", "orders"):
        answer = client.post(_link(api_settings, category), data={"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200

    # Then
    found = Suppressions(store).get(recipient_key("kim@example.org"))
    assert found.names == ("category:orders", "category:news")


@pytest.mark.parametrize("part", [bounced("smtp_550", 1.0), by_operator("asked by phone", 1.0), forgotten(1.0)])
def test_what_is_switched_off_is_remembered_whatever_else_is_known_of_the_address(
    client: TestClient, api_settings: Settings, store: Store, part: Part
) -> None:
    # Given an address nothing is sent to anyway; its owner was once told "Done", and nothing was stored
    Suppressions(store).add(recipient_key("kim@example.org"), part)

    assert client.post(_link(api_settings)).status_code == 200

    # When that reason is lifted, then the wish is there
    Suppressions(store).remove(recipient_key("kim@example.org"), [part.name])
    assert Suppressions(store).get(recipient_key("kim@example.org")).names == ("category:orders",)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_forged_link_does_nothing(client: TestClient, api_settings: Settings, store: Store, method: str) -> None:
    link = _link(api_settings)

    for forged in (link[:-4], link + "AAAA", "/unsubscribe/x", link[:-4] + "AAAA", "/unsubscribe/%ff%00"):
        answer = client.request(method, forged)
        assert answer.status_code in (404, 422), forged
        assert answer.status_code == 422 or "Nothing has been changed" in answer.text

    assert Suppressions(store).count() == 0


def test_programs_that_check_links_change_nothing(client: TestClient, api_settings: Settings, store: Store) -> None:
    link = _link(api_settings)

    for method, status in (("HEAD", 200), ("GET", 200), ("OPTIONS", 405), ("PUT", 405), ("DELETE", 405)):
        assert client.request(method, link).status_code == status, method

    assert Suppressions(store).count() == 0


def test_a_post_is_answered_itself_and_not_redirected(client: TestClient, api_settings: Settings) -> None:
    # RFC 8058 §3.1: "The mail sender MUST NOT return an HTTPS redirect"
    for body in ("List-Unsubscribe=One-Click", ""):
        answer = client.post(
            _link(api_settings),
            content=body,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            follow_redirects=False,
        )
        assert (answer.status_code, "Done" in answer.text) == (200, True)


def test_a_link_in_an_older_mail_to_a_person_works_for_the_address_they_have_now(
    client: TestClient, api_settings: Settings, store: Store
) -> None:
    # Given a mail to somebody known by an id, whose address changes then
    links = build_links(api_settings)
    assert links is not None
    client.put("/v1/recipients/user-7", json={"email": "old@example.org"}, headers=ADMIN)
    url = links.url(recipient_key("old@example.org"), "orders", person_key("user-7"))
    client.put("/v1/recipients/user-7", json={"email": "new@example.org"}, headers=ADMIN)

    # When they use its link
    assert client.post(url.removeprefix(api_settings.public_url)).status_code == 200

    # Then it holds for both
    found = Suppressions(store).get_many([recipient_key("old@example.org"), recipient_key("new@example.org")])
    assert [known.names for known in found.values()] == [("category:orders",)] * 2


def test_a_person_of_another_link_is_refused(client: TestClient, api_settings: Settings, store: Store) -> None:
    links = build_links(api_settings)
    assert links is not None
    person = links.token(person_key("user-7"), "news")

    for forged in (person, person_key("user-7"), "x"):
        assert client.post(f"{_link(api_settings)}?person={forged}").status_code == 404

    assert Suppressions(store).count() == 0


def test_a_wish_that_cannot_be_stored_is_not_said_to_be(api_settings: Settings, redis_server: RedisServer) -> None:
    # Given a Redis that is away
    app, close = build_api(api_settings)
    client = TestClient(app)
    redis_server.stop()
    try:
        # When somebody unsubscribes
        answer = client.post(_link(api_settings), data={"List-Unsubscribe": "One-Click"})
        page = client.get(_link(api_settings))
    finally:
        redis_server.start()
    again = client.post(_link(api_settings))
    close()

    # Then the page says that it was not stored, and offers the button again
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "have not been stopped" in answer.text
    assert '<form method="post">' in answer.text
    assert "Done" not in answer.text
    assert page.status_code == 200
    assert again.status_code == 200


def test_a_category_cannot_bring_its_own_html(client: TestClient, api_settings: Settings) -> None:
    answer = client.get(_link(api_settings, "<script>alert(1)</script>"))

    assert "<script>" not in answer.text


def test_without_a_secret_key_storing_a_recipient_is_explained(api_settings: Settings) -> None:
    app, close = build_api(api_settings.model_copy(update={"secret_key": ""}))

    answer = TestClient(app).put("/v1/recipients/u", json={"email": "kim@example.org"}, headers=ADMIN)

    close()
    assert answer.status_code == 503
    assert "NOTIFIER_SECRET_KEY" in answer.json()["detail"]


def test_a_redis_that_is_away_is_503_and_the_health_page_still_answers(
    api_settings: Settings, redis_server: RedisServer
) -> None:
    # Given an API whose Redis goes away after the start
    app, close = build_api(api_settings)
    client = TestClient(app)
    redis_server.stop()
    try:
        # When
        answer = client.get("/v1/deliveries/dlv_x", headers=ADMIN)
        readiness = client.get("/readyz")
        health = client.get("/healthz")
    finally:
        redis_server.start()
    # Then it is ready again by itself, once it has reached the broker too
    poll(lambda: client.get("/readyz").status_code == 200, "the API is ready again")
    close()

    # Then
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:notifier:problem:storage_away"
    assert int(answer.headers["retry-after"]) > 0
    assert readiness.status_code == 503
    assert readiness.json()["checks"]["redis"] != "ok"
    assert health.status_code == 200


def test_a_person_is_forgotten_after_a_count(client: TestClient) -> None:
    # Given somebody known by an id
    client.put("/v1/recipients/user-9", json={"email": "kim@example.org"}, headers=ADMIN)

    # When they are counted, then nothing changes
    counted = client.post("/v1/forget", json={"who": "kim@example.org", "dry_run": True}, headers=ADMIN)
    assert (counted.status_code, counted.json()["recipients"]) == (200, 1), counted.text
    assert client.get("/v1/recipients/user-9", headers=ADMIN).status_code == 200

    # When they are forgotten, then they are, and a second time nobody is known
    forgotten = client.post("/v1/forget", json={"who": "user-9", "suppress": True}, headers=ADMIN)
    assert (forgotten.status_code, forgotten.json()["suppressed"]) == (200, True)
    assert client.get("/v1/recipients/user-9", headers=ADMIN).status_code == 404
    assert client.post("/v1/forget", json={"who": "user-9"}, headers=ADMIN).status_code == 404
