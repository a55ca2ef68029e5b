"""`EmailChannel`: compose a mail for one delivery, send it, say what came of it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import field

from notifier.channels.email.alignment import aligned
from notifier.channels.email.attachments import File, check_total
from notifier.channels.email.dkim import DkimKeys, DkimSigner
from notifier.channels.email.extra import NO_EXTRA, Extra
from notifier.channels.email.lists import ListFields
from notifier.channels.email.mime import Letter, message_id, write
from notifier.channels.email.outcomes import classify
from notifier.channels.email.unsubscribe import UnsubscribeLinks
from notifier.domain.addresses import FromMailbox, parse_sender, read_address
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.ids import person_key, recipient_key
from notifier.domain.message import EmailMessage
from notifier.domain.outcome import NotTried, Outcome
from notifier.domain.rule import Rule
from notifier.domain.value import value
from notifier.engine.rate_watch import RateWatch
from notifier.engine.relay_breaker import RelayState
from notifier.engine.relays import SmtpRelays, checked
from notifier.engine.sender_pauses import PausedSender
from notifier.engine.smtp import Mail
from notifier.engine.transaction import Transaction
from notifier.errors import InvalidAddress, Problem, SettingsError

#: RFC 5321 §4.5.3.1.1.
MAX_LOCAL = 64
_EXAMPLE_ID = "dlv_" + "a" * 26
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@value
class OutgoingEmail:
    """A mail ready to leave. ``repr`` hides what it says."""

    delivery: str
    sender: str
    """Envelope sender, where bounces go: NOTIFIER_EMAIL_RETURN_PATH, else the From address."""
    recipient: str
    content: bytes = field(repr=False)
    smtputf8: bool = False
    expires: float | None = None
    """Unix seconds from which it must not leave any more."""
    author: str = ""
    """The From address, where it is not the envelope's."""


class EmailChannel:
    """Turns deliveries into mails and mails into outcomes."""

    def __init__(
        self,
        relays: SmtpRelays,
        *,
        sender: str,
        hostname: str,
        unsubscribe: UnsubscribeLinks | None = None,
        dkim: Sequence[DkimSigner] = (),
        return_path: str = "",
        watch: RateWatch | None = None,
    ) -> None:
        """``sender`` is the From of rules that name none; ``watch`` hears how each transaction ended.

        ``return_path`` is where bounces go, with the delivery's id for ``{id}``; the From address when it is empty.
        Raises `SettingsError` when it or the hostname is none.
        """
        check_hostname(hostname)
        domain = read_domain(sender)
        self._return_path = read_return_path(return_path)
        self._relays = relays
        self._sender = sender
        self._hostname = hostname
        self._unsubscribe = unsubscribe
        self._dkim = DkimKeys(dkim, domain) if dkim else None
        self._watch = watch

    def unsubscribe_url(self, to: Mailbox, rule: Rule) -> str:
        """The link that ends this category for this recipient; empty for what cannot be switched off."""
        if self._unsubscribe is None or rule.transactional:
            return ""
        person = person_key(to.recipient) if to.recipient else ""
        return self._unsubscribe.url(recipient_key(to.address), rule.category, person)

    def compose(
        self,
        delivery: Delivery,
        to: Mailbox,
        rule: Rule,
        message: EmailMessage,
        *,
        now: float,
        attachments: Sequence[File] = (),
        extra: Extra = NO_EXTRA,
        shown_to: Mailbox | None = None,
        tenant: str = "",
    ) -> OutgoingEmail:
        """The bytes that leave. Raises `InvalidAddress`, or `InvalidAttachment` when the files are too large.

        ``shown_to`` is whom a copy shows to be to; it goes to ``to``.
        """
        if attachments:
            check_total(attachments)
        sender = parse_sender(rule.sender or self._sender)
        recipient = read_address(to.address)
        to_name, to_address = to.name, recipient.envelope
        if shown_to is not None:
            to_name, to_address = shown_to.name, ""
            if shown_to.address:
                to_address = read_address(shown_to.address).envelope
        content = write(
            Letter(
                id=delivery.id,
                hostname=self._hostname,
                sender_name=sender.name,
                sender=sender.address.envelope,
                to_name=to_name,
                to=to_address,
                subject=message.subject,
                text=message.text,
                html=message.html,
                date=now,
                unsubscribe_url=self.unsubscribe_url(to, rule),
                files=attachments,
                extra=extra,
                lists=None if rule.transactional else self._lists(rule, sender, tenant),
                auto_submitted=rule.auto_submitted,
            )
        )
        if self._dkim is not None:
            content = self._dkim.signer(_domain(sender)).sign(content)
        smtputf8 = sender.address.smtputf8 or recipient.smtputf8 or extra.smtputf8 or not to_address.isascii()
        envelope = self._return_path.replace("{id}", delivery.id) if self._return_path else sender.address.envelope
        author = sender.address.envelope if self._return_path else ""
        return OutgoingEmail(delivery.id, envelope, recipient.envelope, content, smtputf8, delivery.expires, author)

    def unaligned(self, sender: str = "") -> str:
        """Why DMARC will not count the signature of mails from ``sender``; empty when it will, or nothing is signed."""
        if self._dkim is None:
            return ""
        domain = _domain(parse_sender(sender or self._sender))
        signer = self._dkim.signer(domain).domain
        if aligned(domain, signer):
            return ""
        return (
            f"mails from {domain} are signed for {signer}, which is another organisation: DMARC does not count that, "
            f"and where {domain} has a policy they are refused (a key of {domain} in NOTIFIER_DKIM_KEYS mends it)"
        )

    @property
    def hostname(self) -> str:
        """The right side of Message-IDs."""
        return self._hostname

    def message_id(self, delivery: str) -> str:
        """Of a delivery's mail."""
        return message_id(delivery, self._hostname)

    @staticmethod
    def _lists(rule: Rule, sender: FromMailbox, tenant: str) -> ListFields:
        return ListFields(rule.category, _domain(sender), rule.id, tenant)

    async def send(
        self, mail: OutgoingEmail, before_final_dot: Callable[[], Awaitable[None]] | None = None
    ) -> Outcome | NotTried:
        """One SMTP transaction, in the engine's loop. ``before_final_dot`` is awaited just before it may be gone."""
        transaction = await self._relays.deliver(
            mail.sender,
            mail.recipient,
            mail.content,
            smtputf8=mail.smtputf8,
            before_final_dot=before_final_dot,
            expires=mail.expires,
            author=mail.author,
        )
        if self._watch is not None:
            self._watch.note(transaction, mail.recipient)
        return classify(transaction)

    def check(self, mail: OutgoingEmail) -> Mail:
        """What `send_all` takes. Raises `InvalidAddress` or `ValueError` for what may not stand in a transaction."""
        return checked(
            mail.sender, mail.recipient, mail.content, mail.smtputf8, expires=mail.expires, author=mail.author
        )

    async def send_all(self, mails: Sequence[Mail], ended: Callable[[int, Outcome | NotTried, float], None]) -> None:
        """Many transactions, for half of what each costs alone; ``ended`` gets place, outcome and seconds of each."""

        def told(place: int, transaction: Transaction, seconds: float) -> None:
            if self._watch is not None:
                self._watch.note(transaction, mails[place].recipient)
            ended(place, classify(transaction), seconds)

        await self._relays.deliver_all(mails, told)

    @property
    def longest_send(self) -> float:
        """Seconds `send` can take, its wait for a free connection included; leases and batches must allow for more."""
        return self._relays.longest_delivery

    def paused_for(self) -> float:
        """Seconds for which no relay may be used; 0 when one may be now. From any thread."""
        return self._relays.paused_for()

    def relay_states(self) -> tuple[RelayState, ...]:
        """Which relays are up, and why not; from any thread."""
        return self._relays.states()

    def paused_senders(self) -> tuple[PausedSender, ...]:
        """Senders that a relay refuses; from any thread."""
        return self._relays.paused_senders()

    async def close(self) -> None:
        """Say goodbye to the relays; in the engine's loop."""
        await self._relays.close()


