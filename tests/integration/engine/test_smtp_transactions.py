"""One transaction, every way it can end; each test runs with and without pipelining."""

import asyncio
from collections.abc import Iterator

import pytest

from notifier.engine.relay_breaker import REST_S
from notifier.engine.transaction import Accepted, Broken, Phase, Rejected
from notifier.errors import InvalidAddress
from tests.integration.engine.conftest import CONTENT, Clock, Post, Posting, plain
from tests.servers.faults import DROP, GARBAGE, HANG
from tests.servers.smtp import EXTENSIONS, SmtpSink

WITHOUT_PIPELINING = tuple(word for word in EXTENSIONS if word != "PIPELINING")

#: A deadline that tests wait for, and within which a busy machine still sends the mail after it.
SHORT_S = 1.5


@pytest.fixture(params=[EXTENSIONS, WITHOUT_PIPELINING], ids=["pipelined", "stepwise"])
def sink(request: pytest.FixtureRequest) -> Iterator[SmtpSink]:
    sink = SmtpSink(extensions=request.param)
    yield sink
    sink.close()


@pytest.fixture
def post(posting: Posting, sink: SmtpSink) -> Post:
    return posting(plain(sink))


def test_a_mail_is_accepted_and_arrives_byte_for_byte(post: Post, sink: SmtpSink) -> None:
    # Given a content with lines that begin with dots
    content = b"Subject: dots\r\n\r\n.\r\n..\r\n.three\r\nlast.\r\n"

    # When it is sent
    ended = post.send("r@example.org", content)

    # Then it is there, as it was
    assert isinstance(ended, Accepted)
    assert ended.code == 250
    [mail] = sink.mails
    assert (mail.sender, mail.recipients, mail.data) == ("s@example.org", ("r@example.org",), content)


def test_a_content_that_begins_with_a_dot_arrives_with_it(post: Post, sink: SmtpSink) -> None:
    post.send("r@example.org", b".dot: first\r\n\r\nx\r\n")
    assert sink.mails[0].data == b".dot: first\r\n\r\nx\r\n"


def test_a_content_larger_than_all_buffers_arrives(post: Post, sink: SmtpSink) -> None:
    content = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 4 * 50_000 + b"\r\n"
    assert isinstance(post.send("r@example.org", content), Accepted)
    assert sink.mails[0].data == content


def test_one_connection_carries_many_mails(post: Post, sink: SmtpSink) -> None:
    assert all(isinstance(ended, Accepted) for ended in post.send_many(30))
    assert sink.counters.connections == 1
    assert len(sink.mails) == 30


@pytest.mark.parametrize("step", [Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT])
@pytest.mark.parametrize("reply", ["450 4.2.1 not now", "451 4.3.0 later", "550 5.1.1 never", "554 5.7.1 not you"])
def test_a_refusal_says_at_which_step_and_the_next_mail_goes_through(
    post: Post, sink: SmtpSink, step: Phase, reply: str
) -> None:
    # Given a relay that refuses one mail at a step
    sink.reply(step.upper(), reply, times=1)

    # When two mails are sent
    refused, following = post.send("first@example.org"), post.send("second@example.org")

    # Then the first says what happened, and only the second arrived, over the same connection
    assert refused == Rejected(f"127.0.0.1:{sink.port}", step, int(reply[:3]), reply[4:])
    assert isinstance(following, Accepted)
    assert [mail.recipients for mail in sink.mails] == [("second@example.org",)]
    assert sink.counters.connections == 1


@pytest.mark.parametrize("step", [Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT])
def test_421_closes_the_connection_and_the_next_mail_opens_another(
    post: Post, sink: SmtpSink, clock: Clock, step: Phase
) -> None:
    # Given a relay that goes away with 421 at a step of a fresh connection
    sink.reply(step.upper(), "421 4.3.2 shutting down", times=1)

    # When two mails are sent, the second one when the relay has rested
    refused = post.send()
    clock.now += REST_S
    following = post.send()

    # Then the first was refused there, and the second used a new connection
    assert refused == Rejected(f"127.0.0.1:{sink.port}", step, 421, "4.3.2 shutting down")
    assert isinstance(following, Accepted)
    assert sink.counters.connections == 2


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_a_connection_lost_before_the_dot_is_certain_not_to_have_sent(post: Post, sink: SmtpSink, step: str) -> None:
    sink.reply(step, DROP)
    ended = post.send()
    assert isinstance(ended, Broken)
    assert (ended.kind, ended.uncertain, ended.phase) == ("connection", False, Phase(step.lower()))
    assert sink.mails == []
    sink.behave()
    assert isinstance(post.send(), Accepted)


@pytest.mark.parametrize("step", ["BODY", "DOT", "ACCEPTED"])
@pytest.mark.parametrize(("fault", "kind"), [(DROP, "connection"), (GARBAGE, "protocol")])
def test_no_answer_to_the_final_dot_is_uncertain(post: Post, sink: SmtpSink, step: str, fault: str, kind: str) -> None:
    sink.reply(step, fault, times=1)
    ended = post.send()
    assert isinstance(ended, Broken)
    assert (ended.kind, ended.uncertain, ended.phase) == (kind, True, Phase.DOT)
    assert isinstance(post.send(), Accepted)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_words_that_are_no_smtp_end_the_transaction_before_anything_left(post: Post, sink: SmtpSink, step: str) -> None:
    sink.reply(step, GARBAGE, times=1)
    ended = post.send()
    assert isinstance(ended, Broken)
    assert (ended.kind, ended.uncertain) == ("protocol", False)
    assert isinstance(post.send(), Accepted)


