"""Every row of what a provider's answer means: for the message, and for the provider."""

from email.utils import formatdate

import pytest

from notifier.channels.http_api.outcomes import OUR_FAULT_S, Addressing, about_provider, classify
from notifier.channels.webhook.answers import Answer, Failure, Forbidden, Reply
from notifier.channels.webhook.slots import Crowded
from notifier.channels.webhook.wire import REPLY_BYTES
from notifier.domain.breaker import Observed
from notifier.domain.outcome import REPLY_LIMIT, Cause, Deferred, NotTried, Outcome, Refused, Sent
from notifier.domain.provider import AnswerRow, BodyTest, Meaning, Provider, parse_path

NOW = 1_700_000_000.0
NUMBER, TEXT = "+491701234567", "Your code is 4711-0815"
PAGE = b"<!DOCTYPE html><html><body>Welcome to the hotel</body></html>"


def at(path: str, *words: str) -> tuple[BodyTest, ...]:
    return (BodyTest(parse_path(path), frozenset(words)),)


#: As a file for Expo, Discord and a chat that answers 200 to everything.
ROWS = (
    AnswerRow(Meaning.BAD_RECIPIENT, tests=at("data.details.error", "DeviceNotRegistered"), suppress=True),
    AnswerRow(Meaning.RATE_LIMITED, tests=at("data.details.error", "MessageRateExceeded")),
    AnswerRow(Meaning.OUR_FAULT, tests=at("error", "invalid_auth", "20003")),
    AnswerRow(Meaning.REFUSED, tests=at("data.status", "error")),
    AnswerRow(Meaning.RATE_LIMITED, statuses=((429, 429),), tests=at("global", "false"), retry_after=("retry_after",)),
    AnswerRow(Meaning.DEFERRED, statuses=((200, 299),), contains="HTTP error 429"),
    AnswerRow(Meaning.BAD_RECIPIENT, statuses=((400, 400),), tests=at("code", "21211")),
)
FIXED = Addressing(Provider("sms", "", rows=ROWS, message_id=parse_path("sid")))
IN_PATH = Addressing(Provider("chat", ""), address_in_path=True)
HOOK = Addressing(Provider("slack", "", kind="slack"), address_in_path=True, address_is_url=True)
STRICT = Addressing(Provider("push", "", rows=(AnswerRow(Meaning.SENT, tests=at("data.status", "ok")),)))


def json(text: str, status: int = 200, reason: str = "", encoding: str = "") -> Reply:
    return Reply(status, reason, encoding=encoding, body=text.encode())


def push(error: str) -> Reply:
    return json(f'{{"data":{{"status":"error","details":{{"error":"{error}"}}}}}}')


