"""What a sender meets at other people's servers, in words that every server's configuration is made from."""

from dataclasses import dataclass
from typing import Literal

from tests.servers.certificates import Certificate

Phase = Literal["connect", "helo", "mail", "rcpt", "dot"]


class NotOffered(ValueError):
    """This server has no such option."""


@dataclass(frozen=True)
class Refusal:
    """What the server refuses at a phase: everything, or what contains a text (an address, a subject)."""

    phase: Phase
    reply: str
    """Code, enhanced code and words, such as `554 5.7.1 Recipient address rejected`."""
    containing: str = ""

    @property
    def code(self) -> str:
        return self.reply[:3]

    @property
    def enhanced(self) -> str:
        return self.reply.split(" ")[1]

    @property
    def words(self) -> str:
        return self.reply.split(" ", 2)[2]


@dataclass(frozen=True)
class Options:
    """How a server is configured; what is not said is as the server has it without configuration."""

    connections: int | None = None
    """At once, whether the server counts them in all or by client."""
    mails_per_connection: int | None = None
    size: int | None = None
    smtputf8: bool | None = None
    login: tuple[str, str] | None = None
    certificate: Certificate | None = None
    """Offers STARTTLS."""
    greylist_s: int | None = None
    """Defers what it sees for the first time, for so many seconds."""
    refusals: tuple[Refusal, ...] = ()


def known(name: str, options: Options, *offered: str) -> Options:
    """The options, when a server has all that they ask for."""
    for field, default in vars(Options()).items():
        if getattr(options, field) != default and field not in offered:
            raise NotOffered(f"{name} is not configured here for {field!r}; it is for {', '.join(offered)}")
    return options
