"""Metrics: naming, bounded labels and the page itself."""

from __future__ import annotations

import pytest

from notifier import metrics

_CLOSED = {
    "via", "reason", "cause", "channel", "priority", "outcome", "code", "relay", "by", "queue", "result", "method",
    "route", "status",
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("smtp_250", "smtp_2xx"),
        ("smtp_450_4.2.1", "smtp_4xx"),
        ("http_503", "http_5xx"),
        ("timeout", "timeout"),
        ("render_failed", "render_failed"),
        ("smtp_", "smtp_"),
    ],
)
def test_outcome_codes_become_few_label_values(code: str, expected: str) -> None:
    assert metrics.code_class(code) == expected


def test_the_page_holds_our_metrics_and_the_version() -> None:
    body, content_type = metrics.exposition()

    assert content_type.startswith("text/plain")
    assert b"notifier_build_info{version=" in body
    assert b"# TYPE notifier_events_duplicate_total counter" in body


def test_every_name_is_prefixed_and_every_label_is_from_a_closed_set() -> None:
    ours = [m for m in vars(metrics).values() if hasattr(m, "_labelnames") and hasattr(m, "_name")]

    assert len(ours) > 30
    assert all(metric._name.startswith("notifier_") for metric in ours)
    assert {label for metric in ours for label in metric._labelnames} <= _CLOSED
    assert all(metric._documentation.endswith(".") for metric in ours if metric is not metrics.BUILD)


def test_openmetrics_is_given_to_scrapers_that_ask_for_it() -> None:
    body, content_type = metrics.exposition("application/openmetrics-text; version=1.0.0")

    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
