"""A templates folder on disk, written by tests and compiled by the real library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from notifier.domain.event import Event
from notifier.domain.message import EmailMessage, WebhookMessage
from notifier.rendering.context import event_context
from notifier.rendering.renderer import Renderer

FOLDER = "order.placed"


def event(data: Any = None, **attributes: Any) -> Event:
    """An event with this data."""
    return Event(**{"id": "1", "source": "/shop", "type": FOLDER, "data": data, **attributes})


def context(data: Any = None, **more: Any) -> dict[str, Any]:
    """What a template sees of such an event."""
    return event_context(event(data), **{"recipient": None, "delivery_id": "d-1", **more})


class Shelf:
    """``shelf.mail(text="Hello {{ data.name }}", data={…})`` writes a folder, loads it and renders it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)

    def write(self, **sources: str) -> Shelf:
        """``email_text="…"`` writes ``order.placed/email.text.j2``."""
        for name, source in sources.items():
            self.file(f"{FOLDER}/{name.replace('_', '.')}.j2", source)
        return self

    def file(self, path: str, source: str) -> Shelf:
        """Any file below the root."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source, encoding="utf-8")
        return self

    def load(self) -> Renderer:
        return Renderer.load(self.root)

    def mail(
        self, *, data: Any = None, locale: str = "", more: dict[str, Any] | None = None, **sources: str
    ) -> EmailMessage:
        """A mail whose subject is fixed unless given."""
        parts = {"email_subject": "Subject", **{f"email_{role}": source for role, source in sources.items()}}
        return self.write(**parts).load().email(FOLDER, context(data, **(more or {})), locale)

    def text(self, source: str, data: Any = None) -> str:
        """What a text template makes of some data."""
        return self.mail(text=source, data=data).text

    def html(self, source: str, data: Any = None) -> str:
        """What an HTML template makes of some data."""
        return self.mail(html=source, data=data).html

    def webhook(self, source: str, data: Any = None) -> WebhookMessage:
        """What a JSON template makes of some data."""
        return self.write(webhook_json=source).load().webhook(FOLDER, event(data), context(data))
