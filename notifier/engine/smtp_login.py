"""`Login`: one login to a relay, by exactly one mechanism.

Trying all that are offered, as aiosmtplib does, makes three failures of one wrong password, and accounts are locked
after a few.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from aiosmtplib import SMTP, SMTPAuthenticationError, SMTPStatus

from notifier.engine.tokens import TokenSource

#: By what a listener could learn: of no use to one where the connection is encrypted, so the simplest first.
_ENCRYPTED = ("plain", "login", "cram-md5")
#: Only where somebody wrote ``smtp+plain://`` with a user: a challenge before a password in clear text.
_CLEAR = ("cram-md5", "plain", "login")
#: What a server answers that offers a mechanism it does not have, or finds too weak (RFC 4954 §6): no wrong password.
_NOT_THIS_MECHANISM = frozenset({500, 501, 502, 504, 534})


class NoMechanism(Exception):
    """The relay offers none that we may use."""


class Login:
    """The user of one relay's URL, with a password or a source of tokens."""

    def __init__(self, user: str, password: str, tokens: TokenSource | None, *, encrypted: bool) -> None:
        self._user = user
        self._password = password
        self._tokens = tokens
        self._order = _ENCRYPTED if encrypted else _CLEAR
        self._unfit: set[str] = set()
        """Mechanisms that the relay offers and does not take."""

    async def token(self) -> str:
        """For the next login; empty when it needs none. Raises `TokenUnavailable`."""
        return await self._tokens.token() if self._tokens is not None else ""

    async def log_in(self, client: SMTP, token: str) -> None:
        """Raises `SMTPAuthenticationError` at the first refusal, and `NoMechanism`."""
        mechanism = self._mechanism(client.server_auth_methods)
        try:
            match mechanism:
                case "xoauth2":
                    # A refusal is first a challenge that tells why; the library answers it with an empty line.
                    await client.auth_xoauth2(self._user, token)
                case "plain":
                    await client.auth_plain(self._user, self._password)
                case "login":
                    await _login(client, self._user, self._password)
                case _:
                    await client.auth_crammd5(self._user, self._password)
        except SMTPAuthenticationError as error:
            if error.code in _NOT_THIS_MECHANISM:
                self._unfit.add(mechanism)
            raise

    def may_be_stale(self, token: str) -> bool:
        """Whether another token may be tried at once after this one was refused."""
        return self._tokens is not None and self._tokens.refused(token)

    def _mechanism(self, offered: Sequence[str]) -> str:
        known = ("xoauth2",) if self._tokens is not None else self._order
        usable = [mechanism for mechanism in known if mechanism in offered]
        if not usable:
            words = ", ".join(known).upper()
            raise NoMechanism(f"5.7.4 the relay offers no login we know (AUTH {words}); it offers: {' '.join(offered)}")
        if self._unfit.issuperset(usable):
            self._unfit.clear()
        return next(mechanism for mechanism in usable if mechanism not in self._unfit)


async def _login(client: SMTP, user: str, password: str) -> None:
    """AUTH LOGIN, each answer when it is asked for.

    The library sends the user with the command. RFC 4954 §4 has servers refuse that, because LOGIN begins with their
    question, and one that asks all the same would get the password for the user's name, and write it into its log.
    """
    reply = await client.execute_command(b"AUTH", b"LOGIN")
    for answer in (user, password):
        if reply.code != SMTPStatus.auth_continue:
            raise SMTPAuthenticationError(reply.code, reply.message)
        reply = await client.execute_command(b64encode(answer.encode()))
    if reply.code != SMTPStatus.auth_successful:
        raise SMTPAuthenticationError(reply.code, reply.message)
