"""`EmailChannel`: compose a mail for one delivery, send it, say what came of it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import field

from notifier.channels.email.addresses import Sender, parse_address, parse_sender
from notifier.channels.email.attachments import File, check_total
from notifier.channels.email.dkim import DkimSigner
from notifier.channels.email.extra import NO_EXTRA, Extra
from notifier.channels.email.lists import ListFields
from notifier.channels.email.mime import Letter, message_id, write
from notifier.channels.email.outcomes import classify
from notifier.channels.email.unsubscribe import UnsubscribeLinks
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

_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@value
class OutgoingEmail:
    """A mail ready to leave. ``repr`` hides what it says."""

    delivery: str
    sender: str
    """Envelope sender, the From address: bounces go there, and SPF aligns with From."""
    recipient: str
    content: bytes = field(repr=False)
    smtputf8: bool = False
    expires: float | None = None
    """Unix seconds from which it must not leave any more."""


class EmailChannel:
    """Turns deliveries into mails and mails into outcomes."""

    def __init__(
        self,
        relays: SmtpRelays,
        *,
        sender: str,
        hostname: str,
        unsubscribe: UnsubscribeLinks | None = None,
        dkim: DkimSigner | None = None,
        watch: RateWatch | None = None,
    ) -> None:
        """``sender`` is the From of rules that name none; ``watch`` hears how each transaction ended.

        Raises `SettingsError` when it or the hostname is none.
        """
        if not _HOSTNAME.fullmatch(hostname):
            raise SettingsError([Problem("NOTIFIER_EMAIL_HOSTNAME", f"{hostname!r} is not a host name")])
        try:
            parse_sender(sender)
        except InvalidAddress as error:
            fix = "write: Name <address@domain>"
            raise SettingsError([Problem("NOTIFIER_EMAIL_FROM", f"{sender!r}: {error}", fix)]) from error
        self._relays = relays
        self._sender = sender
        self._hostname = hostname
        self._unsubscribe = unsubscribe
        self._dkim = dkim
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
        recipient = parse_address(to.address)
        to_name, to_address = to.name, recipient.envelope
        if shown_to is not None:
            to_name, to_address = shown_to.name, ""
            if shown_to.address:
                to_address = parse_address(shown_to.address).envelope
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
            content = self._dkim.sign(content)
        smtputf8 = sender.address.smtputf8 or recipient.smtputf8 or extra.smtputf8 or not to_address.isascii()
        return OutgoingEmail(
            delivery.id, sender.address.envelope, recipient.envelope, content, smtputf8, delivery.expires
        )

    @property
    def hostname(self) -> str:
        """The right side of Message-IDs."""
        return self._hostname

    def message_id(self, delivery: str) -> str:
        """Of a delivery's mail."""
        return message_id(delivery, self._hostname)

    @staticmethod
    def _lists(rule: Rule, sender: Sender, tenant: str) -> ListFields:
        return ListFields(rule.category, sender.address.envelope.rpartition("@")[2], rule.id, tenant)

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
        )
        if self._watch is not None:
            self._watch.note(transaction, mail.recipient)
        return classify(transaction)

    def check(self, mail: OutgoingEmail) -> Mail:
        """What `send_all` takes. Raises `InvalidAddress` or `ValueError` for what may not stand in a transaction."""
        return checked(mail.sender, mail.recipient, mail.content, mail.smtputf8, expires=mail.expires)

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
