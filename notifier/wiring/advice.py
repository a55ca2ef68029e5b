"""What makes mail servers refuse us, told at start: settings that are no mistakes here, but refused elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

from notifier.channels.email.channel import EmailChannel
from notifier.domain.addresses import parse_sender
from notifier.domain.rule import Rule
from notifier.engine.smtp_connect import RelayAddress, Security
from notifier.environment import read_channel_settings
from notifier.errors import InvalidAddress, Problem
from notifier.logs import get, wide
from notifier.rules.channel_files import CompiledProvider, load_channels
from notifier.settings import Settings, split_list
from notifier.wiring.edges import build_guard

#: RFC 8314 §3.3.
SMTPS_PORT = 465
#: RFC 5321 §4.5.4.2 and RFC 6409 §3.1: STARTTLS comes later.
GREETING_PORTS = frozenset({25, 587})

_log = get("start")


def mail_advice(ours: Settings) -> Iterator[Problem]:
    """Each setting that many relays or recipients refuse mail for."""
    if "." not in ours.email_hostname.strip("."):
        what = f"relays that want a full name in EHLO refuse every recipient of {ours.email_hostname!r} (504 5.5.2)"
        yield Problem("NOTIFIER_EMAIL_HOSTNAME", what, "set it to this host's full name, such as mail.example.com")
    for relay in map(RelayAddress.parse, split_list(ours.smtp_url)):
        if relay.security is Security.NONE and not _is_loopback(relay.host):
            what = f"mails and addresses go to {relay.name} in clear text"
            yield Problem("NOTIFIER_SMTP_URL", what, "use smtp:// (STARTTLS) or smtps://")
        if crossed := _crossed(relay):
            yield Problem("NOTIFIER_SMTP_URL", *crossed)
        if lacking := _lacking(relay, ours):
            yield Problem("NOTIFIER_SMTP_URL", *lacking)
    if not ours.dkim_domain and ours.dkim_keys is None:
        what = f"mails from {_domain(ours.email_from)} are not signed here; unsigned mail is refused by large providers"
        yield Problem("NOTIFIER_DKIM_DOMAIN", what, "set domain, selector and key, unless the relay signs for it")


def warn_of_mail_settings(ours: Settings) -> None:
    """One log line each."""
    for problem in mail_advice(ours):
        wide(_log, "settings.advice", level=logging.WARNING, setting=problem.where, what=problem.what, fix=problem.fix)


def warn_of_senders(email: EmailChannel, rules: Iterable[Rule]) -> None:
    """Those whose mails are signed and yet fail DMARC; `notifier templates check` tells the same of each rule."""
    for sender in dict.fromkeys(["", *(rule.sender for rule in rules)]):
        if why := email.unaligned(sender):
            wide(_log, "settings.advice", level=logging.WARNING, setting="NOTIFIER_DKIM_KEYS", what=why)


def channel_advice(providers: Iterable[CompiledProvider], values: Mapping[str, str]) -> Iterator[tuple[str, Problem]]:
    """What channel files name and nobody set, and what was set and none names: each with the setting it is about."""
    named: set[str] = set()
    for one in providers:
        named.update(one.settings)
        for name, line in one.settings.items():
            if not values.get(name):
                what = f"{name} is not set: messages by {one.name} wait for it"
                fix = f"set {name} or {name}_FILE where workers run, and start them again"
                yield name, Problem(f"{one.file}:{line}", what, fix)
    for name in sorted(values.keys() - named):
        yield name, Problem(name, "no channel file names it", "is it misspelt? See the files in _channels")


def advice_below(root: Path, ours: Settings, environment: Mapping[str, str]) -> tuple[list[Problem], list[Problem]]:
    """The same of the channel files below a templates folder, and before it the mistakes of those that name nothing."""
    found, wrong = load_channels(root, build_guard(ours).check_url)
    advice = channel_advice(found.values(), read_channel_settings(environment))
    return wrong, [problem for _, problem in advice]


def warn_of_channels(providers: Iterable[CompiledProvider], values: Mapping[str, str]) -> None:
    """One log line each."""
    for setting, problem in channel_advice(providers, values):
        told = {"setting": setting, "where": problem.where, "what": problem.what, "fix": problem.fix}
        wide(_log, "settings.advice", level=logging.WARNING, **told)


def _lacking(relay: RelayAddress, ours: Settings) -> tuple[str, str] | None:
    """What a login has half of, and how to mend it."""
    if relay.password and not relay.username:
        return f"the login of {relay.name} has no user, so there is none", "write user:password@ before the host"
    if relay.username and not relay.password and ours.smtp_token_file is None and not ours.smtp_token_command:
        fix = "write user:password@, or set NOTIFIER_SMTP_TOKEN_FILE or NOTIFIER_SMTP_TOKEN_COMMAND"
        return f"the user of {relay.name} has neither a password nor a token", fix
    return None


def _crossed(relay: RelayAddress) -> tuple[str, str] | None:
    """A port whose servers begin otherwise than the scheme: each side waits for the other, or reads nonsense."""
    if relay.port == SMTPS_PORT and relay.security is not Security.IMPLICIT:
        return (
            f"servers encrypt from the first byte on port {relay.port}, so {relay.name} will seem silent",
            "use smtps://",
        )
    if relay.port in GREETING_PORTS and relay.security is Security.IMPLICIT:
        return f"servers begin in clear text on port {relay.port}, so TLS with {relay.name} will fail", "use smtp://"
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _domain(sender: str) -> str:
    try:
        return parse_sender(sender).address.envelope.rpartition("@")[2]
    except InvalidAddress:
        return repr(sender)
