"""What deliveries need of Redis, handed around as one.

Beside no code of workers: verbs open these stores, and gevent and templates would cost each of them a second.
"""

from __future__ import annotations

from dataclasses import dataclass

from notifier.storage.endpoints import Endpoints
from notifier.storage.ledger import Ledger
from notifier.storage.parked import ParkedIndex
from notifier.storage.recipients import Recipients
from notifier.storage.suppressions import Suppressions


@dataclass(frozen=True, slots=True)
class Stores:
    """The parts of Redis the worker uses."""

    ledger: Ledger
    endpoints: Endpoints
    recipients: Recipients
    suppressions: Suppressions
    parked: ParkedIndex
