"""The addresses of servers (RabbitMQ, Redis, mail relays): one reader and one mask, for every setting and every role.

    scheme://[user[:password]@]host[:port][/path][?query]

Stricter than RFC 3986, appendix B, whose pattern fits every text: there a ``/``, ``?`` or ``#`` of a password ends the
host, and what is left of the password is a path that nobody masks. So a login has only characters that mean nothing
else in a URL, there is no ``@`` behind it, and what does not fit is refused without quoting any of it. It lives in the
client because the client depends on nothing of the service.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

MASK = "****"
#: How to write what a login may not have as it is.
ADVICE = (
    "percent-encode the user name and the password: / is %2F, ? is %3F, # is %23, @ is %40, : is %3A, % is %25, "
    "a comma %2C, a space %20; python3 -c 'import getpass, urllib.parse as u; print(u.quote(getpass.getpass(), \"\"))' "
    "encodes one"
)

#: RFC 3986's unreserved characters and those of its sub-delims that separate nothing in lists, quotes or log lines.
_LOGIN = r"(?:[A-Za-z0-9._~!$&()*+=-]|%[0-9A-Fa-f]{2})"
_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])"
_URL = re.compile(
    # A mailbox is a common user name at relays, and its @ cannot be mistaken: the last one ends the login.
    rf"(?P<scheme>[a-z][a-z+]*)://(?:(?P<user>(?:{_LOGIN}|@)*)(?P<password>:(?:{_LOGIN}|:)*)?@)?"
    rf"(?P<hosts>(?:{_HOST}(?::[0-9]+)?(?:,{_HOST}(?::[0-9]+)?)*)?)"
    r"(?:/(?P<path>[^\s@#?]*))?(?:\?(?P<query>[^\s@#]*))?"
)
_PORT = re.compile(r":([0-9]+)$")
_LOGIN_KEYS = {"user", "userid", "username", "password", "ssl_password"}
LARGEST_PORT = 65535


class UnreadableUrl(ValueError):
    """Not the address of a server. The message quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """What an address says. ``str`` shows scheme, hosts and ports, and stars where there is a login."""

    scheme: str
    hosts: tuple[tuple[str, int | None], ...]
    """Host and port, None where it is the scheme's own; empty for a Unix socket."""
    path: str
    """Behind the first slash, as written."""
    query: str
    """Behind the question mark, as written."""
    has_login: bool
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """The first host's name."""
        return self.hosts[0][0]

    @property
    def port(self) -> int | None:
        """The first host's port."""
        return self.hosts[0][1]

    def __str__(self) -> str:
        places = ",".join(
            (f"[{host}]" if ":" in host else host) + ("" if port is None else f":{port}") for host, port in self.hosts
        )
        return f"{self.scheme}://" + (f"{MASK}@" if self.has_login else "") + (places or f"/{self.path}")


def read_server_url(url: str, schemes: Collection[str], *, several: bool = False) -> ServerUrl:
    """Raises `UnreadableUrl`. ``several`` allows ``host,host`` as Sentinel's addresses have it."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in schemes or not rest:
        raise UnreadableUrl("expected " + " or ".join(f"{s}://…" for s in schemes))
    found = _URL.fullmatch(url)
    if found is None:
        raise UnreadableUrl(_why(rest, scheme))
    if any(key.lower() in _LOGIN_KEYS for key, _ in parse_qsl(found["query"] or "", keep_blank_values=True)):
        # redis-py would take it, and whoever masks an address looks for a login before the host.
        raise UnreadableUrl(f"behind the ? stands a login; expected {scheme}://user:password@host:port")
    hosts = tuple(_place(text) for text in found["hosts"].split(",") if text)
    if not hosts and scheme != "unix":
        raise UnreadableUrl(f"no host is named; expected {scheme}://user:password@host:port")
    if len(hosts) > 1 and not several:
        raise UnreadableUrl("several hosts; name one, such as a load balancer or a name with several addresses")
    return ServerUrl(
        scheme=scheme,
        hosts=hosts,
        path=found["path"] or "",
        query=found["query"] or "",
        has_login=found["user"] is not None,
        username=unquote(found["user"] or ""),
        password=unquote((found["password"] or ":")[1:]),
    )


def masked_urls(urls: Iterable[str], schemes: Collection[str], *, several: bool = False) -> str:
    """Addresses as people may see them; nothing of any of a list where one cannot be read or has half a login.

    That one may be the end of a password with a comma or a space, which cut it into pieces that look like addresses.
    """
    try:
        found = [read_server_url(url, schemes, several=several) for url in urls]
    except UnreadableUrl:
        return MASK
    if len(found) > 1 and any(url.has_login and not url.password for url in found):
        return MASK
    return " ".join(map(str, found))


def _why(rest: str, scheme: str) -> str:
    if "@" in rest or not re.fullmatch(rf"{_HOST}(?::[^/?]*)?(?:[/?].*)?", rest):
        where = "the login or the host has a character that means something else in an address"
        return f"{where}; expected {scheme}://user:password@host:port; {ADVICE}"
    return f"the port is not a number between 1 and 65535; behind a user name belong :password@host; {ADVICE}"


def _place(text: str) -> tuple[str, int | None]:
    host, port, _ = (*_PORT.split(text), "", "")[:3]
    if len(port) > len("65535") or (port and not 0 < int(port) <= LARGEST_PORT):
        raise UnreadableUrl(f"the port is not a number between 1 and {LARGEST_PORT}; {ADVICE}")
    return host.strip("[]"), int(port) if port else None
