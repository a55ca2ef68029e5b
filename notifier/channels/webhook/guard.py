"""Which URLs and addresses webhooks may reach: pure rules, no look-ups.

A tenant chooses the URL, so without this anyone who may register an endpoint could make us post into our own network or
to a cloud's metadata service. `check_url` runs at registration and again before each try; `check_address` runs on every
address a name resolves to, because a harmless name may resolve to 169.254.169.254 a minute later (`resolver`).
"""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import idna

from notifier.errors import ForbiddenTarget, Problem, SettingsError
from notifier.settings import split_list

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: IPv4 is refused by list: IANA's special-purpose registry, plus what looks public and is not a host.
REFUSED_IPV4 = {
    ipaddress.IPv4Network(network): reason
    for network, reason in {
        "0.0.0.0/8": "this network",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "carrier-grade NAT",
        "127.0.0.0/8": "loopback",
        "169.254.0.0/16": "link-local, where clouds keep their metadata",
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "IETF protocol assignments",
        "192.0.2.0/24": "documentation",
        "192.88.99.0/24": "6to4 relays",
        "192.168.0.0/16": "private",
        "198.18.0.0/15": "benchmarking",
        "198.51.100.0/24": "documentation",
        "203.0.113.0/24": "documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved or broadcast",
    }.items()
}
#: Public addresses that clouds use inside: Azure's wire server and Alibaba's metadata (inside 100.64/10) answer there.
_CLOUD_INSIDES = {ipaddress.IPv4Network("168.63.129.16/32"): "a cloud's internal service"}
REFUSED_IPV4.update(_CLOUD_INSIDES)

#: IPv6 is allowed by list: only global unicast, less these parts of it. ::1, fe80::, fc00::, ff00::, 64:ff9b::, 100::,
#: 5f00:: and whatever IANA assigns next lie outside and need no entry.
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
REFUSED_IPV6 = {
    ipaddress.IPv6Network(network): reason
    for network, reason in {
        "2001::/23": "IETF protocol assignments, Teredo among them",
        "2001:db8::/32": "documentation",
        "2002::/16": "6to4, which carries an IPv4 address",
        "3fff::/20": "documentation",
    }.items()
}
#: NAT64 carries an IPv4 address in its last 32 bits; an operator who allows the prefix has not allowed every inside.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

