"""What is kept of an event, and of a delivery that was sent at the first try, once nothing more is expected of them.

A body is a text of fields without what repeats, which is in a dictionary (`words`). The scripts make it from the record
they have; here is what they must be told for that, and the way back to the record, to the character.

delivery how, who, stem, domain, queued, event, then started; duration; updated; rest of the reply; destination
event    origin, then state; received; id; ids of deliveries

Of a time is kept what differs from the one before it: a mail that waited for minutes is one field too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from notifier.domain.delivery import Attempt, Destination, Mailbox
from notifier.storage.records import RECORD, code_beside, join, split
from notifier.storage.words import DOMAIN, HOW, NO_WORD, ORIGIN, STEM, WHO, Words

#: What a relay says before the first thing that is another each time: ``250 2.0.0 Ok: queued as ``.
_SAME_EACH_TIME = re.compile(r"\d\d\d(?: \d\.\d{1,3}\.\d{1,3})?(?: [A-Za-z.,:;()<>-]+(?![^\s=]))*[ =:]?", re.ASCII)
_STEM_CHARACTERS = 64
#: Characters of a time.
_TIME = 8


def hint_for_sent(words: Words, how: tuple[str, str, str, str], attempt: Attempt, to: Destination) -> str:
    """What the script must know to pack a delivery: its words, and how much of the reply one of them stands for.

    ``how`` is fence, template, rule and channel. Empty: it must stay a record, this time.
    """
    codes = words.codes
    who = (attempt.outcome, attempt.code, attempt.worker)
    how_code = codes[HOW].get(how) or words.wish(HOW, how)
    who_code = codes[WHO].get(who) or words.wish(WHO, who)
    if how_code == NO_WORD or who_code == NO_WORD:  # noqa: PLR1714 - a tuple for each delivery
        return ""
    stem, length = _stem(words, attempt.reply)
    domain = NO_WORD
    if isinstance(to, Mailbox):
        name = to.address.rpartition("@")[2]
        domain = codes[DOMAIN].get(name) or words.wish(DOMAIN, name)
    return f"{how_code}{who_code}{stem}{domain}{length}"


def _stem(words: Words, reply: str) -> tuple[str, int]:
    """How a reply begins, as a word, and how long that is. It is ASCII: as many bytes as characters."""
    known = words.codes[STEM]
    # What is known is found without the search: all of it, or all but its last word.
    if code := known.get(reply):
        return code, len(reply)
    last = reply.rfind(" ") + 1
    if last and (code := known.get(reply[:last])):
        return code, last
    match = _SAME_EACH_TIME.match(reply)
    if match is None or match.end() > _STEM_CHARACTERS:
        return NO_WORD, 0
    code = known.get(match[0]) or words.wish(STEM, match[0])
    return code, 0 if code == NO_WORD else match.end()


def unpack_sent(body: str, texts: Mapping[str, str]) -> str:
    """The record of a delivery's body; ``texts`` are the words by their two characters.

    Without its dictionary it is still one that was sent.
    """
    queued = body[8 : 8 + _TIME]
    event, started, duration, updated, reply, destination = split(body[8 + _TIME :], 6)
    started = _whole(started, queued)
    updated = _whole(updated, started)
    how, who, stem, domain = (body[place : place + 2] for place in range(0, 8, 2))
    if not texts[how] or not texts[who]:
        return join(["sent", "0", "1", updated]) + RECORD
    _, fence, template, rule, channel = split(texts[how], 5)
    _, outcome, code, worker = split(texts[who], 4)
    reply = reply if stem == NO_WORD else split(texts[stem], 2)[1] + reply
    destination = destination if domain == NO_WORD else f"{destination}…@{split(texts[domain], 2)[1]}"
    return RECORD.join(
        (
            join(["sent", fence, "1", updated, "", template]),
            join([event, rule, channel, destination, queued]),
            join(["1", started, duration, outcome, code_beside(code, reply), worker, reply]),
        )
    )


def codes_in(body: str, *, is_event: bool) -> list[str]:
    """The words a body needs."""
    ends = 2 if is_event else 8
    return [code for place in range(0, ends, 2) if (code := body[place : place + 2]) != NO_WORD]


def hint_for_event(words: Words, source: str, kind: str, tenant: str) -> str:
    """What the script must know to pack an event. Empty: it must be a record, this time."""
    origin = (source, kind, tenant)
    code = words.codes[ORIGIN].get(origin) or words.wish(ORIGIN, origin)
    return "" if code == NO_WORD else code


def unpack_event(body: str, texts: Mapping[str, str]) -> str:
    """The record of an event's body."""
    state, received, event_id, ids = split(body[2:], 4)
    _, source, kind, tenant = split(texts[body[:2]], 4)
    return join([state, received, event_id, source, kind, tenant]) + RECORD + ids


def _whole(time: str, before: str) -> str:
    return before[: len(before) - len(time)] + time
