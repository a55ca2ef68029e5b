"""`ReplyClass`: the closed set of what a refusal can mean."""

from __future__ import annotations

from enum import StrEnum


class ReplyClass(StrEnum):
    """What a refusal means, by (phase, code, enhanced code, words); what follows from each is its line here."""

    NO_MAILBOX = "no_mailbox"
    """The mailbox or its domain does not exist: refused, and the address is suppressed."""
    MAIL_REFUSED = "mail_refused"
    """This mail or its recipient, for good (policy, content, size, disabled): refused, and nobody else's."""
    NOT_NOW = "not_now"
    """This mail or its recipient, for now (mailbox full or busy, local error): the retry schedule."""
    GREYLISTED = "greylisted"
    """A stranger's first try: this mail again after some minutes; no rate is learned."""
    DOMAIN_RATE = "domain_rate"
    """Too fast for the recipient's domain: its rate goes down."""
    RELAY_RATE = "relay_rate"
    """Too fast or too much for the relay: its rate goes down."""
    CONNECTIONS = "connections"
    """More connections than the relay serves: fewer; no try is spent while others work, and no rate is learned."""
    USED_UP = "used_up"
    """This connection has carried its mails: the same mail once on a new one."""
    SENDER_REFUSED = "sender_refused"
    """We may not send as this sender: mails of that sender wait, nobody else's."""
    LOGIN = "login"
    """Our login is missing or wrong, or its account may not send: the relay is paused."""
    CLIENT_REFUSED = "client_refused"
    """Our host, its name or its network may not send here, whoever the recipient is: counts against the relay."""
    DIALOGUE = "dialogue"
    """A command or parameter it does not understand or expect (500-504, 555): again, plainly; then about us."""
    RELAY_ILL = "relay_ill"
    """The relay itself is unwell or closing (421, 4.3.x of the system): counts against it, another may take over."""
