"""From a relay's URL to an open, encrypted, logged-in `SmtpConnection`, by aiosmtplib; its errors become values here.

Nothing ever falls back to less security: ``smtp://`` without STARTTLS is a failure (a stripped offer must not win), and
certificates are always verified.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl

from aiosmtplib import SMTP, SMTPException, SMTPResponseException, SMTPServerDisconnected

from notifier.client.server_url import UnreadableUrl, read_server_url
from notifier.engine.dialing import dial
from notifier.engine.dialogue import Dialogue
from notifier.engine.smtp import Offers, SmtpConnection
from notifier.engine.smtp_login import Login, NoMechanism
from notifier.engine.tokens import TokenUnavailable
from notifier.engine.transaction import Breakage, Broken, Phase, Rejected
from notifier.errors import Problem, SettingsError

#: RFC 4954 §6: the credentials are not right.
_WRONG_LOGIN = 535
#: RFC 9422 §4.1: at least 1, at most six digits.
_MAILMAX = re.compile(r"(?:^|\s)MAILMAX=0*([1-9][0-9]{0,5})(?=\s|$)", re.IGNORECASE)


class Security(StrEnum):
    """How a connection is encrypted, by the URL's scheme."""

    STARTTLS = "smtp"
    IMPLICIT = "smtps"
    NONE = "smtp+plain"


#: Of an address that names none (RFC 6409 §3.1, RFC 8314 §3.3, RFC 5321 §4.5.4.2).
_PORTS = {Security.STARTTLS: 587, Security.IMPLICIT: 465, Security.NONE: 25}


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """Where a relay is and how to get in."""

    host: str
    port: int
    security: Security
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    announce: bool = False
    """Whether the next mail may be named behind the final dot of the one before (``?announce=yes``)."""

    @property
    def name(self) -> str:
        """``host:port``, for logs and metrics."""
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> RelayAddress:
        """Raises `SettingsError`, which quotes nothing of the URL, when it is not the address of a relay."""
        try:
            found = read_server_url(url, [str(scheme) for scheme in Security])
        except UnreadableUrl as error:
            fix = "write smtp://host:587, smtps://host:465 or smtp+plain://host:25, with user:password@ before the host"
            raise SettingsError([Problem("NOTIFIER_SMTP_URL", str(error), fix)]) from None
        security = Security(found.scheme)
        return cls(
            host=found.host.lower(),
            port=found.port or _PORTS[security],
            security=security,
            username=found.username,
            password=found.password,
            announce=_announces(found.query),
        )


def _announces(query: str) -> bool:
    """``announce=yes`` or ``announce=no``, the only thing a relay's URL may ask for."""
    wishes = parse_qsl(query, keep_blank_values=True)
    if [key for key, _ in wishes] not in ([], ["announce"]) or (query and not wishes):
        fix = "the only word after the ? is announce: ?announce=yes or ?announce=no"
        # Not what it says: it may be the rest of a password with a question mark.
        raise SettingsError([Problem("NOTIFIER_SMTP_URL", "what follows the ? means nothing to a relay", fix)])
    answer = wishes[0][1] if wishes else "no"
    if answer not in ("yes", "no"):
        fix = "write announce=yes or announce=no"
        raise SettingsError([Problem("NOTIFIER_SMTP_URL", "announce is neither yes nor no", fix)])
    return answer == "yes"


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Verifies certificates and names; made once, because aiosmtplib would make it in the loop's executor."""
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)


class _Failed(Exception):
    def __init__(self, ended: Rejected | Broken) -> None:
        self.ended = ended


@dataclass(frozen=True, slots=True)
class Way:
    """How connections to one relay are opened."""

    address: RelayAddress
    hostname: str
    """Our name in EHLO."""
    context: ssl.SSLContext
    seconds: float
    """All that opening one may take, but for getting a token."""
    clock: Callable[[], float]
    login: Login | None = None


async def open_connection(way: Way) -> SmtpConnection | Rejected | Broken:
    """Get a token if need be, then connect, greet, encrypt and log in."""
    opened, token = await _open(way)
    refused = isinstance(opened, Rejected) and opened.code == _WRONG_LOGIN
    if refused and way.login is not None and way.login.may_be_stale(token):
        opened, _ = await _open(way)
    return opened


