"""The addresses of servers (RabbitMQ, Redis, mail relays): one reader and one mask, for every setting and every role.

    scheme://[user[:password]@]host[:port][/path][?query]

The nodes of one RabbitMQ cluster are a list of such addresses, with a comma, a semicolon or a blank between them.

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
    "a comma %2C, a semicolon %3B, a space %20; "
    "python3 -c 'import getpass, urllib.parse as u; print(u.quote(getpass.getpass(), \"\"))' encodes one"
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
#: Only before another address: what else has one is one address with something that needs percent-encoding.
_BETWEEN = re.compile(r"[\s,;]+(?=[a-z][a-z+]*://)")
_AROUND = " \t\r\n,;"
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
        raise UnreadableUrl("several hosts behind one scheme; write the whole address of each")
    return ServerUrl(
        scheme=scheme,
        hosts=hosts,
        path=found["path"] or "",
        query=found["query"] or "",
        has_login=found["user"] is not None,
        username=unquote(found["user"] or ""),
        password=unquote((found["password"] or ":")[1:]),
    )


def read_node_urls(text: str, schemes: Collection[str]) -> tuple[ServerUrl, ...]:
    """The addresses of a cluster's nodes, at least one. Raises `UnreadableUrl`.

    They are doors to one place: with other virtual hosts, half of the service would work in another one.
    """
    nodes = tuple(read_server_url(url, schemes) for url in split_urls(text))
    if not nodes:
        raise UnreadableUrl("expected " + " or ".join(f"{s}://…" for s in schemes))
    if len({(node.scheme, unquote(node.path) or "/") for node in nodes}) > 1:
        raise UnreadableUrl("the addresses differ in scheme or virtual host; name the nodes of one cluster")
    if len({node.has_login for node in nodes}) > 1:
        # Else the end of a password could pass for a node.
        raise UnreadableUrl(f"some of the addresses have a user and password and others none; {ADVICE}")
    return nodes


def split_urls(text: str) -> list[str]:
    """The addresses of a list, as written."""
    return [url for url in _BETWEEN.split(text.strip(_AROUND)) if url]


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


def masked_nodes(text: str, schemes: Collection[str]) -> str:
    """A cluster's addresses as people may see them; nothing of any where one cannot be read."""
    try:
        read_node_urls(text, schemes)
    except UnreadableUrl:
        return MASK
    return masked_urls(split_urls(text), schemes)


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
