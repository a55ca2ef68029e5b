"""People whom a rule names itself, as `to: "'ops@example.org'"`: what is wrong with them is told when it is loaded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from notifier.domain.addresses import read_address
from notifier.domain.contacts import parse_contact
from notifier.domain.delivery import Contact, Mailbox
from notifier.errors import InvalidAddress
from notifier.rules.audience import BadEntry
from notifier.rules.destinations import destinations


def wrong_constants(source: str, kind: str = "") -> Iterator[str]:
    """Why people in an expression that reads nothing of the event can never be written to; none for any other."""
    for found in destinations(_constant(source), kind):
        if isinstance(found, BadEntry):
            yield found.reason
        elif isinstance(found, Mailbox):
            try:
                read_address(found.address)
            except InvalidAddress as error:
                yield str(error)
        elif isinstance(found, Contact):
            try:
                parse_contact(found.contact, found.at)
            except InvalidAddress as error:
                yield str(error)


def _constant(source: str) -> Any:
    """Texts, lists and objects are written alike in an expression and in Python; None for what is no constant."""
    try:
        return ast.literal_eval(source.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
