"""Which of several limits counts: the more exact one, and of two equally exact ones the operator's."""

import pytest

from notifier.domain.limit import Rate, Scope, ScopeKind, parse_limits, parse_rate
from notifier.limits.table import LEARNED, LimitTable

GMAIL = Scope(ScopeKind.DOMAIN, "gmail.com")


def table(configured: str = "", live: str = "", learned: str = "") -> LimitTable:
    read = [parse_limits(text) for text in (configured, live, learned)]
    assert not any(mistakes for _, mistakes in read)
    rates = {scope: rate for scope, rate in read[2][0].items() if rate}
    return LimitTable(read[0][0], read[1][0], rates)


@pytest.mark.parametrize(
    ("limits", "own", "rate", "origin"),
    [
        (table(), "", "", ""),
        (table("domain=5/s"), "", "5/s", "NOTIFIER_LIMITS for each domain"),
        (table("domain=5/s", live="domain=6/s"), "", "6/s", "set live for each domain"),
        (table("domain=5/s, domain:gmail.com=7/s", live="domain=6/s"), "", "7/s", "NOTIFIER_LIMITS"),
        (table("domain:gmail.com=7/s", live="domain=6/s"), "8/s", "8/s", "endpoint record"),
        (table("domain:gmail.com=7/s", live="domain:gmail.com=9/s"), "8/s", "9/s", "set live"),
        (table("domain=5/s", live="domain:gmail.com=unlimited"), "8/s", "", "set live"),
        (table("domain=unlimited", learned="domain:gmail.com=3/s"), "", "", "NOTIFIER_LIMITS for each domain"),
        (table("relay=5/s", learned="domain:gmail.com=3/s"), "", "3/s", LEARNED),
    ],
)
def test_the_more_exact_limit_counts(limits: LimitTable, own: str, rate: str, origin: str) -> None:
    found = limits.find(GMAIL.kind, GMAIL.name, parse_rate(own) if own else None)

    assert found == (parse_rate(rate) if rate else None, origin)


def test_a_rules_own_limit_says_that_it_is_from_its_file() -> None:
    assert table().find(ScopeKind.RULE, "a/b", Rate(1, 1, "1/s")) == (Rate(1, 1, "1/s"), "rules.yaml")


def test_kinds_that_nobody_limits_are_not_looked_at() -> None:
    assert table("relay=1/s", live="tenant:acme=unlimited", learned="domain:gmail.com=3/s").kinds == {
        *(ScopeKind.RELAY, ScopeKind.TENANT, ScopeKind.DOMAIN)
    }
    assert not table().kinds
