"""Rate limits for people: the command line and the API."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from notifier.domain.limit import parse_limits
from notifier.domain.rule import Rule
from notifier.limits.board import LimitBoard
from notifier.settings import Settings
from notifier.storage.limits import Limits
from notifier.storage.store import Store
from notifier.wiring.stores import build_endpoints


def build_limit_board(ours: Settings, store: Store, rules: Callable[[], Iterable[Rule]]) -> LimitBoard:
    """All limits; ``rules`` are those of the newest rule files."""
    endpoints = build_endpoints(ours, store)
    return LimitBoard(Limits(store), parse_limits(ours.limits)[0], rules, endpoints.list)
