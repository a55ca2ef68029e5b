"""`Forgetting`: takes a person out of everything kept about them. It counts first, and may be repeated.

Messages in failure queues go first, then open digests, then the ledger, the history, and last what the rest is found
by, so that a kill anywhere leaves nothing that a repeat would not find. What stays: that something was sent and
when, and a suppression, which is a hash of the address and keeps them from being written to.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from notifier.domain.contacts import PHONE, contact_identity, parse_phone
from notifier.domain.delivery import RecipientRef
from notifier.domain.ids import recipient_key, suppression_keys
from notifier.domain.suppression import forgotten
from notifier.errors import NotFound
from notifier.failures.operator import Operator, by_ids
from notifier.logs import get, wide
from notifier.storage.forgetting import Traces, Window
from notifier.storage.recipients import Recipients
from notifier.storage.suppressions import Suppressions

_log = get("people")


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a person, or was before they were forgotten."""

    key: str
    """`ids.recipient_key` of the address, or of the id when no address is known: logs may carry it."""
    recipients: int
    """Records in the directory of people."""
    deliveries: int
    """In the ledger, sent ones too."""
    waiting: int
    """Of these, deliveries on their way: they end as skipped."""
    sending: int
    """Of these, being sent at this moment; forget once more when that has ended."""
    parked: int
    """Entries of failure queues, with their messages."""
    windows: int
    """Digests that are being collected."""
    items: int
    """In these."""
    suppressed: bool
    history: int = 0
    """In the history."""

    @property
    def anything(self) -> bool:
        """Whether there is something to erase."""
        return any((self.recipients, self.deliveries, self.parked, self.windows, self.history))


@dataclass(frozen=True, slots=True)
class _Person:
    """Everything they are called."""

    records: tuple[str, ...]
    """Ids in the directory of people to remove."""
    keys: tuple[str, ...]
    """Under which the ledger indexes them."""
    addresses: tuple[str, ...]
    """Mail addresses, and identities of others."""
    address_keys: tuple[str, ...]
    """Of their addresses: suppressions are kept under them."""


class PastDeliveries(Protocol):
    """The history, as far as forgetting needs it. Raises `HistoryUnavailable`."""

    def count(self, person_keys: Sequence[str], ids: Sequence[str]) -> int:
        """Deliveries of a person that are not forgotten yet."""

    def forget(self, person_keys: Sequence[str], ids: Sequence[str]) -> int:
        """Erase who got these, after whatever of them is on its way there."""


def _written(who: str) -> tuple[list[str], list[str]]:
    """An address as mail address or as identity of another; neither of an id."""
    if "@" in who:
        return [who], []
    return [], [contact_identity(PHONE, parse_phone(who))] if who.startswith("+") else []


class Forgetting:
    """One per API process or command. Raises `Unavailable` when one of the servers is away; ask again then."""

    def __init__(
        self,
        traces: Traces,
        recipients: Recipients,
        suppressions: Suppressions,
        operator: Operator,
        history: PastDeliveries | None = None,
    ) -> None:
        self._traces = traces
        self._recipients = recipients
        self._suppressions = suppressions
        self._operator = operator
        self._history = history

    def look(self, who: str) -> Found:
        """What is known of an address, a phone number or a recipient id; changes nothing."""
        return self._look(self._person(who))[0]

    def forget(self, who: str, *, suppress: bool = False) -> Found:
        """Erase it; returns what there was. ``suppress``: from now on nothing is sent to this address either.

        Raises `NotFound` when nothing is known and nothing is to be suppressed.
        """
        person = self._person(who)
        if suppress:
            # First: what is queued and was never tried is in no index, and ends by this when a worker takes it.
            for key in person.address_keys:
                self._suppressions.add(key, forgotten(time.time()))
        found, ids, windows = self._look(person)
        if not found.anything and not (suppress and person.address_keys):
            raise NotFound("nothing is known of this person")
        parked = tuple(self._operator.ids(by_ids(ids))) if ids else ()
        if parked:
            self._operator.discard(by_ids(parked), everywhere=True)
        items = self._traces.drop_windows(windows)
        erased = list(dict.fromkeys((*ids, *items)))
        self._traces.erase_deliveries(erased)
        if self._history is not None:
            # After Redis: what was read there before is written before. Ahead of what finds the person: if PostgreSQL
            # fails now, a repeat still knows their names.
            self._history.forget(person.keys, erased)
        for record in person.records:
            self._recipients.remove(record)
        self._recipients.drop_entries(person.addresses)
        self._traces.drop_index(person.keys)
        wide(_log, "person.forgotten", key=found.key, deliveries=found.deliveries, parked=found.parked)
        return found

    def _person(self, who: str) -> _Person:
        mails, contacts = _written(who)
        records = self._recipients.holders((mails or contacts)[0]) if mails or contacts else [who]
        for known in self._recipients.get_many(records).values():
            mails += [known.email] * bool(known.email)
            contacts += [contact_identity(kind, at) for kind, at in known.contacts]
        named = [RecipientRef(recipient=record).identity for record in records]
        addresses = [*(k for address in mails for k in suppression_keys(address)), *map(recipient_key, contacts)]
        keys = dict.fromkeys([*addresses, *map(recipient_key, named)])
        own = dict.fromkeys([*map(recipient_key, mails), *map(recipient_key, contacts)])
        return _Person(tuple(records), tuple(keys), tuple(dict.fromkeys([*mails, *contacts])), tuple(own))

    def _look(self, person: _Person) -> tuple[Found, tuple[str, ...], list[Window]]:
        known = self._traces.deliveries(person.keys)
        windows = self._traces.windows(known.collected, person.keys)
        found = Found(
            key=person.keys[0],
            recipients=len(self._recipients.get_many(person.records)),
            deliveries=len(known.ids),
            waiting=known.waiting,
            sending=known.sending,
            parked=self._operator.count(by_ids(known.ids)) if known.ids else 0,
            windows=len(windows),
            items=sum(window.items for window in windows),
            suppressed=any(self._suppressions.get(key) for key in person.address_keys),
            history=self._history.count(person.keys, known.ids) if self._history is not None else 0,
        )
        return found, known.ids, windows
