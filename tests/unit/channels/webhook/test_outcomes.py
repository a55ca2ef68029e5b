"""The answer of an endpoint and what it means, as one table."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.webhook.answers import Answer, Failure, FailureCode, Forbidden, Reply
from notifier.channels.webhook.outcomes import classify, read_retry_after
from notifier.channels.webhook.slots import Crowded
from notifier.domain.outcome import REPLY_LIMIT, Cause, Deferred, NotTried, Outcome, Refused, Sent
from notifier.domain.retry import MAX_RETRY_AFTER_S

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC).timestamp()


def http_date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Reply(200), Sent("http_200", "200 OK")),
        (Reply(202, "Accepted", body=b"queued"), Sent("http_202", "202 Accepted\nqueued")),
        (Reply(204), Sent("http_204", "204 No Content")),
        (Reply(299), Sent("http_299", "299")),
        (
            Reply(302, location="http://127.0.0.1/"),
            Deferred(
                "http_302",
                "302 Found → http://127.0.0.1/ (redirects are never followed; register the final address)",
            ),
        ),
        (Reply(304), Deferred("http_304", "304 Not Modified")),
        (Reply(400), Deferred("http_400", "400 Bad Request")),
        (Reply(404, "Nope"), Deferred("http_404", "404 Nope")),
        (Reply(404, retry_after="30"), Deferred("http_404", "404 Not Found", retry_after=30)),
        (Reply(500, retry_after="30"), Deferred("http_500", "500 Internal Server Error", retry_after=30)),
        (Reply(200, retry_after="30"), Sent("http_200", "200 OK")),
        (Reply(410), Refused("http_410", "410 Gone", cause=Cause.ENDPOINT_GONE, disable_endpoint=True)),
        (Reply(429), Deferred("http_429", "429 Too Many Requests", throttled=True)),
        (
            Reply(429, retry_after="120"),
            Deferred("http_429", "429 Too Many Requests", retry_after=120, throttled=True),
        ),
        (
            Reply(429, retry_after=http_date(90)),
            Deferred("http_429", "429 Too Many Requests", retry_after=90, throttled=True),
        ),
        (Reply(500), Deferred("http_500", "500 Internal Server Error")),
        (Reply(502), Deferred("http_502", "502 Bad Gateway")),
        (Reply(503), Deferred("http_503", "503 Service Unavailable")),
        (Reply(503, retry_after="7"), Deferred("http_503", "503 Service Unavailable", retry_after=7)),
        (Reply(504), Deferred("http_504", "504 Gateway Timeout")),
        (Reply(999), Deferred("http_999", "999")),
        (Failure("timeout", "slow"), Deferred("timeout", "slow")),
        (Failure("timeout", "slow", uncertain=True), Deferred("timeout", "slow", uncertain=True)),
        (Failure("dns", "no such name"), Deferred("dns", "no such name")),
        (Failure("tls", "expired"), Deferred("tls", "expired")),
        (Failure("connection", "refused"), Deferred("connection", "refused")),
        (Failure("protocol", "not HTTP", uncertain=True), Deferred("protocol", "not HTTP", uncertain=True)),
        (Crowded("full", 2.5), NotTried("crowded", "full", 2.5)),
        (Forbidden("inside"), Refused("forbidden_target", "inside", cause=Cause.BAD_DESTINATION)),
        (Forbidden("a sinkhole", resolved=True), Deferred("forbidden_target", "a sinkhole")),
    ],
)
def test_each_answer_has_its_outcome(answer: Answer, outcome: Outcome) -> None:
    assert classify(answer, NOW) == outcome


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("1", 1),
        (" 60 ", 60),
        ("86400", 86400),
        ("86401", MAX_RETRY_AFTER_S),
        ("999999999999999999", MAX_RETRY_AFTER_S),
        ("9" * 400, None),
        (str(int(NOW) + 45), 45),
        (str(int(NOW) - 45), None),
        ("1000000000", MAX_RETRY_AFTER_S),
        ("-5", None),
        ("1.5", None),
        ("\u0661\u0662", None),
        ("soon", None),
        ("", None),
        (http_date(30), 30),
        (http_date(10 * 86400), MAX_RETRY_AFTER_S),
        (http_date(-30), None),
        ("Sun Nov  6 08:49:37 1994", None),
        ("Sat, 21 Nov 2026 12:00:30 -0000", 30),
        ("Sat, 99 Nov 2026 12:00:30 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
    ],
)
def test_retry_after_is_read_in_both_forms_and_capped(value: str, seconds: float | None) -> None:
    assert read_retry_after(value, NOW) == seconds


@given(st.text() | st.integers().map(str) | st.datetimes().map(format_datetime))
def test_any_retry_after_gives_nothing_or_a_wait_of_at_most_a_day(value: str) -> None:
    seconds = read_retry_after(value, NOW)

    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_S


@given(
    st.builds(
        Reply,
        status=st.integers(min_value=100, max_value=999),
        reason=st.text(),
        retry_after=st.text(),
        location=st.text(),
        encoding=st.sampled_from(["", "identity", "gzip", "br\x1b[31m"]),
        body=st.binary(max_size=20_000),
    )
)
def test_whatever_an_endpoint_says_its_reply_is_kept_short_and_printable(reply: Reply) -> None:
    outcome = classify(reply, NOW)

    assert len(outcome.reply) <= REPLY_LIMIT
    assert outcome.reply.replace("\n", "").isprintable()


def test_a_compressed_body_is_named_and_not_decoded() -> None:
    outcome = classify(Reply(500, encoding="gzip", body=b"\x1f\x8b\x08" + b"\x00" * 100), NOW)

    assert outcome.reply == "500 Internal Server Error\n(gzip body, not decoded)"


@pytest.mark.parametrize("code", FailureCode.__args__)  # type: ignore[attr-defined]
def test_every_failure_is_tried_again(code: FailureCode) -> None:
    assert isinstance(classify(Failure(code, "x"), NOW), Deferred)
