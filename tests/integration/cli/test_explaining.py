"""`notifier explain` says what would stop or delay a delivery beside suppressions: throttles, limits, endpoints."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.endpoint import EndpointState
from notifier.domain.limit import Scope, ScopeKind, parse_rate
from notifier.domain.rule import Throttle
from notifier.settings import Settings
from notifier.storage.endpoints import Endpoints
from notifier.storage.limits import Ask, Limits
from notifier.storage.store import Store
from notifier.storage.throttles import Question, Throttles
from notifier.wiring.stores import build_endpoints, build_store
from tests.acceptance.place import write_templates
from tests.servers.warm_cli import WarmCommandLine

RULES = """\
event: disk.full
category: alerts
rules:
  - {id: mail, channel: email, to: data.to, limit: 600/m, throttle: {at_most: 2, per: 1h}}
  - {id: hook, channel: webhook}
"""
SECRET_KEY = "a-secret-key-for-tests-of-more-than-32-characters"
EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "disk.full", "data": {"to": "ann@example.org"}}


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings(redis_url=redis_url, secret_key=SECRET_KEY)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    built = build_store(settings)
    yield built
    built.close()


@pytest.fixture
def line(settings: Settings, tmp_path: Path) -> Iterator[WarmCommandLine]:
    files = {"rules.yaml": RULES, "email.subject.j2": "Disk", "email.text.j2": "It is full."}
    environment = {
        "PATH": os.environ["PATH"],
        "NOTIFIER_REDIS_URL": settings.redis_url,
        "NOTIFIER_SECRET_KEY": SECRET_KEY,
        "NOTIFIER_SMTP_URL": "smtp+plain://relay.example.org:25",
        "NOTIFIER_LIMITS": "relay=100/s",
        "NOTIFIER_TEMPLATES": str(write_templates(tmp_path / "templates", {"disk.full": files})),
    }
    with WarmCommandLine(environment, tmp_path) as opened:
        yield opened


def explained(line: WarmCommandLine, *options: str) -> dict[str, dict[str, Any]]:
    """The first delivery of each rule."""
    done = line.run("explain", "-", "--json", *options, stdin=json.dumps(EVENT))
    assert done.returncode == 0, done.stderr
    return {rule["rule"]: rule["deliveries"][0] for rule in json.loads(done.stdout)["rules"] if rule["deliveries"]}


def admit(store: Store, *numbers: int) -> None:
    """Deliveries of the throttled rule to the same person, as a worker lets them through."""
    throttle = Throttle(at_most=2, per=3600)
    mails = [
        Delivery(
            id=f"dlv_{n}", event=0, rule="disk.full/mail", to=Mailbox(address="ann@example.org"), queued=time.time()
        )
        for n in numbers
    ]
    assert all(Throttles(store).admit([Question(mail, throttle) for mail in mails]))


def test_it_says_when_a_recipients_allowance_is_used_up(line: WarmCommandLine, store: Store) -> None:
    # Given one of two
    admit(store, 1)
    assert explained(line)["disk.full/mail"]["throttled"] == ""

    # When the second is used
    admit(store, 2)

    # Then it says so, however often it is asked
    words = "2 of 2 within 1h are used up: it would be suppressed"
    assert [explained(line)["disk.full/mail"]["throttled"] for _ in range(3)] == [words] * 3
    assert f"Throttled: {words}" in line.run("explain", "-", stdin=json.dumps(EVENT)).stdout


def test_it_says_which_limits_are_in_force_and_who_waits(line: WarmCommandLine, store: Store) -> None:
    # Given a limit that was set live, in whose line two hundred wait
    limits, scope = Limits(store), Scope(ScopeKind.DOMAIN, "example.org")
    limits.set(scope, parse_rate("1/s"))
    limits.reserve([Ask(scopes=((scope, parse_rate("1/s")),)) for _ in range(200)], sleeps=False)

    # When it is asked, then it names each limit, whose it is, and the line
    relay, domain, rule = explained(line)["disk.full/mail"]["limits"]
    assert relay == "relay:relay.example.org:25 100/s (NOTIFIER_LIMITS for each relay)"
    assert domain.startswith("domain:example.org 1/s (set live), about ")
    assert " wait, " in domain
    assert rule == "rule:disk.full/mail 600/m (rules.yaml)"
    # And looking takes no place
    assert explained(line)["disk.full/mail"]["limits"][0] == relay


def test_it_says_that_an_endpoint_is_paused(line: WarmCommandLine, settings: Settings, store: Store) -> None:
    endpoints: Endpoints = build_endpoints(settings, store)
    made = endpoints.add("default", "https://example.com/hook", event_types=["*"])
    assert explained(line)["disk.full/hook"]["held"] == ""

    endpoints.set_state(made.id, EndpointState.PAUSED, "moves")

    assert explained(line)["disk.full/hook"]["held"] == "the endpoint is paused: moves"


def test_offline_it_says_what_settings_and_rules_say_and_nothing_of_the_rest(line: WarmCommandLine) -> None:
    mail = explained(line, "--no-endpoints")["disk.full/mail"]

    assert (mail["suppressed"], mail["throttled"], mail["held"]) == (None, None, None)
    assert [limit.partition(" ")[0] for limit in mail["limits"]] == [
        "relay:relay.example.org:25",
        "rule:disk.full/mail",
    ]
