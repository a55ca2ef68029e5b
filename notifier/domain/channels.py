"""What each channel is like, as far as rules, planning and people must know it; how it sends is in `channels`.

A new channel is a member of `Channel`, a row here and a folder of `channels`; a test holds that every channel has both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from notifier.domain.retry import EMAIL_SCHEDULE, WEBHOOK_SCHEDULE, RetrySchedule
from notifier.domain.rule import Channel


@dataclass(frozen=True, slots=True)
class Traits:
    """Facts about one channel."""

    schedule: RetrySchedule
    """When it tries again, where neither settings nor the rule say so."""
    to_people: bool
    """Whether rules name in `to` whom it goes to; otherwise it goes to the endpoints that the tenant registered."""
    digests: bool
    """Whether digests are delivered by it."""
    rule_keys: frozenset[str]
    """Those of the keys that only some channels know which its rules may have."""
    needs: str
    """Which templates its rules need, in words; empty where it can do without."""


TRAITS: Mapping[Channel, Traits] = {
    Channel.EMAIL: Traits(
        EMAIL_SCHEDULE,
        to_people=True,
        digests=True,
        rule_keys=frozenset(
            {
                *("to", "from", "attachments", "cc", "reply_to", "thread", "headers", "auto_submitted"),
                *("priority", "throttle"),
            }
        ),
        needs="email.subject.j2 and email.text.j2 or email.html.j2",
    ),
    Channel.WEBHOOK: Traits(
        WEBHOOK_SCHEDULE,
        to_people=False,
        digests=False,
        rule_keys=frozenset({"priority", "throttle"}),
        needs="",
    ),
    Channel.HTTP_API: Traits(
        WEBHOOK_SCHEDULE,
        to_people=True,
        digests=False,
        rule_keys=frozenset({"to", "priority", "throttle"}),
        # Called by the channel's file, not by the channel.
        needs="",
    ),
}
#: Keys of rules that collect: their mails are made of many events, and have what is not of one of them.
DIGEST_KEYS = frozenset({"to", "key", "window", "from", "reply_to", "thread", "headers", "auto_submitted"})
DIGEST_NEEDS = "digest.subject.j2 and digest.text.j2 or digest.html.j2"