async def _open(way: Way) -> tuple[SmtpConnection | Rejected | Broken, str]:
    address = way.address
    try:
        token = await way.login.token() if way.login is not None else ""
    except TokenUnavailable as error:
        return Rejected(address.name, Phase.AUTH, 454, f"4.7.0 no token for the login: {error}"), ""
    client = SMTP(
        hostname=address.host,
        local_hostname=way.hostname,
        timeout=way.seconds,
        use_tls=address.security is Security.IMPLICIT,
        start_tls=False,
        tls_context=way.context,
    )
    steps = _Steps(way, client, token)
    try:
        async with asyncio.timeout(way.seconds):
            await steps.take()
        return _connection(address.name, client, way.clock()), token
    except _Failed as failed:
        client.close()
        return failed.ended, token
    except (SMTPException, OSError) as error:
        client.close()
        return _translated(address.name, steps.phase, error), token
    except BaseException:
        client.close()
        raise


class _Steps:
    """The way in, with the step it stands at."""

    def __init__(self, way: Way, client: SMTP, token: str) -> None:
        self.phase = Phase.CONNECT
        self._address = way.address
        self._login = way.login
        self._client = client
        self._token = token

    async def take(self) -> None:
        await self._client.connect(sock=await dial(self._address.host, self._address.port))
        await self._client.ehlo()
        if self._address.security is Security.STARTTLS:
            await self._encrypt()
        if self._login is not None:
            self.phase = Phase.AUTH
            await self._log_in(self._login)

    async def _encrypt(self) -> None:
        if not self._client.supports_extension("starttls"):
            why = "the relay does not offer STARTTLS; nothing is sent in clear text (smtp+plain:// would allow that)"
            raise _Failed(Broken(self._address.name, self.phase, why, False, "tls"))
        try:
            await self._client.starttls()
        except SMTPResponseException as error:
            why = f"STARTTLS was answered {error.code} {error.message}"
            raise _Failed(Broken(self._address.name, self.phase, why, False, "tls")) from error
        await self._client.ehlo()

    async def _log_in(self, login: Login) -> None:
        try:
            await login.log_in(self._client, self._token)
        except NoMechanism as error:
            raise _Failed(Rejected(self._address.name, self.phase, _WRONG_LOGIN, str(error))) from error


def _connection(relay: str, client: SMTP, now: float) -> SmtpConnection:
    if client.transport is None:
        raise SMTPServerDisconnected("the relay closed the connection after its greeting")
    dialogue = Dialogue(asyncio.get_running_loop(), client.transport)
    size = client.esmtp_extensions.get("size")
    offers = Offers(
        pipelining=client.supports_extension("pipelining"),
        smtputf8=client.supports_extension("smtputf8"),
        eightbit=client.supports_extension("8bitmime"),
        size=None if size is None else int(size) if size.isascii() and size.isdigit() else 0,
        mails=_mailmax(client.esmtp_extensions.get("limits") or ""),
    )
    return SmtpConnection(relay, dialogue, offers, now)


def _mailmax(limits: str) -> int:
    """``MAILMAX`` of RFC 9422; its ``RCPTMAX`` is no matter to mails with one recipient."""
    found = _MAILMAX.search(limits)
    return int(found[1]) if found else 0


class _Row(NamedTuple):
    """One line of the translation table."""

    error: type[Exception]
    kind: Breakage


#: Errors of aiosmtplib, asyncio and ssl, most specific first; aiosmtplib keeps the system's error as ``__cause__``.
_TABLE = (
    _Row(TimeoutError, "timeout"),
    _Row(socket.gaierror, "dns"),
    _Row(ssl.SSLError, "tls"),
    _Row(OSError, "connection"),
)
#: What aiosmtplib gives as the code of a line that is no reply.
_INVALID_RESPONSE: Literal[-1] = -1


def _translated(relay: str, phase: Phase, error: Exception) -> Rejected | Broken:
    if isinstance(error, SMTPResponseException):
        if error.code != _INVALID_RESPONSE and error.code >= 400:
            return Rejected(relay, phase, error.code, _readable(error.message))
        return Broken(relay, phase, _readable(f"{error.code} {error.message}"), False, "protocol")
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    kind: Breakage = next((row.kind for row in _TABLE if isinstance(cause, row.error)), "protocol")
    return Broken(relay, phase, str(cause) or str(error) or "no answer in time", False, kind)


def _readable(text: str) -> str:
    """Without the halves that the library makes of bytes that are no UTF-8: nothing could store or log them."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