@pytest.mark.parametrize(
    ("asked", "answer", "kind", "code", "about"),
    [
        # what no row of the file speaks of
        (FIXED, Reply(200), Sent, "http_200", "well"),
        (FIXED, Reply(201, body=b'{"sid":"SM1"}'), Sent, "http_201", "well"),
        (FIXED, Reply(204), Sent, "http_204", "well"),
        (FIXED, Reply(200, body=b"x" * REPLY_BYTES), Sent, "http_200", "well"),
        (FIXED, Reply(200, body=PAGE), Deferred, "http_200", "ill"),
        (FIXED, Reply(200, body=b"\n <HTML>"), Deferred, "http_200", "ill"),
        (FIXED, Reply(301, location="https://elsewhere.example/"), Deferred, "http_301", "ours"),
        (FIXED, Reply(400), Refused, "http_400", "well"),
        (FIXED, Reply(401), Deferred, "http_401", "ours"),
        (FIXED, Reply(402), Deferred, "http_402", "ours"),
        (FIXED, Reply(403, body=PAGE), Deferred, "http_403", "ours"),
        (FIXED, Reply(404), Deferred, "http_404", "ours"),
        (FIXED, Reply(405), Deferred, "http_405", "ours"),
        (FIXED, Reply(408), Deferred, "http_408", "nothing"),
        (FIXED, Reply(410), Deferred, "http_410", "ours"),
        (FIXED, Reply(413), Refused, "http_413", "well"),
        (FIXED, Reply(415), Deferred, "http_415", "ours"),
        (FIXED, Reply(422), Refused, "http_422", "well"),
        (FIXED, Reply(425), Deferred, "http_425", "nothing"),
        (FIXED, Reply(429), Deferred, "http_429", "much"),
        (FIXED, Reply(500), Deferred, "http_500", "ill"),
        (FIXED, Reply(501), Deferred, "http_501", "ours"),
        (FIXED, Reply(503), Deferred, "http_503", "much"),
        (FIXED, Reply(101), Deferred, "http_101", "ours"),
        # where the address is a part of the path, or all of it
        (IN_PATH, Reply(404), Refused, "http_404", "well"),
        (IN_PATH, Reply(401), Deferred, "http_401", "ours"),
        (HOOK, Reply(200, body=b"ok"), Sent, "http_200", "well"),
        (HOOK, Reply(403), Refused, "http_403", "well"),
        (HOOK, Reply(404, body=b"no_service"), Refused, "http_404", "well"),
        (HOOK, Reply(410), Refused, "http_410", "well"),
        (HOOK, Reply(302), Refused, "http_302", "well"),
        # rows of the file
        (FIXED, json('{"data":{"status":"ok","id":"1"}}'), Sent, "http_200", "well"),
        (FIXED, json('{"data":{"status":"error","message":"no"}}'), Refused, "http_200", "well"),
        (
            FIXED,
            json('{"data":{"status":"error","details":{"error":"DeviceNotRegistered"}}}'),
            Refused,
            "http_200",
            "well",
        ),
        (
            FIXED,
            json('{"data":{"status":"error","details":{"error":"MessageRateExceeded"}}}'),
            Deferred,
            "http_200",
            "much",
        ),
        (FIXED, json('{"error":"invalid_auth"}'), Deferred, "http_200", "ours"),
        (FIXED, json('{"error":20003}', 400), Deferred, "http_400", "ours"),
        (FIXED, json('{"code":21211}', 400), Refused, "http_400", "well"),
        (FIXED, json('{"code":"21211"}', 400), Refused, "http_400", "well"),
        (FIXED, json("delivery failed with error: HTTP error 429"), Deferred, "http_200", "nothing"),
        (FIXED, json('\ufeff{"data":{"status":"error"}}'), Refused, "http_200", "well"),
        (FIXED, json('{"data":{"status":"error"}}', encoding="gzip"), Sent, "http_200", "well"),
        (FIXED, json('[[["data"]]]'), Sent, "http_200", "well"),
        # a file that says what sent means
        (STRICT, json('{"data":{"status":"ok"}}'), Sent, "http_200", "well"),
        (STRICT, json('{"data":{"status":"pending"}}'), Deferred, "http_200", "ill"),
        (STRICT, json('{"data":{"status":"ok"}'), Deferred, "http_200", "ill"),
        (STRICT, Reply(200, body=PAGE), Deferred, "http_200", "ill"),
        # no answer
        (FIXED, Failure("timeout", "no reply came", uncertain=True), Deferred, "timeout", "ill"),
        (FIXED, Failure("connection", "refused"), Deferred, "connection", "ill"),
        (FIXED, Failure("dns", "sms.example could not be resolved"), Deferred, "dns", "ill"),
        (FIXED, Failure("tls", "the certificate is not trusted"), Deferred, "tls", "ill"),
        (FIXED, Failure("protocol", "the reply is not HTTP", uncertain=True), Deferred, "protocol", "ill"),
        (FIXED, Forbidden("10.0.0.1 is not public"), Refused, "forbidden_target", "well"),
        (FIXED, Forbidden("x resolves to 10.0.0.1", resolved=True), Deferred, "forbidden_target", "ill"),
        (FIXED, Crowded("no connection came free", 2.0), NotTried, "crowded", "nothing"),
    ],
)
def test_an_answer_means_one_thing_for_the_message_and_one_for_the_provider(
    asked: Addressing, answer: Answer, kind: type[Outcome | NotTried], code: str, about: str
) -> None:
    outcome = classify(asked, answer, NOW)

    assert type(outcome) is kind
    assert outcome.code == code
    seen = about_provider(outcome)
    said = {
        "well": Observed(ok=1),
        "nothing": Observed(),
        "ours": Observed(failed=1, wait=OUR_FAULT_S, too_much=True, code=code),
        "much": Observed(failed=1, too_much=True, code=code),
        "ill": Observed(failed=1, code=code),
    }
    assert seen == said[about]


