"""A fan-out to ten thousand endpoints of one tenant, while another tenant's endpoint changes again and again."""

import json
import threading
from pathlib import Path

import pika

from notifier.domain import topology
from notifier.domain.cloudevents import STRUCTURED
from notifier.storage.endpoints import Endpoints
from notifier.wiring.stores import build_endpoints
from tests.acceptance.service import Service
from tests.bench.scale.curve import Curve
from tests.bench.scale.site import Site, site
from tests.bench.waiting import until
from tests.bench.workload import Publisher

_ENDPOINTS = 10_000
_RULES = "event: stock.changed\ncategory: stock\nrules:\n  - {id: hook, channel: webhook}\n"
#: Deliveries in a full task.
_TASK = 50


def _planned(changes: int, folder: Path) -> float:
    """Deliveries in tasks for each endpoint."""
    with site(folder) as here:
        (here.templates / "stock.changed").mkdir()
        (here.templates / "stock.changed" / "rules.yaml").write_text(_RULES)
        endpoints = build_endpoints(here.settings, here.store)
        for number in range(_ENDPOINTS):
            endpoints.add("large", f"http://127.0.0.1:9/{number}", event_types=("stock.changed",))
        other = endpoints.add("other", "http://127.0.0.1:9/other", event_types=("*",)).id
        (folder / "service").mkdir()
        service = Service(folder / "service", here.variables)
        try:
            service.consumer()
            changing = threading.Thread(target=_change, args=(here, endpoints, other, changes), daemon=True)
            _publish(here)
            changing.start()
            until(lambda: _depths(here).get(topology.INTAKE_QUEUE, 0) == 0, "the event is planned", timeout=600)
            changing.join()
            tasks = sum(count for name, count in _depths(here).items() if name.startswith("webhook-"))
        finally:
            service.close()
    return tasks * _TASK / _ENDPOINTS


def _change(here: Site, endpoints: Endpoints, endpoint: str, changes: int) -> None:
    """One each time that some more of the fan-out is queued."""
    most = _ENDPOINTS / _TASK
    for number in range(changes):
        until(lambda n=number: _queued(here) >= most * n / (changes + 1), "more is queued", timeout=600)  # type: ignore[misc]
        endpoints.update(endpoint, url=f"http://127.0.0.1:9/other-{number}")


def _publish(here: Site) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/bench", "type": "stock.changed", "tenant": "large"}
    publisher = Publisher(here.broker_url)
    properties = pika.BasicProperties(content_type=STRUCTURED, delivery_mode=2)
    publisher.publish(topology.EVENTS_EXCHANGE, "stock.changed", [json.dumps(event).encode()], properties)
    publisher.close()


def _depths(here: Site) -> dict[str, int]:
    return here.rabbit.queue_depths(here.broker_url)


def _queued(here: Site) -> int:
    return sum(count for name, count in _depths(here).items() if name.startswith("webhook-"))


CURVES = (
    Curve(
        "changes",
        "deliveries planned for each endpoint of a fan-out, beside changes of another tenant's",
        "×",
        (1, 3, 10),
        _planned,
        1.05,
    ),
)
