"""`Message`: rendered content, before any channel turns it into bytes."""

from __future__ import annotations

from notifier.domain.value import value


@value
class EmailMessage:
    """What a mail says. ``text`` is always there; ``html`` may be empty."""

    subject: str
    text: str
    html: str
    template: str
    """Content hash of the templates that made it."""


@value
class WebhookMessage:
    """What a webhook says: the exact bytes that are signed and sent."""

    body: bytes
    content_type: str
    template: str


@value
class TextMessage:
    """What a provider's message says, before its channel file makes a request of it."""

    text: str
    subject: str
    """Empty where the templates have none."""
    template: str


Message = EmailMessage | WebhookMessage | TextMessage
