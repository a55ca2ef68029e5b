"""Which limits a delivery falls under, by kind and name: asked by workers for what they send and by `explain`."""

from __future__ import annotations

from collections.abc import Iterator

from notifier.domain.endpoint import Endpoint
from notifier.domain.ids import recipient_key
from notifier.domain.limit import Rate, ScopeKind
from notifier.domain.provider import Provider
from notifier.domain.rule import Rule

#: ScopeKind, name, and the rate that a rule or an endpoint record says itself.
Place = tuple[ScopeKind, str, Rate | None]


def of_webhook(endpoint: Endpoint, tenant: str, rule: Rule) -> Iterator[Place]:
    """Of a delivery to an endpoint."""
    yield ScopeKind.ENDPOINT, endpoint.id, endpoint.rate
    yield from _of_both(tenant, rule)


def of_mail(address: str, relay: str, tenant: str, rule: Rule, *, by_recipient: bool) -> Iterator[Place]:
    """Of a mail. ``by_recipient``: whether any recipient is limited, because a key costs a hash."""
    yield ScopeKind.RELAY, relay, None
    yield ScopeKind.DOMAIN, address.rpartition("@")[2].lower(), None
    if by_recipient:
        yield ScopeKind.RECIPIENT, recipient_key(address), None
    yield from _of_both(tenant, rule)


def of_provider(identity: str, provider: Provider, tenant: str, rule: Rule, *, by_recipient: bool) -> Iterator[Place]:
    """Of what a channel file's API takes; ``identity`` is the address's, and empty where all goes to one place."""
    yield ScopeKind.PROVIDER, provider.name, provider.limit
    if by_recipient and identity:
        yield ScopeKind.RECIPIENT, recipient_key(identity), None
    yield from _of_both(tenant, rule)


def _of_both(tenant: str, rule: Rule) -> Iterator[Place]:
    yield ScopeKind.TENANT, tenant, None
    yield ScopeKind.RULE, rule.id, rule.limit
