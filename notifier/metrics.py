"""Every Prometheus metric of every role in one place: the list that dashboards and alerts are tested against.

Labels come from small closed sets (channels, causes, statuses); ids, addresses, tenants and event types never become
labels, because one label value costs memory for ever. Names follow prometheus.io/docs/practices/naming.
"""

from __future__ import annotations

import sys
import threading
from bisect import bisect_left
from collections import Counter as Counted
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

import prometheus_client.metrics
import prometheus_client.registry
import prometheus_client.values
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder

from notifier import __version__, zones


def _native_lock_type() -> Any:
    """The lock of the operating system's threads, also where gevent has replaced `threading.Lock`."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey.get_original("_thread", "allocate_lock") if monkey is not None else threading.Lock


# The engine's native thread counts too. With gevent's locks it stops for ever the first time it meets a greenlet there
# (measured: within a second under load); a native lock is held for microseconds, and no greenlet switches inside.
for _module in (prometheus_client.metrics, prometheus_client.registry, prometheus_client.values):
    _module.Lock = _native_lock_type()  # type: ignore[attr-defined]

_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)

#: Our own registry: whatever a library registers in the default one stays out of our page.
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

#: Seconds; from a pipelined SMTP transaction (0.2 ms) to the deadline of one send (60 s).
_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
#: Seconds; from an idle system (10 ms) to the last retry (days).
_LONG = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 43200, 259200)
_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"notifier_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"notifier_{name}", text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"notifier_{name}", text, labels, buckets=buckets, registry=REGISTRY)


# intake
EVENTS_RECEIVED = _counter("events_received_total", "Events taken in; via is amqp or http.", "via")
EVENTS_DUPLICATE = _counter("events_duplicate_total", "Events whose deliveries were all known already.")
EVENTS_UNMATCHED = _counter("events_unmatched_total", "Events no rule wanted; `failures unmatched` names their types.")
EVENTS_CONFLICTING = _counter("events_conflicting_total", "Events under the id of another one with other content.")
EVENTS_PARKED = _counter("events_parked_total", "Events parked in failed-intake.", "cause")
INTAKE_PAUSED = _gauge("intake_paused", "1 while intake waits for Redis or RabbitMQ to return.")
INTAKE_IN_FLIGHT = _gauge("intake_in_flight", "Events taken from the broker and not yet acknowledged.")
INTAKE_SECONDS = _histogram("intake_seconds", "From reading an event to acknowledging it.", _SHORT)
EVENTS_ASIDE = _counter("events_set_aside_total", "Events put aside because their work queue is full.", "queue")
LOOP_LAG = _histogram("loop_lag_seconds", "How late a consumer's event loop woke a timer, once a second.", _SHORT)
QUEUE_DEPTH = _gauge("queue_depth", "Tasks that wait in a work queue, as last looked at by this consumer.", "queue")
QUEUE_FULL = _gauge("queue_full", "1 while events for this work queue are put aside.", "queue")
DELIVERIES_PLANNED = _counter("deliveries_planned_total", "Deliveries published to work queues.", "channel", "priority")
DELIVERIES_KNOWN = _counter("deliveries_known_total", "Planned deliveries that were skipped as known already.")
TENANTS_CROWDED = _counter(
    "tenants_crowded_total", "Times a tenant had so much waiting that it went to a shard.", "channel", "priority"
)
BATCH_DELIVERIES = _histogram("batch_deliveries", "Deliveries in one task.", _COUNTS, "channel")

# delivery
DELIVERIES = _counter("deliveries_total", "Deliveries by the status a try or a gate gave them.", "channel", "outcome")
ATTEMPTS = _counter("attempts_total", "Tries by the class of the answer (`code_class`).", "channel", "code")
ATTEMPT_SECONDS = _histogram("attempt_seconds", "One try, from send to answer.", _SHORT, "channel", "outcome")
QUEUE_SECONDS = _histogram("queue_seconds", "From planning to the first claim.", _LONG, "channel", "priority")
LATENCY_SECONDS = _histogram("latency_seconds", "From planning to sent, with retries.", _LONG, "channel", "priority")
IN_FLIGHT = _gauge("in_flight", "Deliveries this worker is sending.", "channel")
LANE_WAITING = _gauge("lane_waiting", "Batches this worker has and does not work on yet, by their queue.", "queue")
TASKS_TOGETHER = _histogram("tasks_together", "Small tasks of a queue that ran as one batch.", _COUNTS)
BATCHES_REJECTED = _counter("batches_rejected_total", "Batches a task gave back or dead-lettered.", "reason")
STRAGGLERS = _counter("stragglers_total", "Webhooks left behind by their batch because the endpoint was slow.")
ENDPOINT_BREAKERS = _counter("endpoint_breakers_total", "Breakers of endpoints that opened or closed.", "change")
RATE_LIMITED = _counter(
    "rate_limited_total", "Deliveries that waited for a rate limit; how is slept or delayed (in the broker).", "how"
)
HELD_RESUMED = _counter("held_resumed_total", "Held deliveries when their endpoint was resumed.", "became")
HELD_BEYOND = _counter(
    "held_beyond_total",
    "Deliveries to endpoints that are not sent to, of which no copy was kept: too many were.",
    "queue",
)
RENDER_FAILURES = _counter("render_failures_total", "Deliveries whose template failed.", "channel")
RELAY_UP = _gauge("relay_up", "1 while a mail relay takes connections and our login, as this worker sees it.", "relay")
PROVIDER_UP = _gauge(
    "provider_up", "1 while the provider of a channel file takes requests, as this worker sees it.", "channel"
)
SENDERS_PAUSED = _gauge("senders_paused", "Senders that a mail relay refuses, as this worker sees it.", "relay")
RATE_CUTS = _counter("rate_cuts_total", "Complaints that we are too fast, by what was slowed down for it.", "kind")
DIGEST_ITEMS = _counter("digest_items_total", "Items collected in digest windows.")
DIGEST_WINDOWS_CLOSED = _counter("digest_windows_closed_total", "Digest windows closed; by is time or size.", "by")
DIGEST_SWEPT = _gauge("digest_swept_timestamp_seconds", "When the last sweep for due digest windows ended; 0 is never.")

# failures
PARKED = _counter("parked_total", "Deliveries and events parked in failure queues.", "channel", "cause")
PARKED_NOW = _gauge("failure_queue_size", "What lies in each failure queue, as last looked at.", "queue")
REPLAYED = _counter("replayed_total", "Parked deliveries sent back to their queue.", "queue")
DISCARDED = _counter("discarded_total", "Parked deliveries dropped by an operator.", "queue")

# history
HISTORY_MOVED = _counter("history_moved_total", "Rows written to the history; kind is delivery or event.", "kind")
HISTORY_MISSED = _counter(
    "history_missed_total", "Of what ended, records that had gone from Redis before they were moved.", "kind"
)
HISTORY_FAILURES = _counter(
    "history_failures_total", "Batches not moved; reason is what was away, postgresql or redis.", "reason"
)
HISTORY_WAITING = _gauge("history_waiting", "Ended deliveries and events that wait in Redis to be moved.")
HISTORY_LAG = _gauge("history_lag_seconds", "How long the oldest of these has waited.")
HISTORY_GIVEN_UP = _gauge(
    "history_given_up", "How many of these were given up, ever: too many waited, or longer than records are kept."
)

# dependencies and content
BROKER_RECONNECTS = _counter("broker_reconnects_total", "Connections to RabbitMQ that had to be made again.")
BROKER_BLOCKED = _gauge("broker_blocked", "1 while RabbitMQ blocks this process's publishers (a memory or disk alarm).")
REDIS_RECONNECTS = _counter("redis_reconnects_total", "Commands that found Redis away.")
CONTENT_RELOADS = _counter("content_reloads_total", "Reloads of rules and templates; result is ok or broken.", "result")
CONTENT_BROKEN = _gauge("content_broken", "1 while the files on disk are wrong and the last good ones are in use.")

# http
HTTP_REQUESTS = _counter("http_requests_total", "API requests by route template.", "method", "route", "status")
HTTP_REFUSED = _counter(
    "http_connections_refused_total", "Connections to the API that were ended unanswered, and why.", "reason"
)
HTTP_SECONDS = _histogram("http_request_seconds", "API requests by route template.", _SHORT, "method", "route")

BUILD = Info("notifier_build", "The version that runs, and the release of its time zones.", registry=REGISTRY)
BUILD.info({"version": __version__, "zones": zones.VERSION})


@lru_cache(maxsize=1024)
def child(metric: _Metric, *labels: str) -> _Metric:
    """``metric.labels(…)`` remembered, for what is counted once a delivery: looking it up costs more than counting."""
    found: _Metric = metric.labels(*labels)
    return found


def observe_all(histogram: Histogram, values: Sequence[float]) -> None:
    """What `observe` does for each, a lock for a bucket instead of two for a value: 0.2 µs each instead of 1 to 1.5."""
    bounds, buckets = histogram._upper_bounds, histogram._buckets  # noqa: SLF001 - there is no other way in
    histogram._sum.inc(sum(values))  # noqa: SLF001
    for place, number in Counted(bisect_left(bounds, value) for value in values).items():
        buckets[place].inc(number)


@lru_cache(maxsize=1024)
def code_class(code: str) -> str:
    """An outcome code as a label of few values: ``smtp_450_4.2.1`` → ``smtp_4xx``, ``http_503`` → ``http_5xx``."""
    kind, _, rest = code.partition("_")
    return f"{kind}_{rest[0]}xx" if kind in ("smtp", "http") and rest[:1].isdigit() else code


def exposition(accept: str = "") -> tuple[bytes, str]:
    """The page Prometheus scrapes and its content type, in the format the scraper prefers."""
    encode, content_type = choose_encoder(accept)
    return encode(REGISTRY), content_type
