"""What the API and the command line share with the channels: what endpoints may be, and the unsubscribe links."""

from __future__ import annotations

from notifier.channels.email.unsubscribe import UnsubscribeLinks
from notifier.channels.webhook.guard import AddressGuard, read_networks
from notifier.channels.webhook.headers import read_names
from notifier.settings import Settings, split_list


def build_guard(ours: Settings) -> AddressGuard:
    """Which addresses webhooks may reach."""
    deny = read_networks(ours.webhook_deny, "NOTIFIER_WEBHOOK_DENY")
    return AddressGuard(read_networks(ours.webhook_allow), deny=deny, http=ours.webhook_http)


def header_names(ours: Settings) -> frozenset[str]:
    """Header names that endpoints may have besides the usual ones."""
    return read_names(ours.webhook_headers)


def build_links(ours: Settings) -> UnsubscribeLinks | None:
    """One-click unsubscribe links; None without a public address and a key to sign them."""
    keys = split_list(ours.secret_key)
    return UnsubscribeLinks(ours.public_url, keys) if ours.public_url and keys else None
