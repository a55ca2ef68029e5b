"""A receiver that asks for time gets it: all of its deliveries wait, and no try is spent on waiting."""

from tests.acceptance import shop
from tests.acceptance.service import Service, ask
from tests.acceptance.test_whole_way import add_endpoint
from tests.servers.http import HttpSink
from tests.servers.patience import poll


def test_a_retry_after_holds_every_delivery_to_the_endpoint(
    service: Service, broker_url: str, http_sink: HttpSink
) -> None:
    # Given a receiver that answers its first webhook with 503 and Retry-After: 3
    http_sink.status("/hook", 503, headers={"Retry-After": "3"}, times=1)
    service.environment |= {"NOTIFIER_WEBHOOK_RETRY": "1 1 1"}
    endpoint, _ = add_endpoint(service, http_sink)
    service.consumer()
    service.worker("-n", "one@%h")
    api = service.api()
    first, *others = [event for event in shop.events(60) if event["type"] == "order.placed"][:6]

    # When one webhook was refused and five more are planned
    shop.publish(broker_url, [first])
    (refused,) = http_sink.wait_for(1)
    health = f"/v1/endpoints/{endpoint}"
    poll(lambda: "left alone" in ask(api.health_port, health)[1]["health"], "the workers know that it asked for time")
    shop.publish(broker_url, others)
    wanted = shop.expected([first, *others], [endpoint]).webhooks
    arrived = http_sink.wait_for(1 + len(wanted))

    # Then none of them comes before the time it asked for
    later = arrived[1:]
    assert {request.header("webhook-id") for request in later} == wanted
    assert all(request.received_at >= refused.received_at + 3 for request in later)
    # And those that waited spent no try on it
    identity = next(r.header("webhook-id") for r in later if r.header("webhook-id") != refused.header("webhook-id"))
    path = f"/v1/deliveries/{identity}"
    poll(lambda: ask(api.health_port, path)[1]["status"] == "sent", "it is recorded as sent")
    assert len(ask(api.health_port, path)[1]["attempts"]) == 1
