"""The shop's own templates: every sample of every folder makes a complete message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from notifier.domain.event import Event
from notifier.rendering.context import digest_context, event_context
from notifier.rendering.renderer import Renderer
from tests.shop_folders import SHOP, samples


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer.load(SHOP)


def _context(sample: Path, **more: Any) -> dict[str, Any]:
    event = Event.from_attributes(json.loads(sample.read_text(encoding="utf-8")))
    to = {"email": "ann@example.org", "name": "Ann", "locale": "", "timezone": "Europe/Vienna"}
    return event_context(event, recipient=to, delivery_id="d", digest=digest_context([event], total=3), **more)


@pytest.mark.parametrize("sample", samples(), ids=lambda path: f"{path.parent.name}/{path.name}")
@pytest.mark.parametrize("locale", ["", "de-AT"])
def test_every_sample_makes_a_complete_message(renderer: Renderer, sample: Path, locale: str) -> None:
    folder = sample.parent.name
    make = renderer.digest if renderer.has(folder, "digest") else renderer.email
    message = make(folder, _context(sample, unsubscribe_url="https://example.org/u/1"), locale)
    assert message.subject
    assert "https://" in message.text
    assert message.html.startswith("<!DOCTYPE html>")
    assert "https://example.org/u/1" in message.html
    assert "https://example.org/u/1" in message.text
    assert len(message.html) < 102_000, "Gmail cuts longer ones"


def test_a_mail_that_cannot_be_switched_off_has_no_link_to_do_so(renderer: Renderer) -> None:
    message = renderer.email("password.reset", _context(SHOP / "password.reset" / "sample.json"))
    assert "nsubscribe" not in message.html + message.text


def test_the_welcome_is_german_for_austrians(renderer: Renderer) -> None:
    message = renderer.email("account.welcome", _context(SHOP / "account.welcome" / "sample.json"), "de-AT")
    assert message.subject.startswith("Willkommen")
    assert '<html lang="de"' in message.html


def test_partners_do_not_see_the_customer(renderer: Renderer) -> None:
    event = Event.from_attributes(json.loads((SHOP / "order.shipped" / "sample.json").read_text(encoding="utf-8")))
    message = renderer.webhook("order.shipped", event, event_context(event, recipient=None, delivery_id="d"))
    assert json.loads(message.body)["data"]["tracking_number"] == "CE402881937IE"
    assert message.content_type == "application/cloudevents+json"
    assert b"maeve" not in message.body.lower()
