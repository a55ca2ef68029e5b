"""A shop's traffic: events of every sample type with data of their own, and what must come of them."""

import json
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from notifier.client import Event as PublishedEvent
from notifier.client import Publisher, SomeNotPublished
from notifier.domain.event import Event
from notifier.domain.rule import Channel
from notifier.rules.content import Content
from notifier.rules.planner import plan
from tests.servers.http import HttpSink
from tests.servers.patience import PATIENCE_S
from tests.servers.rights import PUBLISHER, as_user
from tests.servers.smtp import SmtpSink
from tests.shop_folders import SHOP

#: Shares of a believable day; digests have a test of their own.
WEIGHTS = {"order.placed": 5, "order.shipped": 3, "password.reset": 1, "account.welcome": 1, "invoice.overdue": 1}


def events(count: int, *, seed: int = 1, templates: Path = SHOP) -> list[dict[str, Any]]:
    """CloudEvents with distinct ids and recipients, the same for the same seed."""
    source = random.Random(seed)
    samples = {name: json.loads((templates / name / "sample.json").read_text()) for name in WEIGHTS}
    names = source.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)
    return [_varied(samples[name], f"{seed}-{number}") for number, name in enumerate(names)]


def _varied(sample: dict[str, Any], number: str) -> dict[str, Any]:
    """The sample with an id and every address of its own."""
    text = json.dumps({k: v for k, v in sample.items() if k not in ("expirytime", "time", "tenant")})
    event: dict[str, Any] = json.loads(text.replace("@", f"+{number}@"))
    event["id"] = f"event-{number}"
    event["source"] = "/shop"
    return event


def publish(broker_url: str, published: list[dict[str, Any]]) -> None:
    """Publish with the client other services use, again what a broken connection left open, as they would."""
    waiting = [_client_event(wire) for wire in published]
    with Publisher(as_user(broker_url, PUBLISHER), timeout=PATIENCE_S) as publisher:
        while waiting:
            try:
                publisher.publish_many(waiting)
            except SomeNotPublished as error:
                failed = {one.id for one in error.errors}
                waiting = [event for event in waiting if event.id in failed]
            else:
                return


def _client_event(wire: dict[str, Any]) -> PublishedEvent:
    known = {name: wire[name] for name in ("type", "data", "source", "id", "subject") if name in wire}
    return PublishedEvent(**known)


@dataclass(frozen=True)
class Expected:
    """Ids of the deliveries that must arrive."""

    mails: set[str] = field(default_factory=set)
    webhooks: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Endpoints:
    ids: tuple[str, ...]

    def endpoints(self, tenant: str, event_type: str) -> tuple[str, ...]:
        return self.ids


#: A directory without endpoints.
NOBODY = _Endpoints(())


def expected(published: Iterable[dict[str, Any]], endpoints: Iterable[str], templates: Path = SHOP) -> Expected:
    """What the rules in the files ask for; ids are deterministic, so they are known before anything runs."""
    catalog = Content.load(templates).catalog
    wanted = Expected()
    for wire in published:
        for one in plan(Event.from_attributes(wire), catalog, _Endpoints(tuple(endpoints)), 0).planned:
            (wanted.webhooks if one.rule.channel is Channel.WEBHOOK else wanted.mails).add(one.delivery.id)
    return wanted


def arrived_mails(sink: SmtpSink) -> Counter[str]:
    """Delivery ids of the mails the relay took, by their Message-ID, each with how often it came."""
    return Counter(mail.delivery for mail in sink.mails)


def arrived_webhooks(sink: HttpSink) -> Counter[str]:
    """Delivery ids of the webhooks the receiver answered, each with how often it came."""
    return Counter(request.delivery for request in sink.requests)
