"""The table of what refusals mean: the first row that fits says it, so the most specific stand first.

A row asks for phases, basic codes (RFC 5321), the enhanced code without its class (RFC 3463, RFC 5248) and words; what
it does not name fits. An enhanced code is trusted over the basic one; words stand before both only where servers are
known to give codes that say less. Words never beat a phase that settles it.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import NamedTuple

from notifier.engine import reply_words as say
from notifier.engine.reply_class import ReplyClass
from notifier.engine.reply_words import Words
from notifier.engine.transaction import Phase

_EVERY = frozenset(Phase)
_CONNECT, _AUTH = frozenset({Phase.CONNECT}), frozenset({Phase.AUTH})
_BEFORE = _CONNECT | _AUTH
_MAIL, _RCPT = frozenset({Phase.MAIL}), frozenset({Phase.RCPT})
_CONTENT = frozenset({Phase.DATA, Phase.DOT})
_RECIPIENT = _RCPT | _CONTENT
_ENVELOPE = _MAIL | _RECIPIENT
_ADDRESSES = _MAIL | _RCPT
_COMMANDS = _ADDRESSES | {Phase.DATA}

_ANY, _FOR_NOW, _FOR_GOOD = range(400, 600), range(400, 500), range(500, 600)
#: Basic codes that speak of our login, with or without an enhanced code (RFC 4954).
_LOGIN = frozenset({530, 534, 535, 538})
#: Basic codes about a command or a parameter; they never settle anything about a recipient.
_COMMAND = frozenset({*range(500, 505), 555})
_FINAL = frozenset(_FOR_GOOD) - _COMMAND


class Row(NamedTuple):
    """One line of the table."""

    meaning: ReplyClass
    phases: Container[Phase] = _EVERY
    codes: Container[int] = _ANY
    subject: re.Pattern[str] | None = None
    """The enhanced code without its class: ``7.60``; empty where the reply has none."""
    words: Words | None = None
    and_words: Words | None = None

    def fits(self, phase: Phase, code: int, subject: str, words: str) -> bool:
        """Whether a refusal is one of these."""
        return (
            code in self.codes
            and phase in self.phases
            and (self.subject is None or self.subject.fullmatch(subject) is not None)
            and (self.words is None or self.words.search(words) is not None)
            and (self.and_words is None or self.and_words.search(words) is not None)
        )


def _code(*subjects: str) -> re.Pattern[str]:
    """``7.60``, ``7.12x`` (x: any digit), ``6.*`` (anything)."""
    return re.compile("|".join(s.replace(".", r"\.").replace("x", r"\d").replace("*", r"\d+") for s in subjects))


TABLE = (
    # Before any mail is named the phase settles it.
    Row(ReplyClass.MAIL_REFUSED, _ENVELOPE, {534}, words=say.TOO_LARGE),  # Courier's code for it
    Row(ReplyClass.SENDER_REFUSED, _CONTENT, _LOGIN, words=say.SENDER),  # told after the whole mail, it is no login
    Row(ReplyClass.LOGIN, codes=_LOGIN),
    Row(ReplyClass.LOGIN, words=say.OUR_ACCOUNT),
    Row(ReplyClass.NOT_NOW, _RECIPIENT, words=say.BUSY_RECIPIENT),
    Row(ReplyClass.USED_UP, _ENVELOPE, words=say.CONNECTION_USED_UP),
    Row(ReplyClass.CONNECTIONS, words=say.TOO_MANY_CONNECTIONS),
    Row(ReplyClass.RELAY_RATE, _BEFORE, words=say.CLEARLY_RATE),
    Row(ReplyClass.DIALOGUE, _AUTH, _COMMAND),
    Row(ReplyClass.LOGIN, _AUTH, _FOR_GOOD),
    Row(ReplyClass.LOGIN, _AUTH, words=say.LOGIN_ATTEMPTS),
    Row(ReplyClass.RELAY_ILL, _AUTH),
    Row(ReplyClass.DIALOGUE, _CONNECT, _COMMAND),
    Row(ReplyClass.DIALOGUE, _CONNECT, words=say.PROTOCOL),
    Row(ReplyClass.CLIENT_REFUSED, _CONNECT, words=say.CLIENT),
    Row(ReplyClass.CLIENT_REFUSED, _CONNECT, words=say.NO_REVERSE_NAME),
    Row(ReplyClass.CLIENT_REFUSED, _CONNECT, words=say.LISTED),
    Row(ReplyClass.CLIENT_REFUSED, _CONNECT, words=say.BLOCKLIST),
    Row(ReplyClass.CLIENT_REFUSED, _CONNECT, words=say.POLICY),
    Row(ReplyClass.CLIENT_REFUSED, _CONNECT, _FOR_GOOD),
    Row(ReplyClass.GREYLISTED, _CONNECT, words=say.GREYLIST),
    Row(ReplyClass.GREYLISTED, _CONNECT, {450, 451}, _code("7.1")),
    Row(ReplyClass.RELAY_ILL, _CONNECT),
    # This connection has had its share.
    Row(ReplyClass.USED_UP, _MAIL, {421, 451}, words=say.TIMEOUT),
    Row(ReplyClass.RELAY_RATE, _MAIL, {421, 452}, _code("5.3"), say.RATE_LIMIT),
    Row(ReplyClass.DOMAIN_RATE, _RCPT, {421, 452}, _code("5.3"), say.RATE_LIMIT),
    Row(ReplyClass.USED_UP, _ADDRESSES, {421, 452}, _code("5.3")),
    Row(ReplyClass.GREYLISTED, _ENVELOPE, _FOR_NOW, words=say.GREYLIST),
    Row(ReplyClass.SENDER_REFUSED, _ENVELOPE, subject=_code("1.7", "1.8")),
    # A mailbox that is full or gets too much, or whose server must be asked first: this recipient, for now.
    Row(ReplyClass.RELAY_RATE, _RECIPIENT, words=say.CLEARLY_RATE, and_words=say.SUBMISSION),
    Row(ReplyClass.NOT_NOW, _RECIPIENT, subject=_code("2.2", "2.121", "2.122")),
    Row(ReplyClass.NOT_NOW, _RECIPIENT, _FOR_NOW, words=say.UNVERIFIED_RECIPIENT),
    Row(ReplyClass.NOT_NOW, _RECIPIENT, _FOR_NOW, words=say.LOOP),
    # This mail's size and form (RFC 1870, RFC 6531), also where MAIL is told already, and mails that go round.
    # 552 without a code of its own is to be read as 452 (RFC 5321 §4.5.3.1.10).
    Row(ReplyClass.MAIL_REFUSED, _ENVELOPE, _FINAL, _code("3.4", "2.3", "6.*")),
    Row(ReplyClass.MAIL_REFUSED, _ENVELOPE, _FINAL, words=say.TOO_LARGE),
    Row(ReplyClass.NOT_NOW, _RCPT, {552}, _code("", "5.3")),
    Row(ReplyClass.MAIL_REFUSED, _CONTENT, _FINAL, _code("4.6"), say.LOOP),
    # A recipient who takes mail of some only, such as Exchange's groups: nobody else's matter.
    Row(ReplyClass.MAIL_REFUSED, _RECIPIENT, _FINAL, _code("7.12x", "7.13x", "7.703")),
    Row(ReplyClass.MAIL_REFUSED, _RECIPIENT, _FINAL, words=say.CLOSED_RECIPIENT),
    # Codes of providers for rates, senders and hosts (Google 7.28, 4.5; Microsoft 1.90, 2.252, 7.5xx, 7.6xx, 7.7xx).
    Row(ReplyClass.RELAY_RATE, _ENVELOPE, _FOR_GOOD, _code("4.5", "7.705", "1.90")),
    Row(ReplyClass.RELAY_RATE, _MAIL, subject=_code("7.28", "7.65x", "7.500", "7.508")),
    Row(ReplyClass.DOMAIN_RATE, _RECIPIENT, subject=_code("7.28", "7.65x", "7.500", "7.508")),
    Row(ReplyClass.SENDER_REFUSED, _ENVELOPE, _FOR_GOOD, _code("7.60", "2.252", "7.501", "7.502", "7.503", "7.750")),
    Row(ReplyClass.CLIENT_REFUSED, _ENVELOPE, _FOR_GOOD, _code("7.54", "7.60x", "7.61x", "7.62x", "7.63x", "7.64x")),
    Row(ReplyClass.CLIENT_REFUSED, _ENVELOPE, subject=_code("7.25", "7.64", "7.511", "7.708")),
    Row(ReplyClass.NOT_NOW, _RECIPIENT, _FOR_NOW, _code("1.*")),
    Row(ReplyClass.SENDER_REFUSED, _ADDRESSES, words=say.SENDER_OF_ANOTHER),
    # SPF, DKIM and DMARC are judged by the recipient's side: another recipient may well take mail of this sender, so it
    # is this mail, and neither its sender nor the relay, that ends here.
    Row(ReplyClass.MAIL_REFUSED, _RECIPIENT, _FINAL, _code("7.2x", "7.509", "7.515")),
    Row(ReplyClass.MAIL_REFUSED, _RECIPIENT, _FINAL, words=say.SENDER_AUTHENTICATION),
    Row(ReplyClass.NOT_NOW, _RECIPIENT, _FOR_NOW, words=say.SENDER_AUTHENTICATION),
    Row(ReplyClass.MAIL_REFUSED, _CONTENT, _FINAL, words=say.BAD_CONTENT),
    # Words about us: a rate, our host, the sender, our login. They are told at any step after MAIL, because many
    # servers delay their refusals until a recipient is named.
    Row(ReplyClass.CLIENT_REFUSED, _ENVELOPE, words=say.NO_REVERSE_NAME),
    Row(ReplyClass.RELAY_RATE, _MAIL, words=say.CLEARLY_RATE),
    Row(ReplyClass.RELAY_RATE, _RECIPIENT, words=say.CLEARLY_RATE, and_words=say.OURS),
    Row(ReplyClass.DOMAIN_RATE, _RECIPIENT, words=say.CLEARLY_RATE),
    Row(ReplyClass.LOGIN, _ADDRESSES, _FOR_GOOD, words=say.LOG_IN_FIRST),
    Row(ReplyClass.LOGIN, _MAIL, words=say.TLS_FIRST),
    Row(ReplyClass.DIALOGUE, _ENVELOPE, _FOR_GOOD, words=say.SAY_HELLO),
    Row(ReplyClass.DIALOGUE, _COMMANDS, _FOR_GOOD, words=say.PROTOCOL),
    Row(ReplyClass.CLIENT_REFUSED, _ENVELOPE, words=say.CLIENT),
    Row(ReplyClass.SENDER_REFUSED, _ENVELOPE, words=say.SENDER),
    Row(ReplyClass.SENDER_REFUSED, _MAIL, words=say.UNRESOLVED),
    Row(ReplyClass.CLIENT_REFUSED, _ENVELOPE, words=say.LISTED),
    Row(ReplyClass.NOT_NOW, _RECIPIENT, _FOR_NOW, words=say.BLOCKLIST, and_words=say.OF_MAILBOX),
    Row(ReplyClass.MAIL_REFUSED, _RECIPIENT, _FINAL, words=say.BLOCKLIST, and_words=say.OF_MAILBOX),
    Row(ReplyClass.CLIENT_REFUSED, _ENVELOPE, words=say.BLOCKLIST),
    # Commands and parameters (RFC 5321 §4.2.2) settle nothing about a recipient; the form of his address is his.
    Row(ReplyClass.NOT_NOW, _RCPT, _COMMAND, _code("1.*")),
    Row(ReplyClass.NOT_NOW, _RCPT, _COMMAND - {503}, words=say.OF_RECIPIENT),
    Row(ReplyClass.DIALOGUE, codes=_COMMAND),
    Row(ReplyClass.NOT_NOW, _RECIPIENT, _ANY, _code("", "[0-6].*"), say.FULL),
    # For now.
    Row(ReplyClass.GREYLISTED, _RECIPIENT, _FOR_NOW, words=say.SECOND_TRY),
    Row(ReplyClass.RELAY_RATE, _MAIL, _FOR_NOW, words=say.RATE),
    Row(ReplyClass.RELAY_RATE, _RECIPIENT, _FOR_NOW, words=say.RATE, and_words=say.OURS),
    Row(ReplyClass.DOMAIN_RATE, _RECIPIENT, _FOR_NOW, words=say.RATE),
    Row(ReplyClass.RELAY_ILL, _ENVELOPE, _FOR_NOW, _code("3.*", "4.5")),
    Row(ReplyClass.NOT_NOW, _CONTENT, _FOR_NOW, words=say.POLICY),
    Row(ReplyClass.RELAY_ILL, codes={421}),
    Row(ReplyClass.RELAY_ILL, _ENVELOPE, _FOR_NOW, words=say.SERVICE_AWAY),
    Row(ReplyClass.GREYLISTED, _RECIPIENT, {450, 451}, _code("7.1")),
    Row(ReplyClass.GREYLISTED, _RECIPIENT, {450, 451}, _code("2.0"), say.LATER),
    Row(ReplyClass.NOT_NOW, codes=_FOR_NOW),
    # For good: what MAIL is refused for is the sender.
    Row(ReplyClass.RELAY_ILL, _ENVELOPE, _FOR_GOOD, _code("3.1", "3.2", "3.5")),
    Row(ReplyClass.SENDER_REFUSED, _MAIL),
    # Only what says that there is no such mailbox or domain suppresses; a state that passes is none of those.
    Row(ReplyClass.NOT_NOW, _RECIPIENT, words=say.PASSING),
    # At RCPT the domain is the recipient's unless the words say whose it is (RFC 5321 §3.3).
    Row(ReplyClass.SENDER_REFUSED, _RECIPIENT, words=say.NO_SUCH_DOMAIN, and_words=say.SENDERS_DOMAIN),
    Row(ReplyClass.CLIENT_REFUSED, _RECIPIENT, words=say.NO_SUCH_DOMAIN, and_words=say.CLIENTS_NAME),
    Row(ReplyClass.NO_MAILBOX, _RECIPIENT, words=say.NO_SUCH_MAILBOX),
    Row(ReplyClass.NO_MAILBOX, _RECIPIENT, words=say.NO_SUCH_DOMAIN),
    Row(ReplyClass.DIALOGUE, _RECIPIENT, subject=_code("5.1", "5.2", "5.4")),
    Row(ReplyClass.MAIL_REFUSED, _RECIPIENT, words=say.SLEEPING),
    Row(ReplyClass.MAIL_REFUSED, _RECIPIENT, words=say.POLICY),
    # A code that says "no such mailbox" is believed when the words say that too, or nothing else.
    Row(ReplyClass.NOT_NOW, _RECIPIENT, subject=_code("[015].*"), words=say.OTHER_STATE),
    Row(ReplyClass.NO_MAILBOX, _RECIPIENT, subject=_code("1.1", "1.2", "1.3", "1.6", "1.10")),
    Row(ReplyClass.NO_MAILBOX, _RECIPIENT, subject=_code("", "0.0", "1.0", "5.0"), words=say.INVALID_RECIPIENT),
    Row(ReplyClass.MAIL_REFUSED),
)