#: Ports above 1023 where a POST could be taken for another protocol (Fetch standard, "bad ports"). Below 1024 only 80
#: and 443 are allowed.
REFUSED_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080}
)
#: Characters of a URL: what receivers' servers and proxies take of a request line without being asked to take more.
URL_LIMIT = 2048

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
#: Controls, space, surrogates, and the backslash that browsers read as a slash: parsers disagree about all of them.
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff\\]")
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BRACKETED = re.compile(r"\[[^\[\]]*\](:[0-9]*)?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL, in the one spelling that is sent."""

    url: str
    """ASCII, percent-encoded, host in lower case, port named only when it is not the scheme's."""
    origin: str
    """Scheme, host and port: what a connection is kept for."""
    host: str


class AddressGuard:
    """Says no to targets inside, unless an operator allowed their network."""

    def __init__(self, allow: Iterable[Network] = (), *, deny: Iterable[Network] = (), http: bool = False) -> None:
        """``deny`` wins over ``allow`` and over what is public."""
        self._allow = tuple(allow)
        self._deny = tuple(deny)
        self._http = http
        # 20 µs a URL, and the same few thousand come again and again; only good ones are remembered.
        self._targets = functools.lru_cache(maxsize=4096)(self._read_url)

    def check_address(self, written: str) -> Address:
        """The address, when webhooks may reach it. Raises `ForbiddenTarget` saying what kind of address it is."""
        try:
            address = ipaddress.ip_address(written)
        except ValueError as error:
            raise ForbiddenTarget(f"{written!r} is not an address: {error}") from error
        if isinstance(address, ipaddress.IPv6Address):
            if address.scope_id is not None:
                raise ForbiddenTarget(f"{written} names a zone of this machine; webhooks go to public addresses")
            if address.ipv4_mapped is not None:
                return self.check_address(str(address.ipv4_mapped))
        if any(address in network for network in self._deny):
            raise ForbiddenTarget(f"{address} lies in a network that an operator has denied (NOTIFIER_WEBHOOK_DENY)")
        if not self._is_allowed(address):
            reason = _refusal(address)
            if reason is not None:
                raise ForbiddenTarget(
                    f"{address} is not public ({reason}); an operator can allow its network with NOTIFIER_WEBHOOK_ALLOW"
                )
        return address

    def check_url(self, url: str) -> Target:
        """The target of a URL as tenants write it. Raises `ForbiddenTarget` saying what is wrong with it.

        A name is not looked up here; what it resolves to is checked at every connection.
        """
        return self._targets(url)

    def _read_url(self, url: str) -> Target:
        if len(url) > URL_LIMIT:
            raise ForbiddenTarget(f"the URL has {len(url):,} characters; {URL_LIMIT:,} are allowed")
        if _AMBIGUOUS.search(url):
            raise ForbiddenTarget("the URL has a space, a control character or a backslash; percent-encode them")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ForbiddenTarget(f"not a URL: {error}") from error
        self._check_parts(parts.scheme, parts.netloc, "#" in url)
        default = 443 if parts.scheme == "https" else 80
        host = self._check_host(parts.netloc, parts.hostname or "")
        number = _checked_port(default if port is None else port)
        origin = f"{parts.scheme}://{host}" + ("" if number == default else f":{number}")
        path = _encoded(parts.path or "/", "/%:@!$&'()*+,;=~")
        query = _encoded(parts.query, "/%:@!$&'()*+,;=~?")
        return Target(f"{origin}{path}" + (f"?{query}" if query else ""), origin, host)

    def _check_parts(self, scheme: str, netloc: str, has_fragment: bool) -> None:
        if scheme == "http" and not self._http:
            raise ForbiddenTarget(
                "http:// would show the event to everyone on the way; use https:// (or set NOTIFIER_WEBHOOK_HTTP=true)"
            )
        if scheme not in ("http", "https"):
            raise ForbiddenTarget(f"the URL begins with {scheme[:20]!r}; webhooks go to https:// URLs")
        if "@" in netloc:
            raise ForbiddenTarget("the URL has a user name or password; give credentials as an Authorization header")
        if has_fragment:
            raise ForbiddenTarget("the URL has a '#' part, which is never sent; leave it out")

    def _check_host(self, netloc: str, written: str) -> str:
        if netloc.startswith("["):
            if not _BRACKETED.fullmatch(netloc):
                raise ForbiddenTarget(f"not a URL: something stands beside the brackets of {netloc[:80]!r}")
            address = self.check_address(written)
            return f"[{address}]" if isinstance(address, ipaddress.IPv6Address) else str(address)
        host = _ascii_host(written)
        last = host.removesuffix(".").rpartition(".")[2]
        if _NUMBER.fullmatch(last):
            return self._check_number(host)
        if last == "localhost" and not (self._allows_text("127.0.0.1") or self._allows_text("::1")):
            raise ForbiddenTarget(f"{host!r} is this machine; webhooks go to public addresses")
        return host

    def _check_number(self, host: str) -> str:
        try:
            return str(self.check_address(str(ipaddress.IPv4Address(host))))
        except ValueError:
            raise ForbiddenTarget(f"{host!r} is {_meaning(host)}; write four decimal numbers or a name") from None

    def _allows_text(self, address: str) -> bool:
        return self._is_allowed(ipaddress.ip_address(address))

    def _is_allowed(self, address: Address) -> bool:
        if not any(address in network for network in self._allow):
            return False
        if address in NAT64:
            inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
            return self._is_allowed(inside) or _refusal(inside) is None
        return True


def _encoded(text: str, safe: str) -> str:
    """What may not stand in a part of a URL as it is (RFC 3986 §3.3, §3.4), and a percent sign that encodes nothing."""
    return quote(_LONE_PERCENT.sub("%25", text), safe=safe)


def read_networks(text: str, variable: str = "NOTIFIER_WEBHOOK_ALLOW") -> tuple[Network, ...]:
    """Networks or single addresses of a setting. Raises `SettingsError` naming every mistake."""
    networks: list[Network] = []
    problems: list[Problem] = []
    for entry in split_list(text):
        try:
            networks.append(ipaddress.ip_network(entry))
        except ValueError as error:
            problems.append(Problem(variable, str(error), "write networks such as 10.1.0.0/16"))
    if problems:
        raise SettingsError(problems)
    return tuple(networks)


def _refusal(address: Address) -> str | None:
    if isinstance(address, ipaddress.IPv4Address):
        return next((reason for network, reason in REFUSED_IPV4.items() if address in network), None)
    if address not in GLOBAL_UNICAST:
        return "not global unicast"
    return next((reason for network, reason in REFUSED_IPV6.items() if address in network), None)


def _ascii_host(written: str) -> str:
    """The host as it is looked up: lower case, international names in their ``xn--`` form.

    Done before anything is decided, because mapping turns ``①②⑦.0.0.1`` into ``127.0.0.1``.
    """
    if not written:
        raise ForbiddenTarget("the URL names no host")
    host = written.lower()
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True, transitional=False).decode("ascii").lower()
        except (idna.IDNAError, UnicodeError) as error:
            raise ForbiddenTarget(f"{written[:80]!r} is not a host name: {error}") from error
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ForbiddenTarget(f"{written[:80]!r} is not a host name: labels are letters, digits and inner hyphens")
    return host


def _meaning(host: str) -> str:
    """What an old numeric spelling stands for: octal, hexadecimal and short forms, read by some and not by others."""
    try:
        return f"another spelling of {ipaddress.IPv4Address(socket.inet_aton(host.removesuffix('.')))}"
    except OSError:
        return "neither an IPv4 address nor a name"


def _checked_port(port: int) -> int:
    if port in (80, 443) or (port >= 1024 and port not in REFUSED_PORTS):
        return port
    raise ForbiddenTarget(f"port {port} belongs to another protocol; use 443, 80 or one from 1024 on")
