"""Receivers that hang, refuse for a while, or are paused: the others are served, and nothing is lost."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.domain.delivery import Status
from notifier.domain.endpoint import EndpointState
from tests.acceptance.place import Place, hook_folder, mail_folder, metric, place
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

EVENT = "pressure.fan"
FOLDERS = {
    EVENT: hook_folder(EVENT),
    "notifier.endpoint.disabled": mail_folder(
        "notifier.endpoint.disabled",
        text="{{ data.endpoint }}: {{ data.reason }}\n",
    ),
}
EVENTS = 120
#: Few slots, so that a hanging receiver that could hold a batch would soon hold the worker.
FEW = {"NOTIFIER_WORKER_CONCURRENCY": "4", "NOTIFIER_WEBHOOK_TIMEOUT": "20", "NOTIFIER_WEBHOOK_RETRY": "1 2 2 2 2 2 2"}


@pytest.fixture
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path: Path) -> Iterator[Place]:
    with place(rabbitmq, redis_server, tmp_path, FOLDERS, **FEW) as here:
        yield here


def endpoints(at: Place, *paths: str) -> dict[str, str]:
    """Path → endpoint id."""
    return {path: at.endpoints.add("default", f"{at.http.url}{path}").id for path in paths}


def arrived(at: Place, path: str) -> Counter[str]:
    return Counter(r.header("webhook-id") or "" for r in at.http.requests if r.path == path)


def test_hanging_and_refusing_receivers_hold_nobody_up_and_get_everything_when_they_are_back(at: Place) -> None:
    # Given twenty receivers, of which two hang and two want to be left alone
    healthy = endpoints(at, *(f"/well/{n}" for n in range(16)))
    hanging, refusing = endpoints(at, "/hangs/0", "/hangs/1"), endpoints(at, "/busy/0", "/busy/1")
    for path in hanging:
        at.http.hang(path)
    for path in refusing:
        at.http.status(path, 503, headers={"Retry-After": "1"})
    at.service.consumer()
    workers = [at.service.worker("-n", f"{name}@%h") for name in ("one", "two")]

    # When every event goes to all of them
    events = [at.publish(EVENT, {"n": n}) for n in range(EVENTS)]
    wanted = {
        path: {at.delivery(event, f"{EVENT}/hook", f"endpoint:{endpoint}") for event in events}
        for path, endpoint in (healthy | hanging | refusing).items()
    }
    poll(lambda: all(wanted[path] <= arrived(at, path).keys() for path in healthy), "the healthy have all of theirs")

    # Then they had them before a single one of those that hang had come to its deadline: nobody waited for it
    hung = at.ledger.deliveries(sorted(wanted["/hangs/0"] | wanted["/hangs/1"]))
    assert all(record is not None and not record.attempts for record in hung)
    assert sum(metric(worker, "notifier_stragglers_total") for worker in workers) > 0
    # And those that refuse were asked by probes only, and left alone otherwise
    known = at.endpoints.get_many([*refusing.values()])
    assert all(endpoint.breaker is not None and endpoint.breaker.is_open for endpoint in known.values())
    statuses = Counter(r.status for r in at.ledger.deliveries(sorted(wanted["/busy/0"])) if r)
    assert statuses[Status.HELD] > EVENTS / 2, statuses

    # When all are well again
    at.http.behave()

    # Then everything arrives, once where nothing was uncertain, and their breakers are closed
    for path in hanging | refusing:
        poll(lambda p=path: wanted[p] <= arrived(at, p).keys(), f"{path} has all of its own")  # type: ignore[misc]
    ids = sorted(set().union(*wanted.values()))
    poll(lambda: {r and r.status for r in at.ledger.deliveries(ids)} == {Status.SENT}, "all are sent")
    assert all(max(arrived(at, path).values()) == 1 for path in healthy)
    poll(lambda: all(e.breaker is None or not e.breaker.is_open for e in at.endpoints.list()), "breakers are closed")


def test_a_worker_that_is_killed_with_stragglers_loses_none_of_them(at: Place) -> None:
    # Given a worker whose batch has left behind what hangs
    (identity,) = endpoints(at, "/hangs").values()
    at.http.hang("/hangs")
    at.service.consumer()
    first = at.service.worker("-n", "first@%h")
    event = at.publish(EVENT, {})
    delivery = at.delivery(event, f"{EVENT}/hook", f"endpoint:{identity}")
    poll(lambda: metric(first, "notifier_stragglers_total") == 1, "it was left behind")
    poll(lambda: at.depths()["webhook-normal"] == 0, "its batch is acknowledged")

    # When it is killed and the receiver is well again
    first.kill()
    at.http.behave()
    at.service.worker("-n", "second@%h")

    # Then another worker finds the copy, and that its owner is dead
    record = at.until(delivery, Status.SENT)
    assert [attempt.number for attempt in record.attempts] == [1]
    assert arrived(at, "/hangs")[delivery] == 2


def test_a_paused_endpoint_is_held_and_resumed_with_the_latest_only(at: Place) -> None:
    # Given a paused endpoint and its neighbour
    paused, neighbour = endpoints(at, "/paused", "/well").values()
    assert at.service.run("endpoints", "pause", paused, "--reason", "moves").returncode == 0
    at.service.consumer()
    at.service.worker()

    # When five events about two orders are published
    events = [at.publish(EVENT, {"n": n}, subject=f"order-{n % 2}") for n in range(5)]
    ids = [at.delivery(event, f"{EVENT}/hook", f"endpoint:{paused}") for event in events]
    for delivery in ids:
        assert at.until(delivery, Status.HELD).reason == "the endpoint is paused: moves"
    for event in events:
        at.until(at.delivery(event, f"{EVENT}/hook", f"endpoint:{neighbour}"), Status.SENT)
    poll(lambda: at.depths()["held-webhook"] > 0, "they lie in their queue")
    assert arrived(at, "/paused") == {}

    # When it is resumed with the latest only
    ran = at.service.run("endpoints", "resume", paused, "--latest")

    # Then the newest of each order arrive, and the others are skipped
    assert "2 held deliveries sent, 3 dropped" in ran.stdout, ran.stderr
    for delivery in ids[3:]:
        at.until(delivery, Status.SENT)
    assert {r and r.status for r in at.ledger.deliveries(ids[:3])} == {Status.SKIPPED}
    assert arrived(at, "/paused").keys() == set(ids[3:])
    assert at.depths()["held-webhook"] == 0


def test_an_endpoint_that_only_fails_is_disabled_after_the_set_time_and_its_owner_hears_of_it(at: Place) -> None:
    # Given a receiver that fails, and a service that has patience for two seconds
    at.service.environment["NOTIFIER_ENDPOINT_DISABLE_AFTER"] = "2"
    folder = FOLDERS["notifier.endpoint.disabled"]
    rules = folder["rules.yaml"].replace("to: data.to", "to: \"'owner@example.org'\"")
    (at.templates / "notifier.endpoint.disabled" / "rules.yaml").write_text(rules)
    (identity,) = endpoints(at, "/fails").values()
    at.http.status("/fails", 500)
    at.service.consumer()
    at.service.worker()

    # When deliveries to it go on failing
    at.publish(EVENT, {})

    # Then it is switched off, and an event says why
    poll(lambda: at.endpoints.get(identity).state is EndpointState.DISABLED, "it is disabled")
    assert "last: http_500" in at.endpoints.get(identity).reason
    poll(lambda: at.mails_to("owner@example.org"), "its owner has heard of it")
    assert identity.encode() in at.mails_to("owner@example.org")[0]
