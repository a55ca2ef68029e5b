"""What an endpoint's answer means: one table, after Standard Webhooks and the CloudEvents webhook specification."""

from __future__ import annotations

import http
import re
from email.utils import parsedate_to_datetime

from notifier.channels.webhook.answers import Answer, Failure, Forbidden, Reply
from notifier.channels.webhook.slots import Crowded
from notifier.domain.outcome import Cause, Deferred, NotTried, Outcome, Refused, Sent, clip
from notifier.domain.retry import MAX_RETRY_AFTER_S

#: A Retry-After beyond this many seconds is a moment in unix time, as some receivers write it.
_MOMENT = 1_000_000_000
_SECONDS = re.compile(r"[0-9]{1,18}")


def classify(answer: Answer, now: float) -> Outcome | NotTried:
    """The outcome of one exchange; ``now`` is unix seconds, for a Retry-After that names a date."""
    return _classify_reply(answer, now) if isinstance(answer, Reply) else without_reply(answer)


def without_reply(answer: Failure | Forbidden | Crowded) -> Outcome | NotTried:
    """The outcome of an exchange that got none, whoever was asked."""
    match answer:
        case Failure():
            return Deferred(answer.code, clip(answer.detail), uncertain=answer.uncertain)
        case Forbidden(resolved=True):
            return Deferred("forbidden_target", clip(answer.detail))
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
    # RFC 9110 §10.2.3 names 503 and 3xx, RFC 6585 §4 429; receivers say it with any refusal, and always mean it.
    wait = read_retry_after(reply.retry_after, now) if reply.retry_after else None
    return Deferred(code, text, retry_after=wait, throttled=reply.status == 429)


def read_retry_after(value: str, now: float) -> float | None:
    """Seconds to wait, at most a day: from seconds or an HTTP date (RFC 9110 §10.2.3), or from a unix time.

    What is neither, is negative or lies in the past gives None: the schedule decides, as if nothing had been said.
    """
    text = value.strip()
    if _SECONDS.fullmatch(text) and int(text) <= _MOMENT:
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        seconds = int(text) - now if _SECONDS.fullmatch(text) else parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError, TypeError):
        return None
    return min(seconds, MAX_RETRY_AFTER_S) if seconds > 0 else None


def describe(reply: Reply) -> str:
    """The status line and the first characters of the body, for people and the ledger."""
    line = status_line(reply)
    if reply.location and 300 <= reply.status < 400:
        line += f" → {reply.location} (redirects are never followed; register the final address)"
    if reply.repeated:
        line += " (written twice under one webhook-id: a kept connection was closed without an answer)"
    return with_body(line, reply)


def status_line(reply: Reply) -> str:
    """Status and reason; the standard's, of a reply that gives none."""
    try:
        phrase = http.HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = ""
    return f"{reply.status} {reply.reason or phrase}".rstrip()


def with_body(line: str, reply: Reply) -> str:
    """A line about a reply and the first characters of its body."""
    if not reply.body:
        return clip(line)
    if reply.encoding not in ("", "identity"):
        return clip(f"{line}\n({reply.encoding} body, not decoded)")
    return clip(f"{line}\n{reply.body.decode('utf-8', 'replace')}")
