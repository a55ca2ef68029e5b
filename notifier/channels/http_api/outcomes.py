"""What a provider's answer means: the rows of its file first, then one table for all.

Two questions are kept apart: what becomes of the message (`Outcome`), and what the answer says of the provider
(`about_provider`): one that refuses a number is at work, one that refuses our login is paused for everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from notifier.channels.webhook.answers import Answer, Reply
from notifier.channels.webhook.outcomes import read_retry_after, status_line, with_body, without_reply
from notifier.channels.webhook.scrubbing import without
from notifier.channels.webhook.wire import REPLY_BYTES
from notifier.domain.breaker import Observed
from notifier.domain.outcome import Cause, Deferred, NotTried, Outcome, Refused, Sent, clip
from notifier.domain.provider import Meaning, Path, Provider, as_word, found_at, matching
from notifier.domain.retry import MAX_RETRY_AFTER_S

#: Seconds a provider is left alone that refuses our login or our way of asking: nothing but a person mends that, and
#: accounts are locked after many wrong logins.
OUR_FAULT_S = 60.0
#: Statuses that say something of every request like this one, and nothing of a recipient.
OUR_FAULTS = frozenset({401, 402, 403, 405, 406, 407, 411, 415, 501})
#: Those that say the path is wrong: ours, or the recipient's when the address is in it.
NOT_THERE = frozenset({404, 410})
#: 4xx that ask for another try (RFC 9110 §15.5.9, §15.5.20; RFC 8470 §5.2; RFC 4918 §11.3, §11.4).
AGAIN_LATER = frozenset({408, 421, 423, 424, 425})
_PAGE = (b"<!doctype html", b"<html")
#: Characters of a message's id that are kept.
_ID_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Addressing:
    """What the table needs to know of the request."""

    provider: Provider
    address_in_path: bool = False
    """The path is the recipient's as much as ours."""
    address_is_url: bool = False
    """Host and credentials are the recipient's."""


def classify(asked: Addressing, answer: Answer, now: float, private: Sequence[str] = ()) -> Outcome | NotTried:
    """``now`` is unix seconds, for a Retry-After that names a date; ``private`` is what no answer may repeat."""
    return _read(asked, answer, now, private) if isinstance(answer, Reply) else without_reply(answer)


def about_provider(outcome: Outcome | NotTried) -> Observed:
    """What an outcome says of whoever answered."""
    match outcome:
        case Sent() | Refused():
            return Observed(ok=1)
        case Deferred(our_fault=True):
            return Observed(failed=1, wait=outcome.retry_after or OUR_FAULT_S, too_much=True, code=outcome.code)
        case Deferred(throttled=True):
            return Observed(failed=1, wait=outcome.retry_after or 0.0, too_much=True, code=outcome.code)
        case Deferred():
            # What a file's row defers although the provider answers as usual is about this message alone.
            if outcome.code.startswith(("http_2", "http_4")) and not outcome.uncertain:
                return Observed()
            busy = outcome.code == "http_503"
            return Observed(failed=1, wait=outcome.retry_after or 0.0, too_much=busy, code=outcome.code)
        case NotTried():
            return Observed()


def rests(outcome: Outcome | NotTried) -> bool:
    """Whether the provider said for how long it wants nothing: from then on nothing speaks against it."""
    return isinstance(outcome, Deferred) and not outcome.our_fault and bool(outcome.throttled or outcome.retry_after)


def _read(asked: Addressing, reply: Reply, now: float, private: Sequence[str]) -> Outcome:
    body = json_of(reply)
    text = reply.body.decode("utf-8", "replace")
    row = matching(asked.provider.rows, reply.status, text, body)
    meaning = row.meaning if row is not None else _usual(asked, reply)
    code = f"http_{reply.status}"
    if meaning is Meaning.SENT:
        return Sent(code, _sent(reply, asked.provider.message_id, body))
    told = describe(without(reply, private))
    wait = _wait(row.retry_after if row is not None else (), body, reply, now)
    match meaning:
        case Meaning.RATE_LIMITED:
            return Deferred(code, told, retry_after=wait, throttled=True)
        case Meaning.OUR_FAULT:
            return Deferred(code, told, retry_after=wait, our_fault=True)
        case Meaning.DEFERRED:
            # A success that is none as far as anybody can tell: it may have been sent.
            return Deferred(code, told, retry_after=wait, uncertain=row is None and reply.status < 300)
        case Meaning.BAD_RECIPIENT:
            suppress = row is not None and row.suppress
            return Refused(code, told, cause=Cause.BAD_RECIPIENT, suppress=suppress)
        case Meaning.REFUSED:
            return Refused(code, told)


def _usual(asked: Addressing, reply: Reply) -> Meaning:
    """Where the file says nothing."""
    status = reply.status
    if 200 <= status < 300:
        # Proxies, captive portals and maintenance pages say 200 too; no API answers with a page.
        is_page = reply.body.lstrip()[:14].lower().startswith(_PAGE)
        return Meaning.DEFERRED if is_page or asked.provider.says_sent else Meaning.SENT
    if status == 429:
        return Meaning.RATE_LIMITED
    if (status >= 500 and status not in OUR_FAULTS) or status in AGAIN_LATER:
        return Meaning.DEFERRED
    if status in NOT_THERE:
        return Meaning.BAD_RECIPIENT if asked.address_in_path or asked.address_is_url else Meaning.OUR_FAULT
    if status in OUR_FAULTS or status < 400:  # redirects are never followed: the file names another address than it is
        return Meaning.BAD_RECIPIENT if asked.address_is_url else Meaning.OUR_FAULT
    return Meaning.REFUSED


def json_of(reply: Reply) -> Any:
    """The answer's JSON; None when it is none, is not there in full, or is in a coding that was not asked for."""
    if len(reply.body) >= REPLY_BYTES or reply.encoding not in ("", "identity"):
        return None
    try:
        return orjson.loads(reply.body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return None


def _wait(path: Path, body: Any, reply: Reply, now: float) -> float | None:
    for value in found_at(path, body) if path else ():
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return min(float(value), MAX_RETRY_AFTER_S)
    return read_retry_after(reply.retry_after, now) if reply.retry_after else None


def _sent(reply: Reply, message_id: Path, body: Any) -> str:
    """The status and the message's id, and nothing else: providers repeat number and text."""
    found = (as_word(value) for value in (found_at(message_id, body) if message_id else ()))
    return clip(" ".join([_line(replace(reply, reason="")), *(word[:_ID_LIMIT] for word in found if word)]))


def describe(reply: Reply) -> str:
    """The status line and the first characters of the body, for people and the ledger."""
    line = _line(reply)
    if reply.location and 300 <= reply.status < 400:
        line += f" → {reply.location} (redirects are never followed)"
    return with_body(line, reply)


def _line(reply: Reply) -> str:
    again = " (written twice: a kept connection was closed without an answer)" if reply.repeated else ""
    return status_line(reply) + again