@pytest.mark.parametrize("reply", ["150 a code from another protocol", "354 go on", "999 beyond"])
def test_a_code_that_cannot_be_is_a_broken_protocol(post: Post, sink: SmtpSink, reply: str) -> None:
    sink.reply("MAIL", reply, times=1)
    ended = post.send()
    assert isinstance(ended, Broken)
    assert (ended.kind, ended.uncertain, ended.phase) == ("protocol", False, Phase.MAIL)


@pytest.mark.parametrize(("step", "uncertain"), [("MAIL", False), ("RCPT", False), ("DATA", False), ("DOT", True)])
def test_a_silent_relay_costs_one_deadline_and_only_silence_after_the_dot_is_uncertain(
    posting: Posting, sink: SmtpSink, step: str, uncertain: bool
) -> None:
    # Given a relay that falls silent at a step
    sink.reply(step, HANG)
    post = posting(plain(sink), timeout=SHORT_S)

    # When a mail is sent
    ended = post.send()

    # Then the deadline ends it, and the next mail is not held up
    assert isinstance(ended, Broken)
    assert (ended.kind, ended.uncertain) == ("timeout", uncertain)
    sink.behave()
    assert isinstance(post.send(), Accepted)


def test_a_reply_of_several_lines_is_one_reply(post: Post, sink: SmtpSink) -> None:
    sink.reply("RCPT", "550-5.1.1 first line\r\n550 5.1.1 second line", times=1)
    ended = post.send()
    assert isinstance(ended, Rejected)
    assert ended.text == "5.1.1 first line\n5.1.1 second line"


def test_an_endless_reply_is_cut_off(post: Post, sink: SmtpSink) -> None:
    sink.reply("RCPT", "\r\n".join(["550-spam " + "x" * 900] * 60) + "\r\n550 end", times=1)
    ended = post.send()
    assert isinstance(ended, Broken)
    assert ended.kind == "protocol"


def test_the_mark_is_made_when_all_but_the_dot_is_there(post: Post, sink: SmtpSink) -> None:
    # Given a mark that looks at what the relay has
    seen = []

    async def mark() -> None:
        seen.append((dict(sink.counters.commands).get("DATA"), len(sink.mails)))

    # When a mail is sent with it
    ended = post.send(before_final_dot=mark)

    # Then DATA had been answered, and nothing had been accepted yet
    assert isinstance(ended, Accepted)
    assert seen == [(1, 0)]


def test_a_mark_that_fails_keeps_the_mail_from_leaving(post: Post, sink: SmtpSink) -> None:
    # Given a mark that another worker's claim makes impossible
    async def mark() -> None:
        raise LookupError("another worker has it")

    # When a mail is sent with it
    with pytest.raises(LookupError):
        post.send(before_final_dot=mark)

    # Then nothing was accepted, and the next mail goes through
    assert isinstance(post.send(), Accepted)
    assert len(sink.mails) == 1


def test_a_mark_that_never_ends_costs_half_a_deadline_and_nothing_leaves(posting: Posting, sink: SmtpSink) -> None:
    async def mark() -> None:
        await asyncio.Event().wait()

    ended = posting(plain(sink), timeout=SHORT_S).send(before_final_dot=mark)
    assert isinstance(ended, Broken)
    assert (ended.kind, ended.uncertain, ended.phase) == ("timeout", False, Phase.DATA)
    assert sink.mails == []


def test_a_refused_mail_makes_no_mark(post: Post, sink: SmtpSink) -> None:
    marks = []

    async def mark() -> None:
        marks.append(True)

    sink.reply("RCPT", "550 5.1.1 nobody", times=1)
    post.send(before_final_dot=mark)
    assert marks == []


@pytest.mark.parametrize("recipient", ["a\r\nRCPT TO:<x@y.test>@b.test", "a b@c.test", "a>@b.test", "", "a\x00@b.test"])
def test_an_address_that_would_end_its_command_is_never_sent(post: Post, sink: SmtpSink, recipient: str) -> None:
    with pytest.raises(InvalidAddress):
        post.send(recipient)
    assert sink.counters.connections == 0


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\n.\nMAIL\r\n", b"no end", b""])
def test_a_content_with_other_line_ends_is_never_sent(post: Post, content: bytes) -> None:
    with pytest.raises(ValueError, match="CRLF"):
        post.send("r@example.org", content)


def test_a_mail_larger_than_the_relay_offers_to_take_is_refused_here(posting: Posting) -> None:
    # Given a relay that takes 1,000 bytes
    small = SmtpSink(extensions=("SIZE 1000",))
    try:
        # When a larger mail is sent
        ended = posting(plain(small)).send("r@example.org", CONTENT + b"x" * 1000 + b"\r\n")
        # Then it is refused as the relay would have
        assert isinstance(ended, Rejected)
        assert (ended.code, ended.text[:5]) == (552, "5.3.4")
        assert "MAIL" not in small.counters.commands
    finally:
        small.close()


def test_an_international_local_part_uses_smtputf8(post: Post, sink: SmtpSink) -> None:
    content = "To: jörg@example.org\r\n\r\nx\r\n".encode()
    assert isinstance(post.send("jörg@example.org", content, smtputf8=True), Accepted)
    assert sink.mails[0].recipients == ("jörg@example.org",)
    assert "SMTPUTF8" in sink.mails[0].parameters
    assert "BODY=8BITMIME" in sink.mails[0].parameters


@pytest.mark.parametrize(("options", "code"), [({"smtputf8": True}, "5.6.7"), ({"content": "ö\r\n".encode()}, "5.6.3")])
def test_what_the_relay_cannot_carry_is_refused_here(posting: Posting, options: dict[str, object], code: str) -> None:
    old = SmtpSink(extensions=())
    try:
        ended = posting(plain(old)).send(**options)  # type: ignore[arg-type]
        assert isinstance(ended, Rejected)
        assert ended.text.startswith(code)
    finally:
        old.close()
