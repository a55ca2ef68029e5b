"""Mails that go together: each over the connection of the one before, whatever becomes of that one."""

import asyncio
from collections.abc import Iterator

import pytest

from notifier.engine.priority_semaphore import HANDICAP
from notifier.engine.relays import checked
from notifier.engine.transaction import Accepted, Broken, Paused, Phase, Rejected, Transaction
from tests.integration.engine.conftest import CONTENT, Posting, plain
from tests.servers.faults import DROP, GARBAGE, HANG
from tests.servers.patience import PATIENCE_S
from tests.servers.smtp import EXTENSIONS, SmtpSink

WITHOUT_PIPELINING = tuple(word for word in EXTENSIONS if word != "PIPELINING")
OTHERS = [("r0@example.org",), ("r1@example.org",), ("r3@example.org",), ("r4@example.org",)]


@pytest.fixture(params=[EXTENSIONS, WITHOUT_PIPELINING], ids=["pipelined", "stepwise"])
def sink(request: pytest.FixtureRequest) -> Iterator[SmtpSink]:
    sink = SmtpSink(extensions=request.param)
    yield sink
    sink.close()


def arrived(sink: SmtpSink) -> list[tuple[str, ...]]:
    return [tuple(mail.recipients) for mail in sink.mails]


def test_a_batch_arrives_once_and_in_order_over_one_connection(posting: Posting, sink: SmtpSink) -> None:
    ended = posting(plain(sink), connections=1).send_together(30)
    assert all(isinstance(one, Accepted) for one in ended)
    assert arrived(sink) == [(f"r{number}@example.org",) for number in range(30)]
    assert sink.counters.connections == 1


def test_several_connections_share_a_batch(posting: Posting, sink: SmtpSink) -> None:
    ended = posting(plain(sink), connections=4).send_together(30)
    assert all(isinstance(one, Accepted) for one in ended)
    assert sorted(arrived(sink)) == sorted((f"r{number}@example.org",) for number in range(30))
    assert 1 < sink.counters.connections <= 4


def test_a_mail_that_gets_no_answer_holds_up_nobody_but_itself(posting: Posting, sink: SmtpSink) -> None:
    # Given a relay that falls silent on the connection that names one recipient
    sink.reply("RCPT", HANG, matching="r0@")

    # When a batch goes over two connections
    ended = posting(plain(sink), connections=2, timeout=1.0).send_together(20)

    # Then all others arrive over the second one
    assert isinstance(ended[0], Broken)
    assert all(isinstance(one, Accepted) for one in ended[1:])
    assert len(arrived(sink)) == 19


def test_batches_that_wait_for_each_other_arrive_once_and_leave_nothing_waiting(
    posting: Posting, sink: SmtpSink
) -> None:
    # Given more batches than connections
    post = posting(plain(sink), connections=2)
    batches = [[checked("s@example.org", f"b{b}.r{n}@example.org", CONTENT) for n in range(15)] for b in range(5)]
    ended: list[Transaction] = []

    async def all_at_once() -> None:
        told = lambda _, transaction, __: ended.append(transaction)  # noqa: E731
        await asyncio.gather(*(post.relays.deliver_all(batch, told) for batch in batches))

    # When they are sent at once
    post.engine.run(all_at_once, timeout=PATIENCE_S)

    # Then each mail arrives once, and the connections are free for others
    assert len(ended) == 75
    assert all(isinstance(one, Accepted) for one in ended)
    assert sorted(arrived(sink)) == sorted((mail.recipient,) for batch in batches for mail in batch)
    assert sink.counters.connections == 2
    assert all(isinstance(one, Accepted) for one in post.send_together(4))


def test_a_mail_more_urgent_than_a_batch_does_not_wait_for_all_of_it(posting: Posting, sink: SmtpSink) -> None:
    # Given a batch that has begun to go over the only connection
    post = posting(plain(sink), connections=1)
    batch = [checked("s@example.org", f"r{n}@example.org", CONTENT) for n in range(600)]
    urgent = checked("s@example.org", "urgent@example.org", CONTENT)

    async def urgent_last() -> None:
        begun = asyncio.Event()
        HANDICAP.set(60.0)
        mailing = asyncio.create_task(post.relays.deliver_all(batch, lambda *_: begun.set()))
        await begun.wait()
        HANDICAP.set(0.0)
        await post.relays.deliver_all([urgent], lambda *_: None)
        await mailing

    # When somebody more urgent comes
    post.engine.run(urgent_last, timeout=PATIENCE_S)

    # Then it is let past, and all arrive
    assert ("urgent@example.org",) in arrived(sink)[:-1]
    assert len(set(arrived(sink))) == 601


