"""Events for a disabled endpoint do not vanish: they are held or skipped, `explain` says so, and can be sent."""

import json
from collections.abc import Iterator

import pytest

from notifier.domain.delivery import Status
from notifier.domain.endpoint import Endpoint, EndpointState
from notifier.domain.outcome import Cause
from notifier.storage.held import HeldIndex
from tests.acceptance.place import SOURCE, Place, hook_folder, metric, place
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

EVENT = "off.hook"
#: Deliveries that are kept for one endpoint.
MOST = 4


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folders = {EVENT: hook_folder(EVENT)}
    bounds = {"NOTIFIER_ENDPOINT_HELD_MAX": str(MOST)}
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("off"), folders, **bounds) as found:
        found.service.consumer()
        found.service.worker("-n", "one@%h")
        yield found


def publish(at: Place, endpoint: str, tenant: str) -> str:
    """One event; the id of its delivery to the endpoint."""
    return at.delivery(at.publish(EVENT, {}, tenant=tenant), f"{EVENT}/hook", f"endpoint:{endpoint}")


def explained(at: Place, tenant: str) -> str:
    """What `notifier explain` says of an event of this tenant."""
    event = {"specversion": "1.0", "id": "1", "source": SOURCE, "type": EVENT, "tenant": tenant, "data": {}}
    ran = at.service.run("explain", "-", stdin=json.dumps(event))
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_what_comes_for_an_endpoint_that_answered_410_is_held_and_sent_when_it_is_resumed(at: Place) -> None:
    # Given an endpoint that answered 410
    endpoint = at.endpoints.add("gone", at.http.url + "/gone").id
    at.http.status("/gone", 410)
    at.until_parked(publish(at, endpoint, "gone"))
    poll(lambda: at.endpoints.get(endpoint).state is EndpointState.DISABLED, "it is disabled")

    # When further events come
    held = [publish(at, endpoint, "gone") for _ in range(3)]

    # Then they are held, with the reason, and explain says what would become of one more
    reason = "the endpoint was disabled: answered http_410"
    assert {at.until(one, Status.HELD).reason for one in held} == {reason}
    assert f"Held: {reason}" in explained(at, "gone")

    # When it is mended and resumed
    poll(lambda: at.depths()["held-webhook"] > 0, "they lie in their queue")
    at.http.status("/gone", 204)
    assert at.service.run("endpoints", "resume", endpoint).returncode == 0

    # Then all of them arrive
    for one in held:
        at.until(one, Status.SENT)


def test_what_comes_for_an_endpoint_that_a_person_disabled_is_skipped_and_sent_by_a_replay(at: Place) -> None:
    # Given an endpoint that a person has disabled
    endpoint = at.endpoints.add("off", at.http.url + "/off").id
    assert at.service.run("endpoints", "disable", endpoint, "--reason", "customer asked").returncode == 0

    # When an event comes
    skipped = publish(at, endpoint, "off")

    # Then it is skipped, with the reason, and parked under a cause of its own; explain says so
    reason = "the endpoint is disabled: customer asked"
    assert at.until(skipped, Status.SKIPPED).reason == reason
    assert at.until_parked(skipped).cause is Cause.ENDPOINT_DISABLED
    assert f"Skipped: {reason}" in explained(at, "off")

    # When it is enabled and what was skipped is replayed
    assert at.service.run("endpoints", "enable", endpoint).returncode == 0
    at.failures("replay", "--yes", "--cause", "endpoint_disabled")

    # Then it arrives
    at.until(skipped, Status.SENT)
    assert at.parked(skipped) is None


def test_what_is_held_for_an_endpoint_is_bounded_and_what_more_comes_is_told(at: Place) -> None:
    # Given an endpoint that is not sent to, for which as much waits as may
    endpoint = at.endpoints.add("full", at.http.url + "/full").id
    other = at.endpoints.add("full", at.http.url + "/other").id
    assert at.service.run("endpoints", "pause", endpoint).returncode == 0
    held = [publish(at, endpoint, "full") for _ in range(MOST)]
    poll(lambda: held_for(at, endpoint) == MOST, "all of them are held")

    # When one more comes
    identity = at.publish(EVENT, {}, tenant="full")
    beyond = at.delivery(identity, f"{EVENT}/hook", f"endpoint:{endpoint}")

    # Then it is skipped, with the reason, counted and logged; the endpoint beside it hears of it
    skipped = at.until(beyond, Status.SKIPPED)
    assert skipped.reason == Endpoint.beyond_because(MOST)
    assert "no copy is kept" in at.service.run("show", beyond).stdout
    # And who asks beforehand is told the same
    assert f"Skipped: {skipped.reason}" in explained(at, "full")
    at.until(at.delivery(identity, f"{EVENT}/hook", f"endpoint:{other}"), Status.SENT)
    worker = next(one for one in at.service.processes if one.role == "worker")
    assert metric(worker, "notifier_held_beyond_total") == 1
    (told,) = [json.loads(line) for line in worker.output().splitlines() if '"endpoint.held_beyond"' in line]
    assert (told["endpoints"], told["deliveries"]) == ([endpoint], [beyond])

    # And when it is resumed, what was held arrives
    assert at.service.run("endpoints", "resume", endpoint).returncode == 0
    for one in held:
        at.until(one, Status.SENT)
    assert at.until(beyond, Status.SKIPPED)


def test_what_is_kept_for_endpoints_that_people_disabled_is_bounded(at: Place) -> None:
    # Given an endpoint that a person has disabled, and as much kept for a replay as may be
    endpoint = at.endpoints.add("kept", at.http.url + "/kept").id
    assert at.service.run("endpoints", "disable", endpoint).returncode == 0
    worker = next(one for one in at.service.processes if one.role == "worker")
    for _ in range(MOST):
        at.until_parked(publish(at, endpoint, "kept"))
    before = metric(worker, "notifier_held_beyond_total")

    # When one more comes
    beyond = publish(at, endpoint, "kept")

    # Then it is skipped as the others are, and no copy is kept, which is counted and logged
    at.until(beyond, Status.SKIPPED)
    poll(lambda: metric(worker, "notifier_held_beyond_total") == before + 1, "it is counted")
    assert at.parked(beyond) is None
    assert at.index.counts()["failed-webhook", "endpoint_disabled"] == MOST
    told = [json.loads(line) for line in worker.output().splitlines() if '"endpoint.held_beyond"' in line]
    assert [beyond] in [line["deliveries"] for line in told]
    assert "no copy is kept" in explained(at, "kept")
    assert "no copy is kept" in at.service.run("show", beyond).stdout


def held_for(at: Place, endpoint: str) -> int:
    return HeldIndex(at.store).counts([endpoint]).get(endpoint, 0)