def check_hostname(text: str) -> None:
    """Raises `SettingsError` for what stands in no EHLO and no Message-ID."""
    if not _HOSTNAME.fullmatch(text):
        raise SettingsError([Problem("NOTIFIER_EMAIL_HOSTNAME", f"{text!r} is not a host name")])


def read_domain(sender: str) -> str:
    """The domain mails come from when a rule says nothing. Raises `SettingsError`."""
    try:
        return _domain(parse_sender(sender))
    except InvalidAddress as error:
        fix = "write: Name <address@domain>"
        raise SettingsError([Problem("NOTIFIER_EMAIL_FROM", f"{sender!r}: {error}", fix)]) from error


def read_return_path(text: str) -> str:
    """The pattern of the envelope sender. Raises `SettingsError` when it gives no address of at most 64 local bytes."""
    text = text.strip()
    if not text:
        return ""
    example = text.replace("{id}", _EXAMPLE_ID)
    try:
        address = read_address(example)
        local = address.envelope.rpartition("@")[0]
        if "{" in example or "}" in example:
            raise InvalidAddress("only {id} stands for something")
        if address.smtputf8 or len(local) > MAX_LOCAL:
            raise InvalidAddress(
                f"the part before the @ has at most {MAX_LOCAL} bytes of ASCII, an id {len(_EXAMPLE_ID)}"
            )
    except InvalidAddress as error:
        fix = "write bounces@example.org, or bounces+{id}@example.org for an address of each delivery"
        raise SettingsError([Problem("NOTIFIER_EMAIL_RETURN_PATH", f"{text!r}: {error}", fix)]) from error
    local, _, domain = text.rpartition("@")
    return f"{local}@{address.envelope.rpartition('@')[2]}" if "{" not in domain else text


def _domain(sender: FromMailbox) -> str:
    return sender.address.envelope.rpartition("@")[2]
