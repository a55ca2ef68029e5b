"""What the API and the command line share with the channels: the address guard and the unsubscribe links."""

from __future__ import annotations

from notifier.channels.email.unsubscribe import UnsubscribeLinks
from notifier.channels.webhook.guard import AddressGuard, read_networks
from notifier.settings import Settings, split_list


def build_guard(ours: Settings) -> AddressGuard:
    """Which addresses webhooks may reach."""
    return AddressGuard(read_networks(ours.webhook_allow), http=ours.webhook_http)


def build_links(ours: Settings) -> UnsubscribeLinks | None:
    """One-click unsubscribe links; None without a public address and a key to sign them."""
    keys = split_list(ours.secret_key)
    return UnsubscribeLinks(ours.public_url, keys) if ours.public_url and keys else None
