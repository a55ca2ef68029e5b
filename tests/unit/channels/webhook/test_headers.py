"""Extra request headers: only what is on the list, and nothing that could begin a header of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.webhook.headers import MOST_HEADERS, VALUE_LIMIT, check_headers, is_sendable, read_names
from notifier.errors import InvalidDestination, SettingsError


@pytest.mark.parametrize(
    ("name", "value"),
    [("Authorization", "Bearer abc"), ("X-Tenant", "acme"), ("Api-Key", "k"), ("Accept", "*/*"), ("x-a_b", "1")],
)
def test_an_allowed_header_passes_with_its_name_in_lower_case(name: str, value: str) -> None:
    assert check_headers([(name, value)]) == ((name.lower(), value),)


REFUSED_NAMES = [
    *("Host", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "TE", "Trailer", "Expect"),
    *("Connection", "Keep-Alive", "Upgrade", "Proxy-Authorization", "Proxy-Connection", "Via", "Forwarded"),
    *("Cookie", "User-Agent", "Accept-Encoding", "Range", "Traceparent", "Metadata", "Metadata-Flavor"),
    *("webhook-id", "Webhook-Timestamp", "webhook-signature", "ce-id", "ce-source", "cloudEvents:id"),
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "X-HTTP-Method-Override", "X-Original-URL"),
    *("X-aws-ec2-metadata-token", "X-Webhook-Id", "", "x-a b", "x-a:", "x-a\r\nhost", "x-ä", "X-" + "a" * 70),
]


@pytest.mark.parametrize("name", REFUSED_NAMES)
def test_a_header_that_is_ours_or_steers_the_way_is_refused(name: str) -> None:
    with pytest.raises(InvalidDestination, match="cannot be added"):
        check_headers([(name, "value")])


def test_an_operator_may_allow_a_header_that_receivers_authenticate_by() -> None:
    also = read_names("Ocp-Apim-Subscription-Key, private-token")

    assert check_headers([("PRIVATE-TOKEN", "t")], also) == (("private-token", "t"),)
    with pytest.raises(InvalidDestination, match="NOTIFIER_WEBHOOK_HEADERS"):
        check_headers([("deploy-token", "t")], also)


@pytest.mark.parametrize("name", [name for name in REFUSED_NAMES if name and " " not in name])
def test_no_operator_can_give_away_a_header_that_is_ours_or_steers_the_way(name: str) -> None:
    with pytest.raises(SettingsError, match="NOTIFIER_WEBHOOK_HEADERS"):
        read_names(f"private-token {name}")


@pytest.mark.parametrize(
    "value", ["", " ", " a", "a ", "a\r\nX-Injected: 1", "a\nb", "a\rb", "a\x00", "a\tb", "ä", "\x7f", "a" * 4097]
)
def test_a_value_that_cannot_be_sent_as_it_is_is_refused_without_being_quoted(value: str) -> None:
    with pytest.raises(InvalidDestination, match="x-key") as refusal:
        check_headers([("x-key", value)])

    assert not value.strip("a \x00\t") or value not in str(refusal.value)


def test_a_header_given_twice_is_refused() -> None:
    with pytest.raises(InvalidDestination, match="twice"):
        check_headers([("x-a", "1"), ("X-A", "2")])


def test_the_number_of_headers_is_limited() -> None:
    with pytest.raises(InvalidDestination, match=str(MOST_HEADERS)):
        check_headers([(f"x-{number}", "1") for number in range(MOST_HEADERS + 1)])


@given(st.text())
def test_a_sendable_value_is_one_line_of_visible_ascii(value: str) -> None:
    if is_sendable(value):
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip()
        assert 0 < len(value) <= VALUE_LIMIT
