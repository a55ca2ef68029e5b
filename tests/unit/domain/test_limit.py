"""Rates and scopes as people write them; every mistake is named with how to write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.limit import Rate, Scope, ScopeKind, parse_limits, parse_rate


@pytest.mark.parametrize(
    ("text", "per_second", "burst"),
    [
        ("100/s", 100, 10),
        ("5/10s", 0.5, 1),
        ("600/m burst 20", 10, 20),
        (" 20 / s  burst 40 ", 20, 40),
        ("1/d", 1 / 86400, 1),
        ("1.5/s", 1.5, 1),
        ("90/2h", 0.0125, 1),
    ],
)
def test_a_rate_is_a_number_per_time_with_a_burst(text: str, per_second: float, burst: int) -> None:
    rate = parse_rate(text)

    assert (rate.per_second, rate.burst) == (pytest.approx(per_second), burst)


@pytest.mark.parametrize(
    "text",
    ["", "100", "100/", "/s", "100/x", "-1/s", "0/s", "1/2d", "1e3/s", "200000/s", "5/0s", "5/s burst 0", "5/sec"],
)
def test_what_is_no_rate_is_refused_with_what_would_be_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"rate|burst"):
        parse_rate(text)


@given(st.text(max_size=40))
def test_any_text_is_a_rate_or_a_value_error(text: str) -> None:
    try:
        rate = parse_rate(text)
    except ValueError:
        return
    assert rate.per_second > 0
    # And what it was written as is the same rate again
    assert parse_rate(rate.written) == rate


@given(st.text(max_size=60))
def test_any_text_is_a_list_of_limits_or_of_mistakes(text: str) -> None:
    limits, mistakes = parse_limits(text)

    entries = [entry for entry in text.replace(";", ",").replace("\n", ",").split(",") if entry.strip()]
    assert len(limits) + len(mistakes) >= (1 if entries else 0)
    assert len(mistakes) <= len(entries)


def test_limits_are_separated_by_commas_semicolons_and_lines() -> None:
    limits, mistakes = parse_limits("relay=100/s, domain:GMail.com=20/s burst 40;\ntenant=50/s\n rule:a/b=unlimited")

    assert mistakes == []
    assert limits == {
        Scope(ScopeKind.RELAY): Rate(100, 10, ""),
        Scope(ScopeKind.DOMAIN, "gmail.com"): Rate(20, 40, ""),
        Scope(ScopeKind.TENANT): Rate(50, 5, ""),
        Scope(ScopeKind.RULE, "a/b"): None,
    }


def test_every_mistake_is_named() -> None:
    _, mistakes = parse_limits(
        "relay=1, planet=2/s, tenant:=3/s, domain:x 4/s, relay=5/s, relay=6/s, recipient:kim@example.org=1/s, "
        "rule:a b=1/s"
    )

    assert len(mistakes) == 7
    for word in ("'1' is not a rate", "planet", "names no tenant", "no =", "twice", "rcp_", "no spaces"):
        assert any(word in mistake for mistake in mistakes), word


def test_marks_of_kinds_are_distinct_letters() -> None:
    assert len({kind.mark for kind in ScopeKind}) == len(ScopeKind)
    assert all(len(kind.mark) == 1 for kind in ScopeKind)


@pytest.mark.parametrize(
    "scope",
    [
        Scope(ScopeKind.RELAY),
        Scope(ScopeKind.RELAY, "mx:25"),
        Scope(ScopeKind.RULE, "a.b/c"),
        Scope(ScopeKind.TENANT, "ä"),
    ],
)
def test_a_scope_is_read_back_from_how_it_is_written(scope: Scope) -> None:
    assert Scope.parse(str(scope)) == scope
