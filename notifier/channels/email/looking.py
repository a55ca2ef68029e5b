"""`MailLook`: a mail composed and not sent, and what would go wrong with it; for `explain` and `templates check`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage as Mail
from email.policy import SMTPUTF8

from notifier.channels.email.channel import EmailChannel
from notifier.channels.email.composing import Asked, compose_by_rule
from notifier.domain.delivery import Delivery, Destination, Mailbox
from notifier.domain.event import Event
from notifier.domain.message import EmailMessage
from notifier.errors import InvalidDestination, RenderError
from notifier.rendering.styles import staying_rules
from notifier.rules.explanation import Seen
from notifier.rules.matching import CompiledRule

#: Bytes of HTML that Gmail shows; the rest is behind a link, the unsubscribe link at its end too.
GMAIL_SHOWS = 102_000
_STAYS = (
    "the style rule {} stays in <style>: no element can say it, and not every mail program reads it there; where one "
    "does, what other rules wrote into the element wins unless this one has !important"
)
#: Fields that say how and when the mail is made, not what it says; the Message-ID has the delivery's id.
_MECHANICS = frozenset({"mime-version", "dkim-signature", "date", "message-id"})
#: Rules told of one mail.
MOST_RULES = 5
_SHOWN_FILE = re.compile(r"""["'(=]\s*cid:([^"'()\s>]+)""", re.IGNORECASE)
#: Stands for people whose address is looked up when a mail is sent.
_SOMEBODY = Mailbox(address="somebody@example.org")


class MailLook:
    """Composes as a worker does, with the same channel."""

    def __init__(self, channel: EmailChannel) -> None:
        self._channel = channel

    def __call__(self, delivery: Delivery, compiled: CompiledRule, event: Event, message: EmailMessage) -> Seen:
        """Why the mail would be refused or parked, and what its readers would not see."""
        try:
            asked = Asked(delivery, _person(delivery.to), compiled.rule, compiled, event, message)
            composed = compose_by_rule(self._channel, asked, _person, time.time())
        except (RenderError, InvalidDestination) as error:
            return Seen(error=str(error), fix=error.fix if isinstance(error, RenderError) else "")
        warnings = (self._channel.unaligned(compiled.rule.sender), *_html_warnings(compiled, message))
        read = message_from_bytes(composed.content, policy=SMTPUTF8)
        return Seen(warnings=tuple(filter(None, warnings)), headers=tuple(_headers(read)), files=tuple(_files(read)))


def _headers(read: Mail) -> Iterator[tuple[str, str]]:
    """What people read or sort by; a person's mailbox shows the rest."""
    for name, text in read.items():
        if name.lower() not in _MECHANICS and not name.lower().startswith("content-"):
            yield name, " ".join(str(text).replace(_SOMEBODY.address, "(looked up when it is sent)").split())


def _files(read: Mail) -> Iterator[str]:
    for part in read.walk():
        if (name := part.get_filename()) is not None:
            cid = f", cid {found.strip('<>')}" if (found := part.get("Content-ID")) else ""
            size = len(part.get_payload(decode=True) or b"")
            yield f"{name} ({part.get_content_type()}, {size:,} bytes{cid})"


def _person(one: Destination) -> Mailbox:
    return one if isinstance(one, Mailbox) else _SOMEBODY


def _html_warnings(compiled: CompiledRule, message: EmailMessage) -> list[str]:
    shown = set(_SHOWN_FILE.findall(message.html))
    cids = {one.attachment.cid for one in compiled.attachments if one.attachment.cid}
    found = [f"the HTML shows cid:{cid}, and no attachment has this cid" for cid in sorted(shown - cids)]
    found += [f"no HTML shows the attachment with cid {cid}: write cid:{cid} there" for cid in sorted(cids - shown)]
    found += [_STAYS.format(selector[:80]) for selector in staying_rules(message.html)[:MOST_RULES]]
    if (size := len(message.html.encode("utf-8", "replace"))) > GMAIL_SHOWS:
        found.append(f"the HTML has {size:,} bytes: Gmail shows the first 102 kB and hides the rest behind a link")
    return found
