"""The channels, with their relays and connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from notifier.channels.email.channel import EmailChannel, check_hostname, read_domain, read_return_path
from notifier.channels.email.deliveries import EmailDeliveries
from notifier.channels.email.dkim import DkimSigner, read_keys
from notifier.channels.http_api.channel import HttpApiChannel
from notifier.channels.http_api.deliveries import HttpApiDeliveries
from notifier.channels.port import DeliveryChannel
from notifier.channels.webhook.channel import WebhookChannel
from notifier.channels.webhook.deliveries import WebhookDeliveries
from notifier.channels.webhook.transport import WebhookTransport
from notifier.domain.channels import TRAITS
from notifier.domain.retry import EMAIL_SCHEDULE, WEBHOOK_SCHEDULE, RetrySchedule
from notifier.domain.rule import Channel, WorkKind
from notifier.engine.rate_watch import RateWatch
from notifier.engine.relays import SmtpRelays
from notifier.errors import Problem, SettingsError
from notifier.process import channel_settings
from notifier.settings import Settings, split_list
from notifier.wiring.edges import build_guard, build_links, header_names
from notifier.wiring.tokens import build_tokens

#: Most of its connections that one provider may use: there are few, and a tenant's endpoint is none of them.
PROVIDER_SHARE = 0.5


def build_email(ours: Settings, watch: RateWatch | None = None) -> EmailChannel:
    """The email channel with its relays, key and unsubscribe links. Raises `SettingsError` (`check_mail`)."""
    check_mail(ours)
    relays = SmtpRelays(
        split_list(ours.smtp_url),
        hostname=ours.email_hostname,
        connections=ours.smtp_connections,
        timeout=ours.send_timeout,
        ca_file=ours.smtp_ca_file,
        tokens=build_tokens(ours),
    )
    return EmailChannel(
        relays,
        sender=ours.email_from,
        hostname=ours.email_hostname,
        unsubscribe=build_links(ours),
        dkim=_signers(ours),
        return_path=ours.email_return_path,
        watch=watch,
    )


def check_mail(ours: Settings) -> None:
    """Raises `SettingsError` with every mistake in what mails are made with.

    What a worker does at its start, `notifier templates check` and `notifier config` do too.
    """
    problems: list[Problem] = []
    checks: tuple[Callable[[], object], ...] = (
        lambda: check_hostname(ours.email_hostname),
        lambda: read_domain(ours.email_from),
        lambda: read_return_path(ours.email_return_path),
        lambda: _own_signer(ours),
        lambda: ours.dkim_keys and read_keys(ours.dkim_keys),
    )
    for check in checks:
        try:
            check()
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)


def _signers(ours: Settings) -> list[DkimSigner]:
    """The one of the three settings, and those of the folder."""
    return [*_own_signer(ours), *(read_keys(ours.dkim_keys) if ours.dkim_keys is not None else ())]


def _own_signer(ours: Settings) -> list[DkimSigner]:
    return [DkimSigner(ours.dkim_domain, ours.dkim_selector, ours.dkim_key)] if ours.dkim_domain else []


def build_webhook(ours: Settings) -> tuple[WebhookChannel, WebhookTransport]:
    """The webhook channel with its address guard, and its connections."""
    guard = build_guard(ours)
    transport = WebhookTransport(
        guard, connections=ours.webhook_connections, timeout=ours.webhook_timeout, ca_file=ours.webhook_ca_file
    )
    return WebhookChannel(transport, guard, header_names(ours)), transport


def build_http_api(ours: Settings) -> tuple[HttpApiChannel, HttpApiDeliveries]:
    """The channel of channel files, with connections of its own: webhooks that hang hold none of a provider's."""
    guard = build_guard(ours)
    transport = WebhookTransport(
        guard,
        connections=ours.webhook_connections,
        timeout=ours.webhook_timeout,
        ca_file=ours.webhook_ca_file,
        share=PROVIDER_SHARE,
    )
    channel = HttpApiChannel(transport, guard, channel_settings(), longest_exchange=ours.webhook_timeout)
    return channel, HttpApiDeliveries(channel, transport, TRAITS[Channel.HTTP_API].schedule, ours.webhook_timeout)


@dataclass(frozen=True, slots=True)
class Channels:
    """Those of one process."""

    email: EmailChannel
    webhook: WebhookChannel
    http_api: HttpApiChannel
    all: Mapping[WorkKind, DeliveryChannel]
    """As a worker sees them: the one table in which each is registered."""


def build_channels(ours: Settings, watch: RateWatch) -> Channels:
    """All of them; ``watch`` hears how each mail's transaction ended."""
    email, (webhook, transport) = build_email(ours, watch), build_webhook(ours)
    http_api, of_providers = build_http_api(ours)
    of_email, of_webhook = schedules(ours)
    made: tuple[DeliveryChannel, ...] = (
        EmailDeliveries(email, of_email),
        WebhookDeliveries(webhook, transport, of_webhook, ours.webhook_timeout),
        of_providers,
    )
    return Channels(email, webhook, http_api, {channel.name: channel for channel in made})


def schedules(ours: Settings) -> tuple[RetrySchedule, RetrySchedule]:
    """The retry schedules of emails and webhooks."""

    def schedule(text: str, default: RetrySchedule) -> RetrySchedule:
        return RetrySchedule(tuple(float(part) for part in split_list(text))) if text else default

    return schedule(ours.email_retry, EMAIL_SCHEDULE), schedule(ours.webhook_retry, WEBHOOK_SCHEDULE)
