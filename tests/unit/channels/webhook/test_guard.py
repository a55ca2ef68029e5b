"""Which addresses and URLs webhooks may reach. The lists are the specification; each network is tried at its edges."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.webhook.guard import (
    GLOBAL_UNICAST,
    REFUSED_IPV4,
    REFUSED_IPV6,
    REFUSED_PORTS,
    AddressGuard,
    read_networks,
)
from notifier.errors import ForbiddenTarget, SettingsError

GUARD = AddressGuard()

INSIDE = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255"),
    *("127.0.0.1", "127.255.255.254", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255"),
    *("192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1"),
    *("198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
    *("255.255.255.255", "168.63.129.16"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::ffff:0:127.0.0.1"),
    *("fe80::1", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254", "fdff::1", "ff02::1", "ff0e::1"),
    *("2001:db8::1", "3fff::1", "3fff:fff::1", "100::1", "100:0:0:1::1", "2002:7f00:1::", "2002:808:808::"),
    *("64:ff9b::127.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    *("2001:2::1", "2001:10::1", "2001:20::1", "5f00::1", "4000::1", "::8.8.8.8", "fe80::1%eth0", "2606:4700::1%1"),
]
OUTSIDE = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0"),
    *("192.88.98.255", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255"),
    *("168.63.129.15", "168.63.129.17", "::ffff:8.8.8.8", "2606:4700:4700::1111", "2001:4860:4860::8888"),
    *("2001:200::1", "2003::1", "2a00::1", "3ffe::1"),
]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused(address: str) -> None:
    with pytest.raises(ForbiddenTarget):
        GUARD.check_address(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_a_public_address_is_allowed(address: str) -> None:
    assert str(GUARD.check_address(address)) == address.removeprefix("::ffff:")


@pytest.mark.parametrize("address", ["1.1.1.1", "10.1.2.3", "::ffff:1.1.1.1"])
def test_what_an_operator_denies_is_refused_though_it_is_public_or_allowed(address: str) -> None:
    guard = AddressGuard(read_networks("10.0.0.0/8"), deny=read_networks("1.1.1.0/24 10.1.0.0/16"))

    with pytest.raises(ForbiddenTarget, match="NOTIFIER_WEBHOOK_DENY"):
        guard.check_address(address)
    assert guard.check_address("10.2.0.1")


@pytest.mark.parametrize("network", [*REFUSED_IPV4, *REFUSED_IPV6], ids=str)
def test_a_refused_network_is_refused_from_its_first_to_its_last_address(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> None:
    for address in (network[0], network[1] if network.num_addresses > 1 else network[0], network[-1]):
        with pytest.raises(ForbiddenTarget):
            GUARD.check_address(str(address))


@given(st.ip_addresses(v=4))
def test_every_ipv4_address_that_python_calls_private_or_special_is_refused(address: ipaddress.IPv4Address) -> None:
    # Given an address Python's registry does not call global (192.0.0.9 and .10 are, and are of no use to anybody)
    if not address.is_global or address.is_multicast or address.is_reserved:
        # Then it is refused here, too
        with pytest.raises(ForbiddenTarget):
            GUARD.check_address(str(address))


@given(st.ip_addresses(v=6))
def test_every_ipv6_address_that_is_allowed_is_global_unicast(address: ipaddress.IPv6Address) -> None:
    try:
        GUARD.check_address(str(address))
    except ForbiddenTarget:
        return
    assert address in GLOBAL_UNICAST or address.ipv4_mapped is not None
    assert not any(address in network for network in REFUSED_IPV6)


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_the_address_inside_it(address: ipaddress.IPv4Address) -> None:
    assert _verdict(f"::ffff:{address}") == _verdict(str(address))


@pytest.mark.parametrize(
    ("allow", "allowed", "refused"),
    [
        ("10.1.0.0/16", "10.1.2.3", "10.2.0.1"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
        ("fd00::/8", "fd12::1", "fc12::1"),
        ("10.1.0.0/16", "::ffff:10.1.2.3", "::ffff:10.2.2.3"),
        ("64:ff9b::/96", "64:ff9b::8.8.8.8", "64:ff9b::10.1.2.3"),
        ("64:ff9b::/96 10.1.0.0/16", "64:ff9b::10.1.2.3", "64:ff9b::127.0.0.1"),
        ("10.1.0.0/16, 10.2.0.0/16", "10.2.0.1", "10.3.0.1"),
    ],
)
def test_an_operator_can_allow_a_network_and_allows_nothing_else(allow: str, allowed: str, refused: str) -> None:
    guard = AddressGuard(read_networks(allow))

    guard.check_address(allowed)
    with pytest.raises(ForbiddenTarget):
        guard.check_address(refused)


def test_the_refusal_tells_what_kind_of_address_it_is_and_how_to_allow_it() -> None:
    with pytest.raises(ForbiddenTarget, match=r"169\.254\.169\.254 .*metadata.*NOTIFIER_WEBHOOK_ALLOW"):
        GUARD.check_address("169.254.169.254")


def test_every_mistake_in_the_allow_list_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as mistakes:
        read_networks("10.0.0.0/8 10.0.0.1/8 nonsense")

    assert len(mistakes.value.problems) == 2
    assert "NOTIFIER_WEBHOOK_ALLOW" in str(mistakes.value)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://example.com", "https://example.com/"),
        ("https://EXAMPLE.com:443/Hook?a=1&b=%20", "https://example.com/Hook?a=1&b=%20"),
        ("https://example.com:8443/hook", "https://example.com:8443/hook"),
        ("HTTPS://example.com./hook", "https://example.com./hook"),
        ("https://example.com?x=1", "https://example.com/?x=1"),
        ("https://example.com/100%/a[1]?b[]=%zz&c=%4", "https://example.com/100%25/a%5B1%5D?b%5B%5D=%25zz&c=%254"),
        ("https://bücher.example/straße?q=ü", "https://xn--bcher-kva.example/stra%C3%9Fe?q=%C3%BC"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700:4700::1111]:8443/", "https://[2606:4700:4700::1111]:8443/"),
        ("https://[2606:4700:4700:0:0:0:0:1111]/", "https://[2606:4700:4700::1111]/"),
        ("https://[::ffff:8.8.8.8]/", "https://8.8.8.8/"),
        ("https://my_host.example/a;b=c/../d", "https://my_host.example/a;b=c/../d"),
    ],
)
def test_a_good_url_is_sent_in_one_spelling(written: str, sent: str) -> None:
    assert GUARD.check_url(written).url == sent


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/", "NOTIFIER_WEBHOOK_HTTP"),
        ("ftp://example.com/", "ftp"),
        ("file:///etc/passwd", "file"),
        ("javascript:alert(1)", "javascript"),
        ("//example.com/", "begins with ''"),
        ("example.com", "begins with ''"),
        ("", "begins with ''"),
        ("https://", "no host"),
        ("https:///path", "no host"),
        ("https://:443/", "no host"),
        ("https://user@example.com/", "user name"),
        ("https://user:secret@example.com/", "user name"),
        ("https://example.com@127.0.0.1/", "user name"),
        ("https://@example.com/", "user name"),
        ("https://example.com/#@127.0.0.1/", "'#'"),
        ("https://example.com#", "'#'"),
        ("https://127.0.0.1\\@example.com/", "backslash"),
        ("https://exam ple.com/", "space"),
        ("https://example.com/\r\nX-Injected: 1", "control character"),
        ("https://example\t.com/", "control character"),
        (" https://example.com/", "space"),
        ("https://example.com/\x00", "control character"),
        ("https://example.com/\ud800", "control character"),
        ("https://exa%6dple.com/", "not a host name"),
        ("https://127.0.0.1%00.example.com/", "not a host name"),
        ("https://-bad.example/", "not a host name"),
        ("https://a..example/", "not a host name"),
        ("https://" + "a" * 64 + ".example/", "not a host name"),
        ("https://" + "a." * 130 + "example/", "not a host name"),
        ("https://xn--/", "not a host name"),
        ("https://\u2488com/", "not a host name"),
        ("https://example.com:0/", "port 0"),
        ("https://example.com:22/", "port 22"),
        ("https://example.com:25/", "port 25"),
        ("https://example.com:6667/", "port 6667"),
        ("https://example.com:65536/", "not a URL"),
        ("https://example.com:http/", "not a URL"),
        ("https://example.com:-1/", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://[::1]x/", "not a URL"),
        ("https://[example.com]/", "not a"),
        ("https://example.com/" + "a" * 2100, "characters"),
        ("https://localhost/", "this machine"),
        ("https://LOCALHOST./", "this machine"),
        ("https://tenant.localhost/", "this machine"),
    ],
)
def test_a_bad_url_is_refused_with_the_reason(url: str, words: str) -> None:
    with pytest.raises(ForbiddenTarget, match=words):
        GUARD.check_url(url)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0x7F.0x0.0x0.0x1"),
        *("017700000001", "0177.0.0.1", "0177.1", "00000177.0.0.1", "127.0.0.01", "0", "0x0", "0x"),
        *("169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "10.1", "192.168.1"),
        *("\u2460\u2461\u2466.0.0.1", "127\u30020.0.1", "\uff11\uff12\uff17.0.0.1", "127.0.0.\u00b9"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]", "[::ffff:0x7f.1]", "[fe80::1%25eth0]"),
        *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]", "[fd00::1]", "[v1.fe80::a]", "[127.0.0.1]"),
        *("256.256.256.256", "1.2.3.4.5", "999", "8.8.8.8.", "134744072", "0x08080808", "example.123", "1.2.3.0x4"),
    ],
)
def test_a_literal_address_inside_or_in_an_unusual_spelling_is_refused(host: str) -> None:
    with pytest.raises(ForbiddenTarget):
        GUARD.check_url(f"https://{host}/")


@given(st.integers(min_value=0, max_value=2**32 - 1), st.sampled_from(["{}", "{:#x}", "0{:o}", "{:#X}"]))
def test_no_number_passes_as_a_host_name(number: int, spelling: str) -> None:
    # Given a spelling that the C library would read as an address
    host = spelling.format(number)
    socket.inet_aton(host)

    with pytest.raises(ForbiddenTarget):
        GUARD.check_url(f"https://{host}/")


@given(st.text())
def test_any_text_is_refused_or_gives_a_url_that_stays_as_it_is(text: str) -> None:
    for url in (text, f"https://{text}", f"https://example.com/{text}"):
        try:
            target = GUARD.check_url(url)
        except ForbiddenTarget:
            continue
        assert target.url.isascii()
        assert target.url.startswith(target.origin + "/")
        assert GUARD.check_url(target.url) == target


@given(st.integers(min_value=-10, max_value=70000))
def test_a_port_is_80_443_or_an_unprivileged_one_of_no_other_protocol(port: int) -> None:
    allowed = port in (80, 443) or (1024 <= port <= 65535 and port not in REFUSED_PORTS)
    try:
        GUARD.check_url(f"https://example.com:{port}/")
    except ForbiddenTarget:
        assert not allowed
    else:
        assert allowed


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/", "http://localhost:8080/", "http://[::1]:8080/"])
def test_what_an_operator_allows_may_be_registered(url: str) -> None:
    guard = AddressGuard(read_networks("127.0.0.1 ::1"), http=True)

    assert guard.check_url(url).url == url


def _verdict(address: str) -> bool:
    try:
        GUARD.check_address(address)
    except ForbiddenTarget:
        return False
    return True
