"""`Subscriptions`: which of a tenant's endpoints want an event type, answered once for each type.

A tenant may have tens of thousands of endpoints, and planning asks for each event and rule.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

#: What `fnmatch` reads as more than itself.
_WILD = re.compile(r"[*?[]")
#: Endpoints in all answers that are kept, 8 bytes each: 2 MiB a tenant at the most.
KEPT = 250_000


class Subscriptions:
    """What the endpoints of one tenant subscribed to, at one moment."""

    __slots__ = ("_answers", "_begin", "_kept", "_other", "_same")

    def __init__(self, patterns: Mapping[str, Iterable[str]]) -> None:
        """``patterns``: endpoint → its `Endpoint.event_types`."""
        self._same, self._begin, self._other = _Wanted(list), _Wanted(list), _Wanted(list)
        self._answers: dict[str, tuple[str, ...]] = {}
        self._kept = 0
        for endpoint, wanted in patterns.items():
            for pattern in wanted:
                self._file(pattern, endpoint)

    def of(self, event_type: str) -> tuple[str, ...]:
        """Endpoints that subscribed to it, by their ids; the same object each time it is asked for."""
        found = self._answers.get(event_type)
        if found is None:
            found = tuple(sorted({one for endpoints in self._matching(event_type) for one in endpoints}))
            if self._kept > KEPT:
                self._answers, self._kept = {}, 0
            self._answers[event_type] = found
            self._kept += len(found) + 1
        return found

    def _file(self, pattern: str, endpoint: str) -> None:
        """By what has to be done to match it: most are a type, or the beginning of one."""
        if not _WILD.search(pattern):
            self._same[pattern].append(endpoint)
        elif pattern.endswith("*") and not _WILD.search(pattern[:-1]):
            self._begin[pattern[:-1]].append(endpoint)
        else:
            self._other[pattern].append(endpoint)

    def _matching(self, event_type: str) -> Iterator[list[str]]:
        yield self._same.get(event_type, [])
        for end in range(len(event_type) + 1):
            yield self._begin.get(event_type[:end], [])
        for pattern, endpoints in self._other.items():
            if fnmatchcase(event_type, pattern):
                yield endpoints


_Wanted = defaultdict[str, list[str]]