def test_of_refusals_only_those_of_a_recipient_suppress_and_only_where_the_file_says_so() -> None:
    gone = classify(FIXED, json('{"data":{"details":{"error":"DeviceNotRegistered"}}}'), NOW)
    wrong = classify(FIXED, json('{"code":21211}', 400), NOW)
    other = classify(FIXED, Reply(422), NOW)
    hook = classify(HOOK, Reply(404), NOW)

    assert [(o.cause, o.suppress) for o in (gone, wrong, other, hook) if isinstance(o, Refused)] == [
        (Cause.BAD_RECIPIENT, True),
        (Cause.BAD_RECIPIENT, False),
        (Cause.REFUSED, False),
        (Cause.BAD_RECIPIENT, False),
    ]


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (Reply(429, retry_after="120"), 120.0),
        (Reply(429, retry_after=formatdate(NOW + 90, usegmt=True)), 90.0),
        (Reply(429, retry_after=formatdate(NOW - 90, usegmt=True)), None),
        (Reply(429, retry_after="soon"), None),
        (Reply(503, retry_after="7"), 7.0),
        (Reply(401, retry_after="30"), 30.0),
        (Reply(429, body=b'{"global": false, "retry_after": 1.5}'), 1.5),
        (Reply(429, body=b'{"global": false, "retry_after": 1e9}'), 86400.0),
        (Reply(429, body=b'{"global": false, "retry_after": "x"}', retry_after="3"), 3.0),
        (Reply(429, body=b'{"global": false, "retry_after": -1}'), None),
    ],
)
def test_what_a_provider_asks_for_is_read_from_header_and_body(reply: Reply, seconds: float | None) -> None:
    outcome = classify(FIXED, reply, NOW)

    assert isinstance(outcome, Deferred)
    assert outcome.retry_after == seconds
    assert about_provider(outcome).wait == (seconds or (OUR_FAULT_S if outcome.our_fault else 0.0))


def test_a_success_that_nobody_can_be_sure_of_is_uncertain() -> None:
    for asked, reply in ((FIXED, Reply(200, body=PAGE)), (STRICT, Reply(202))):
        outcome = classify(asked, reply, NOW)
        assert isinstance(outcome, Deferred)
        assert outcome.uncertain


def test_of_what_was_sent_only_the_status_and_the_messages_id_are_kept() -> None:
    body = f'{{"sid":"SM123","to":"{NUMBER}","body":"{TEXT}"}}'

    outcome = classify(FIXED, json(body, 201, reason=f"Created for {NUMBER}"), NOW, (NUMBER, TEXT))

    assert outcome == Sent("http_201", "201 Created SM123")


@pytest.mark.parametrize(
    "echo",
    [
        f"The number {NUMBER} is not valid",
        f"The number {NUMBER[1:]} is not valid",
        f"To=%2B{NUMBER[1:]}&Body={TEXT.replace(' ', '+')}",
        f'{{"body": "{TEXT}"}}',
        TEXT.replace(" ", "%20"),
    ],
)
def test_a_refusal_keeps_its_words_without_the_address_and_the_text(echo: str) -> None:
    outcome = classify(FIXED, Reply(422, body=f"no: {echo}".encode()), NOW, (NUMBER, TEXT))

    assert isinstance(outcome, Refused)
    assert outcome.reply.startswith("422 Unprocessable")
    assert NUMBER[1:] not in outcome.reply
    assert "4711" not in outcome.reply
    assert "****" in outcome.reply


def test_a_long_answer_is_clipped() -> None:
    outcome = classify(FIXED, Reply(500, body=b"<html>" + b"x" * REPLY_BYTES), NOW)

    assert isinstance(outcome, Deferred)
    assert len(outcome.reply) == REPLY_LIMIT
