"""`Recipient`: a person known by an id, so that events can name them without knowing their address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from notifier.domain.contacts import PHONE


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where and how a person wants to be written to. One of the addresses at least is there."""

    id: str
    email: str = ""
    name: str = ""
    locale: str = ""
    timezone: str = ""
    phone: str = ""
    """In its one spelling (`contacts.parse_phone`)."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Kind → address, for providers that know people by something of their own."""

    def address_of(self, kind: str) -> str:
        """Where they are reached; empty when they are not."""
        return self.phone if kind == PHONE else self.addresses.get(kind, "")

    @property
    def contacts(self) -> tuple[tuple[str, str], ...]:
        """Kind and address of each way but mail."""
        if not self.phone and not self.addresses:
            return ()
        return (*((PHONE, self.phone),) * bool(self.phone), *self.addresses.items())
