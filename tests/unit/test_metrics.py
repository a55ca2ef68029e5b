"""Metrics: naming, bounded labels and the page itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Histogram

from notifier import metrics
from tests.servers.patience import PATIENCE_S

_CLOSED = {
    "via", "reason", "cause", "channel", "priority", "outcome", "code", "relay", "by", "queue", "result", "method",
    "route", "status", "how", "kind", "change", "became",
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


@given(st.lists(st.floats(0, 300000)))
def test_values_observed_together_read_as_if_one_by_one(values: list[float]) -> None:
    # Given two histograms with the same buckets
    together, alone = (Histogram(name, "Seconds.", buckets=(0.5, 1, 60), registry=None) for name in ("a", "b"))
    # When one is told all values at once, the other each by itself
    metrics.observe_all(together, values)
    for value in values:
        alone.observe(value)
    # Then both tell the same
    said = [
        [(s.name[1:], s.labels, s.value) for s in family.samples if not s.name.endswith("_created")]
        for family in (*together.collect(), *alone.collect())
    ]
    assert said[0] == [(name, labels, pytest.approx(value)) for name, labels, value in said[1]]


def test_openmetrics_is_given_to_scrapers_that_ask_for_it() -> None:
    body, content_type = metrics.exposition("application/openmetrics-text; version=1.0.0")

    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


_HAMMER = """
import sys
from gevent import monkey
monkey.patch_all()
sys.setswitchinterval(1e-5)
import gevent
from notifier import metrics

ended = []

def engine():
    for _ in range(30000):
        metrics.DELIVERIES.labels("email", "sent").inc()
        metrics.ATTEMPT_SECONDS.labels("email", "sent").observe(0.1)
    ended.append(True)

monkey.get_original("_thread", "start_new_thread")(engine, ())
while not ended:
    for _ in range(100):
        metrics.DELIVERIES.labels("email", "sent").inc()
    metrics.exposition()
    gevent.sleep(0)
print("ended")
"""


def test_counting_in_a_native_thread_beside_greenlets_never_stops_it() -> None:
    # With gevent's locks the native thread stops for ever within a second; the test's time limit is the assertion.
    done = subprocess.run(
        [sys.executable, "-c", _HAMMER], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )

    assert done.stdout.strip() == "ended", done.stderr
