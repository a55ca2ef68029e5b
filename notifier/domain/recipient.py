"""`Recipient`: a person known by an id, so that events can name them without knowing their address."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where and how a person wants to be written to."""

    id: str
    email: str
    name: str = ""
    locale: str = ""
    timezone: str = ""
