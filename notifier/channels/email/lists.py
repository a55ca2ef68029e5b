"""What names the mailing list of a mail that people can switch off: List-Id (RFC 2919) and Gmail's Feedback-ID."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from notifier.domain.value import value

#: RFC 2919 §2: a list's id has at most 255 characters.
MAX_LIST_ID = 255
#: Gmail: the sender's id, the last of four fields, has 5 to 15 characters.
SENDER_ID = (5, 15)
_NOT_ATOM = re.compile(r"[^A-Za-z0-9_-]+")
_NOT_FIELD = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_FIELD = 64


@value
class ListFields:
    """A category of one sender, and what Gmail counts complaints by."""

    category: str
    domain: str
    """Of the From address."""
    rule: str
    tenant: str

    def written(self) -> str:
        """Both fields with their line ends."""
        return _written(self.category, self.domain, self.rule, self.tenant)


@lru_cache(maxsize=1024)
def _written(category: str, domain: str, rule: str, tenant: str) -> str:
    label = ".".join(filter(None, (_NOT_ATOM.sub("-", part).strip("-") for part in category.split(".")))) or "list"
    list_id = f"{label}.{domain}"[-MAX_LIST_ID:].lstrip(".-")
    campaign, customer, kind = (_NOT_FIELD.sub("-", text).strip("-")[:_LONGEST_FIELD] for text in (rule, tenant, label))
    return f"List-Id: <{list_id}>\r\nFeedback-ID: {campaign}:{customer}:{kind}:{_sender_id(domain)}\r\n"


def _sender_id(domain: str) -> str:
    """The domain where it is short enough, else a hash of it: the same for all mails of a sender."""
    if SENDER_ID[0] <= len(domain) <= SENDER_ID[1]:
        return domain
    return hashlib.blake2b(domain.encode(), digest_size=7).hexdigest()
