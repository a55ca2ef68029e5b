"""What an endpoint's answer means: one table, after Standard Webhooks and the CloudEvents webhook specification."""

from __future__ import annotations

import http
import re
from email.utils import parsedate_to_datetime

from notifier.channels.webhook.answers import Answer, Failure, Forbidden, Reply
from notifier.channels.webhook.slots import Crowded
from notifier.domain.outcome import Cause, Deferred, NotTried, Outcome, Refused, Sent, clip
from notifier.domain.retry import MAX_RETRY_AFTER_S

#: Statuses whose Retry-After is obeyed (RFC 9110 §10.2.3, RFC 6585 §4).
_ASKS_TO_WAIT = frozenset({429, 503})
_SECONDS = re.compile(r"[0-9]{1,18}")


def classify(answer: Answer, now: float) -> Outcome | NotTried:
    """The outcome of one exchange; ``now`` is unix seconds, for a Retry-After that names a date."""
    match answer:
        case Reply():
            return _classify_reply(answer, now)
        case Failure():
            return Deferred(answer.code, clip(answer.detail), uncertain=answer.uncertain)
        case Forbidden():
            return Refused("forbidden_target", clip(answer.detail), cause=Cause.BAD_DESTINATION)
        case Crowded():
            return NotTried("crowded", answer.why, answer.seconds)


def _classify_reply(reply: Reply, now: float) -> Outcome:
    code, text = f"http_{reply.status}", describe(reply)
    if 200 <= reply.status < 300:
        return Sent(code, text)
    if reply.status == 410:
        return Refused(code, text, cause=Cause.ENDPOINT_GONE, disable_endpoint=True)
    wait = read_retry_after(reply.retry_after, now) if reply.status in _ASKS_TO_WAIT else None
    return Deferred(code, text, retry_after=wait, throttled=reply.status == 429)


def read_retry_after(value: str, now: float) -> float | None:
    """Seconds to wait, at most a day: from seconds or an HTTP date (RFC 9110 §10.2.3).

    What is neither, is negative or lies in the past gives None: the schedule decides, as if nothing had been said.
    """
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError, TypeError):
        return None
    return min(seconds, MAX_RETRY_AFTER_S) if seconds > 0 else None


def describe(reply: Reply) -> str:
    """The status line and the first characters of the body, for people and the ledger."""
    line = f"{reply.status} {reply.reason or _phrase(reply.status)}".rstrip()
    if reply.location and 300 <= reply.status < 400:
        line += f" → {reply.location} (redirects are never followed; register the final address)"
    if reply.repeated:
        line += " (written twice under one webhook-id: a kept connection was closed without an answer)"
    if not reply.body:
        return clip(line)
    if reply.encoding not in ("", "identity"):
        return clip(f"{line}\n({reply.encoding} body, not decoded)")
    return clip(f"{line}\n{reply.body.decode('utf-8', 'replace')}")


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
