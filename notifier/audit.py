"""Audit lines: who changed what. One line of the log for each change, the same by HTTP and by the command line.

Every line has ``by``. Lines carry ids and keys, never addresses, as all of the log.
"""

from __future__ import annotations

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


def about_endpoint(endpoint: Endpoint) -> dict[str, str]:
    """What a line says of an endpoint."""
    return {"id": endpoint.id, "tenant": endpoint.tenant}


def about_recipient(identity: str) -> dict[str, str]:
    """What a line says of a person known by an id: not the id, because shops use names and other personal words."""
    return {"id": recipient_key(identity)}