def test_a_connection_carries_no_more_mails_than_it_may(posting: Posting, sink: SmtpSink) -> None:
    ended = posting(plain(sink), connections=1, mails_per_connection=4).send_together(10)
    assert all(isinstance(one, Accepted) for one in ended)
    assert sink.counters.connections == 3


@pytest.mark.parametrize("reply", ["450 4.2.1 not now", "550 5.1.1 never"])
def test_a_refused_recipient_is_the_only_one_refused(posting: Posting, sink: SmtpSink, reply: str) -> None:
    # Given a relay that refuses the third of five
    sink.reply("RCPT", reply, matching="r2@")

    # When they are sent together
    ended = posting(plain(sink), connections=1).send_together(5)

    # Then the others arrive over the same connection
    assert ended[2] == Rejected(f"127.0.0.1:{sink.port}", Phase.RCPT, int(reply[:3]), reply[4:])
    assert [isinstance(one, Accepted) for one in ended] == [True, True, False, True, True]
    assert arrived(sink) == OTHERS
    assert sink.counters.connections == 1


@pytest.mark.parametrize("reply", ["452 4.3.1 no room", "554 5.6.0 not this"])
def test_a_refused_content_leaves_the_mail_behind_it_alone(posting: Posting, sink: SmtpSink, reply: str) -> None:
    # Given a relay that refuses one content
    sink.reply("DOT", reply, times=1)

    # When five are sent together
    ended = posting(plain(sink), connections=1).send_together(5)

    # Then only the first one is refused, and the others arrive
    assert ended[0] == Rejected(f"127.0.0.1:{sink.port}", Phase.DOT, int(reply[:3]), reply[4:])
    assert all(isinstance(one, Accepted) for one in ended[1:])
    assert arrived(sink) == [(f"r{number}@example.org",) for number in range(1, 5)]


@pytest.mark.parametrize(("fault", "kind"), [(DROP, "connection"), (GARBAGE, "protocol")])
def test_only_the_mail_whose_final_dot_got_no_answer_is_uncertain(
    posting: Posting, sink: SmtpSink, fault: str, kind: str
) -> None:
    # Given a relay that breaks off at a final dot
    sink.reply("DOT", fault, times=1)

    # When five mails are sent together
    ended = posting(plain(sink), connections=1).send_together(5)

    # Then the one behind it goes over a new connection, once
    assert isinstance(ended[0], Broken)
    assert (ended[0].kind, ended[0].uncertain, ended[0].phase) == (kind, True, Phase.DOT)
    assert all(isinstance(one, Accepted) for one in ended[1:])
    assert arrived(sink) == [(f"r{number}@example.org",) for number in range(1, 5)]


@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
def test_a_connection_that_ends_between_two_mails_costs_nobody_more_than_one_try(
    posting: Posting, sink: SmtpSink, step: str
) -> None:
    # Given a relay that closes the connection when it hears of the third mail
    sink.reply(step, DROP, matching="r2@" if step == "RCPT" else "", times=1)

    # When five are sent together
    ended = posting(plain(sink), connections=1).send_together(5)

    # Then each of the others arrives exactly once
    lost = [place for place, one in enumerate(ended) if not isinstance(one, Accepted)]
    assert len(lost) <= 1
    assert arrived(sink) == [(f"r{number}@example.org",) for number in range(5) if number not in lost]


def test_a_second_relay_takes_over_what_the_first_one_wants_a_login_for(
    posting: Posting, sink: SmtpSink, smtp_sink: SmtpSink
) -> None:
    sink.reply("MAIL", "530 5.7.0 log in first")
    ended = posting(plain(sink), plain(smtp_sink), connections=2).send_together(10)
    assert all(isinstance(one, Accepted) for one in ended)
    assert sorted(arrived(smtp_sink)) == sorted((f"r{number}@example.org",) for number in range(10))
    assert sink.mails == []


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_mail_that_expired_while_it_waited_its_turn_is_left_out(posting: Posting, sink: SmtpSink, place: int) -> None:
    # Given five mails for one connection, one of which is of no use any more when its turn comes
    post = posting(plain(sink), connections=1)
    mails = [
        checked("s@example.org", f"r{n}@example.org", CONTENT, expires=0.0 if n == place else None) for n in range(5)
    ]
    ended: dict[int, Transaction] = {}

    # When they are sent together
    told = lambda number, transaction, _: ended.update({number: transaction})  # noqa: E731
    post.engine.run(lambda: post.relays.deliver_all(mails, told), timeout=PATIENCE_S)

    # Then nothing is said about it to the relay, and the others arrive
    assert isinstance(ended[place], Paused)
    assert arrived(sink) == [(f"r{n}@example.org",) for n in range(5) if n != place]
    assert sink.counters.connections == 1
