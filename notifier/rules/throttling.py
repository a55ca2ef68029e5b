"""``throttle:`` of a rule → a `Throttle`: ``{at_most: 3, per: 1h, key: data.host, then: digest}``."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from notifier.domain.channels import TRAITS
from notifier.domain.rule import Channel, Throttle, WorkKind
from notifier.rules.sections import Section

_EXAMPLE = "such as `throttle: {at_most: 3, per: 1h}`"
#: Redis remembers every admitted delivery of a window; a larger allowance protects nobody from anything.
MAX_ADMITTED = 10_000


class _Overflow(StrEnum):
    DROP = "drop"
    DIGEST = "digest"


def read_throttle(rule: Section, channel: WorkKind) -> Throttle | None:
    """The throttle of a rule; None when there is none or it cannot be used, which is noted."""
    node = rule.get("throttle")
    if node is None:
        return None
    section = Section(rule.report, node, f"{rule.name}: throttle", ("at_most", "per", "key", "then"))
    if not isinstance(node.value, dict):
        return None
    for key in ("at_most", "per"):
        if not section.has(key):
            section.wrong(key, f"{section.name} has no {key}", _EXAMPLE)
    at_most = section.number("at_most", 1, MAX_ADMITTED, "deliveries")
    per = section.duration("per")
    overflow = _overflow(section, rule, channel)
    if at_most is None or per is None:
        return None
    return Throttle(at_most, per, section.text("key"), overflow)


def _overflow(section: Section, rule: Section, channel: WorkKind) -> Literal["drop", "digest"]:
    if section.choice("then", _Overflow, _Overflow.DROP) is _Overflow.DROP:
        return "drop"
    if isinstance(channel, Channel) and not TRAITS[channel].digests:
        what = f"{section.name}: then: digest has no meaning for {rule.text('channel')}: only mails have digests"
        section.wrong("then", what, "write `then: drop`, or leave it out")
    return "digest"
