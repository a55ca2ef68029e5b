"""Audit lines: who changed what. One line of the log for each change, the same by HTTP and by the command line.

A change that takes steps leaves a line before them as well: whoever is killed between them has been told of.
Every line has ``by``. Lines carry ids and keys, never addresses, as all of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from notifier.domain.endpoint import Endpoint
from notifier.domain.ids import recipient_key
from notifier.logs import get, wide

#: The logger, so that lines can be picked out and sent elsewhere by their name alone.
LOGGER = "audit"

_log = get(LOGGER)


def note(what: str, /, *, by: str, **about: Any) -> None:
    """One line: ``note("limit.set", by="admin-1", scope="relay", rate="100/s")``."""
    wide(_log, what, **about, by=by)


@contextmanager
def steps(note: Callable[..., None], what: str, /, **about: Any) -> Iterator[None]:
    """Around what is done in steps and may be cut off: a line before the first, and one with the error if one fails.

    ``note`` is `note` with whoever asks; what was done says the line that follows these.
    """
    note(f"{what}_begun", **about)
    try:
        yield
    except BaseException as error:
        note(f"{what}_cut_off", **about, error=type(error).__name__)
        raise


def about_endpoint(endpoint: Endpoint) -> dict[str, str]:
    """What a line says of an endpoint."""
    return {"id": endpoint.id, "tenant": endpoint.tenant}


def about_recipient(identity: str) -> dict[str, str]:
    """What a line says of a person known by an id: not the id, because shops use names and other personal words."""
    return {"id": recipient_key(identity)}
