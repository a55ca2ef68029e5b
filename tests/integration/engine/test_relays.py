"""Connections that are kept, relays that are down, and the second relay that takes over."""

from collections.abc import Iterator

import pytest

from notifier.engine.relay_breaker import (
    FAILURES_IN_A_ROW,
    FIRST_COOL_DOWN_S,
    LONGEST_COOL_DOWN_S,
    REST_S,
    SUSPICION_COOL_DOWN_S,
)
from notifier.engine.smtp_pool import IDLE_CHECK_S, MAX_AGE_S
from notifier.engine.transaction import Accepted, Broken, Paused, Phase, Rejected
from notifier.errors import SettingsError
from tests.integration.engine.conftest import Clock, Post, Posting, plain
from tests.servers.certificates import Certificate
from tests.servers.faults import DROP, GARBAGE, HANG
from tests.servers.patience import PATIENCE_S
from tests.servers.ports import free_port
from tests.servers.smtp import SmtpSink


@pytest.fixture
def second_sink() -> Iterator[SmtpSink]:
    sink = SmtpSink()
    yield sink
    sink.close()


def test_no_more_connections_are_opened_than_allowed(posting: Posting, smtp_sink: SmtpSink) -> None:
    post = posting(plain(smtp_sink), connections=3)
    assert all(isinstance(ended, Accepted) for ended in post.send_many(60))
    assert smtp_sink.counters.peak_connections == 3


def test_a_connection_is_closed_after_its_share_of_mails(posting: Posting, smtp_sink: SmtpSink) -> None:
    post = posting(plain(smtp_sink), mails_per_connection=10)
    post.send_many(25)
    assert smtp_sink.counters.connections == 3


def test_a_connection_is_closed_when_it_is_too_old(post: Post, smtp_sink: SmtpSink, clock: Clock) -> None:
    post.send()
    clock.now += MAX_AGE_S
    post.send()
    assert smtp_sink.counters.connections == 2


def test_a_connection_that_rested_is_asked_before_it_is_trusted(post: Post, smtp_sink: SmtpSink, clock: Clock) -> None:
    # Given a connection that rested, and a relay that has forgotten it
    post.send()
    clock.now += IDLE_CHECK_S
    smtp_sink.reply("NOOP", DROP, times=1)

    # When a mail is sent
    ended = post.send()

    # Then it goes over a new connection
    assert isinstance(ended, Accepted)
    assert smtp_sink.counters.connections == 2


def test_a_rested_connection_that_answers_is_used_again(post: Post, smtp_sink: SmtpSink, clock: Clock) -> None:
    post.send()
    clock.now += IDLE_CHECK_S
    post.send()
    assert smtp_sink.counters.connections == 1
    assert smtp_sink.counters.commands["NOOP"] == 1


@pytest.mark.parametrize("fault", [DROP, "421 4.4.2 idle for too long"])
def test_a_kept_connection_that_fails_at_its_first_command_is_replaced_at_once(
    post: Post, smtp_sink: SmtpSink, fault: str
) -> None:
    # Given a kept connection that the relay ends when it is used again
    post.send()
    smtp_sink.reply("MAIL", fault, times=1)

    # When a mail is sent
    ended = post.send()

    # Then it was sent over a new one, once
    assert isinstance(ended, Accepted)
    assert smtp_sink.counters.connections == 2
    assert len(smtp_sink.mails) == 2


def test_a_replaced_connection_is_not_replaced_again(post: Post, smtp_sink: SmtpSink) -> None:
    post.send()
    smtp_sink.reply("MAIL", DROP, times=2)
    ended = post.send()
    assert isinstance(ended, Broken)
    assert (ended.kind, ended.uncertain) == ("connection", False)


def test_a_connection_cut_while_it_rested_is_not_used(post: Post, smtp_sink: SmtpSink) -> None:
    post.send()
    smtp_sink.drop_connections()
    assert isinstance(post.send(), Accepted)


def test_a_relay_that_takes_no_further_connection_is_used_through_those_it_took(
    posting: Posting, smtp_sink: SmtpSink
) -> None:
    # Given a relay that greets everybody but the first with 421
    post = posting(plain(smtp_sink), connections=5)
    assert isinstance(post.send(), Accepted)
    smtp_sink.reply("CONNECT", "421 4.7.0 too many connections from you")

    # When many mails are sent at once
    ended = post.send_many(20)

    # Then all go through the connection it took, and the relay is not thought to be down
    assert all(isinstance(one, Accepted) for one in ended)
    assert post.relays.states()[0].up


@pytest.mark.parametrize(
    ("greeting", "phase", "code"),
    [("554 5.7.1 go away", Phase.CONNECT, 554), ("421 4.3.2 not now", Phase.CONNECT, 421)],
)
def test_a_relay_that_refuses_its_greeting_is_down_and_says_why(
    post: Post, smtp_sink: SmtpSink, greeting: str, phase: Phase, code: int
) -> None:
    # Given a relay that refuses everybody
    smtp_sink.reply("CONNECT", greeting)

    # When mails are sent
    first, second = post.send(), post.send()

    # Then the first says what the relay said, and the second did not even try
    assert isinstance(first, Rejected)
    assert (first.phase, first.code) == (phase, code)
    assert isinstance(second, Paused)
    assert (second.seconds, second.down) == (FIRST_COOL_DOWN_S, True)
    assert greeting in second.why
    assert smtp_sink.counters.connections == 1
    assert not post.relays.states()[0].up


@pytest.mark.parametrize("fault", [DROP, GARBAGE, HANG])
def test_a_relay_that_greets_wrongly_is_down(posting: Posting, smtp_sink: SmtpSink, fault: str) -> None:
    smtp_sink.reply("CONNECT", fault)
    post = posting(plain(smtp_sink), timeout=0.8)
    ended = post.send()
    assert isinstance(ended, Broken)
    assert not ended.uncertain
    assert ended.phase is Phase.CONNECT
    assert not post.relays.states()[0].up


def test_a_relay_that_is_not_there_is_down(posting: Posting) -> None:
    ended = posting(f"smtp+plain://127.0.0.1:{free_port()}").send()
    assert isinstance(ended, Broken)
    assert (ended.kind, ended.phase, ended.uncertain) == ("connection", Phase.CONNECT, False)


def test_a_name_that_does_not_resolve_is_a_matter_of_dns(posting: Posting) -> None:
    ended = posting("smtp+plain://no-such-host.invalid:25").send()
    assert isinstance(ended, Broken)
    assert ended.kind == "dns"


def test_a_relay_that_is_down_is_probed_by_one_mail_after_ever_longer_times(
    post: Post, smtp_sink: SmtpSink, clock: Clock
) -> None:
    # Given a relay that is down
    smtp_sink.reply("CONNECT", "421 4.3.2 not now")
    post.send()

    # When its cool-downs pass, Then one mail probes it each time, and each time the wait doubles up to a limit
    cool_down = FIRST_COOL_DOWN_S
    for probes in range(2, 10):
        clock.now += cool_down - 0.5
        post.send_many(3)
        assert smtp_sink.counters.connections == probes - 1
        clock.now += 0.5
        post.send_many(3)
        assert smtp_sink.counters.connections == probes
        cool_down = min(2 * cool_down, LONGEST_COOL_DOWN_S)

    # And when it is well again, it is up after one probe
    smtp_sink.behave()
    clock.now += cool_down
    assert isinstance(post.send(), Accepted)
    assert post.relays.states()[0].up


@pytest.mark.parametrize("greeting", ["554 5.7.1 go away", "421 4.3.2 not now", DROP, GARBAGE])
def test_the_second_relay_takes_over_within_the_same_delivery(
    posting: Posting, smtp_sink: SmtpSink, second_sink: SmtpSink, greeting: str
) -> None:
    # Given a first relay that is ill and a second that is well
    smtp_sink.reply("CONNECT", greeting)
    post = posting(plain(smtp_sink), plain(second_sink))

    # When mails are sent
    ended = [post.send(), post.send()]

    # Then the second relay takes them, and the first is not asked again meanwhile
    assert all(isinstance(one, Accepted) and one.relay == f"127.0.0.1:{second_sink.port}" for one in ended)
    assert smtp_sink.counters.connections == 1
    assert [state.up for state in post.relays.states()] == [False, True]


def test_the_first_relay_takes_over_again_when_it_is_well(
    posting: Posting, smtp_sink: SmtpSink, second_sink: SmtpSink, clock: Clock
) -> None:
    smtp_sink.reply("CONNECT", DROP, times=1)
    post = posting(plain(smtp_sink), plain(second_sink))
    post.send()
    clock.now += FIRST_COOL_DOWN_S
    ended = post.send()
    assert isinstance(ended, Accepted)
    assert ended.relay == f"127.0.0.1:{smtp_sink.port}"


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT", "ACCEPTED"])
def test_the_second_relay_never_gets_what_the_first_may_have(
    posting: Posting, smtp_sink: SmtpSink, second_sink: SmtpSink, step: str
) -> None:
    smtp_sink.reply(step, DROP)
    ended = posting(plain(smtp_sink), plain(second_sink)).send()
    assert isinstance(ended, Broken)
    assert second_sink.counters.connections == 0


def test_a_refused_login_sets_the_relay_down_and_the_second_takes_over(
    posting: Posting, tls_smtp_sink: SmtpSink, smtp_sink: SmtpSink, certificate: Certificate
) -> None:
    # Given a relay whose password has changed, and a second one
    first = tls_smtp_sink.url.replace("secret", "old")
    post = posting(first, plain(smtp_sink), ca_file=certificate.certificate)

    # When a mail is sent
    ended = post.send()

    # Then the second takes it, and the first's state says why
    assert isinstance(ended, Accepted)
    state = post.relays.states()[0]
    assert not state.up
    assert "535 5.7.8" in state.reason
    assert "old" not in state.reason


def test_what_the_first_relay_cannot_carry_is_left_to_the_second_and_waits_for_it(
    posting: Posting, second_sink: SmtpSink
) -> None:
    # Given a relay that takes small mails only, and another one behind it
    small = SmtpSink(extensions=("SIZE 10",))
    alone, both = posting(plain(small)), posting(plain(small), plain(second_sink))

    # When a larger one is sent, Then the second takes it
    assert isinstance(both.send(), Accepted)
    assert "MAIL" not in small.counters.commands

    # And while the second is away it waits, because nobody has refused it
    second_sink.stop()
    second_sink.drop_connections()
    assert isinstance(both.send(), Broken)
    assert isinstance(both.send(), Paused)

    # And where there is no other, or that one cannot either, it is refused
    assert isinstance(alone.send(), Rejected)
    assert isinstance(posting(plain(small), plain(small)).send(), Rejected)
    small.close()


def test_a_refused_login_alone_is_a_refusal_at_auth(
    posting: Posting, tls_smtp_sink: SmtpSink, certificate: Certificate
) -> None:
    ended = posting(tls_smtp_sink.url.replace("secret", "old"), ca_file=certificate.certificate).send()
    assert isinstance(ended, Rejected)
    assert (ended.phase, ended.code) == (Phase.AUTH, 535)


def test_a_relay_that_offers_no_login_we_know_is_a_refusal_at_auth(posting: Posting, smtp_sink: SmtpSink) -> None:
    ended = posting(plain(smtp_sink).replace("//", "//user:secret@")).send()
    assert isinstance(ended, Rejected)
    assert (ended.phase, ended.code) == (Phase.AUTH, 535)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
def test_a_relay_that_refuses_us_again_and_again_is_paused_and_the_second_takes_over(
    posting: Posting, smtp_sink: SmtpSink, second_sink: SmtpSink, clock: Clock, step: str
) -> None:
    # Given a relay whose policy refuses whatever we send
    smtp_sink.reply(step, "554 5.7.1 your server is on our list")
    post = posting(plain(smtp_sink), plain(second_sink))

    # When mails are sent
    ended = [post.send(f"r{number}@example.org") for number in range(FAILURES_IN_A_ROW + 1)]

    # Then so many are told so, and the next ones go through the second relay
    assert all(isinstance(one, Rejected) for one in ended[:-1])
    assert isinstance(ended[-1], Accepted)
    assert "5.7.1" in post.relays.states()[0].reason

    # And when its time comes one mail asks again; a connection alone proves nothing
    clock.now += SUSPICION_COOL_DOWN_S
    assert isinstance(post.send(), Rejected)
    assert isinstance(post.send(), Accepted)
    assert not post.relays.states()[0].up
    clock.now += 2 * SUSPICION_COOL_DOWN_S
    smtp_sink.behave()
    assert isinstance(post.send("another@example.org"), Accepted)
    assert post.relays.states()[0].up
    assert len(smtp_sink.mails) == 1


def test_one_mail_that_a_policy_refuses_says_nothing_about_the_relay(post: Post, smtp_sink: SmtpSink) -> None:
    smtp_sink.reply("RCPT", "550 5.7.1 not this one", matching="r[0-3]@")
    for _ in range(3):
        for number in (*range(4), 9):
            post.send(f"r{number}@example.org")
    assert post.relays.states()[0].up


def test_a_relay_that_wants_a_login_is_left_to_the_second_at_once(
    posting: Posting, smtp_sink: SmtpSink, second_sink: SmtpSink
) -> None:
    smtp_sink.reply("MAIL", "530 5.7.0 authentication required")
    post = posting(plain(smtp_sink), plain(second_sink))

    ended = [post.send() for _ in range(3)]

    assert all(isinstance(one, Accepted) and one.relay == f"127.0.0.1:{second_sink.port}" for one in ended)
    assert smtp_sink.counters.connections == 1


def test_a_relay_that_breaks_off_again_and_again_is_paused(post: Post, smtp_sink: SmtpSink) -> None:
    smtp_sink.reply("DATA", DROP)

    ended = [post.send() for _ in range(FAILURES_IN_A_ROW + 1)]

    assert isinstance(ended[-2], Broken)
    assert isinstance(ended[-1], Paused)
    assert post.relays.paused_for() == FIRST_COOL_DOWN_S


def test_while_every_relay_is_paused_nothing_is_said_and_the_sooner_probe_counts(
    posting: Posting, smtp_sink: SmtpSink, second_sink: SmtpSink, clock: Clock
) -> None:
    # Given two relays that went down one second apart
    smtp_sink.reply("CONNECT", "554 5.7.1 go away", times=1)
    post = posting(plain(smtp_sink), plain(second_sink))
    assert isinstance(post.send(), Accepted)
    second_sink.drop_connections()
    second_sink.reply("CONNECT", "554 5.7.1 go away")
    clock.now += 1
    assert isinstance(post.send(), Rejected)

    # When mails are sent
    ended = post.send_many(30)

    # Then none was tried, and the first relay is to be asked first
    assert all(isinstance(one, Paused) and one.seconds == FIRST_COOL_DOWN_S - 1 for one in ended)
    assert post.relays.paused_for() == FIRST_COOL_DOWN_S - 1
    clock.now += FIRST_COOL_DOWN_S - 1
    assert post.relays.paused_for() == 0
    assert all(isinstance(one, Accepted) for one in post.send_many(1))


@pytest.mark.parametrize("reply", ["450 4.7.1 too much mail from you", "454 Throttling failure: sending rate exceeded"])
def test_a_relay_that_is_too_slow_for_us_rests_before_the_others_are_refused_too(
    posting: Posting, smtp_sink: SmtpSink, second_sink: SmtpSink, clock: Clock, reply: str
) -> None:
    # Given a relay that throttles us
    smtp_sink.reply("MAIL", reply)
    post = posting(plain(smtp_sink), plain(second_sink), connections=2)

    # When many mails are sent at once
    ended = post.send_many(50)

    # Then no more are refused than were under way, and the second relay is not flooded in its place
    refused = sum(isinstance(one, Rejected) for one in ended)
    assert refused in (1, 2)
    rests = [one for one in ended if isinstance(one, Paused)]
    assert len(rests) == 50 - refused
    assert {(one.seconds, one.down) for one in rests} == {(REST_S, False)}
    assert second_sink.counters.connections == 0
    # And the relay is still up, and used again a second later
    assert post.relays.states()[0].up
    smtp_sink.behave()
    clock.now += REST_S
    assert isinstance(post.send(), Accepted)


def test_waiting_for_a_connection_ends_some_time(posting: Posting, smtp_sink: SmtpSink) -> None:
    # Given one connection, on which the relay answers nothing any more
    smtp_sink.reply("DOT", HANG)
    post = posting(plain(smtp_sink), timeout=0.2)

    # When more mails are sent than its time allows
    ended = post.send_many(30)

    # Then the last ones were never said to the relay, and say so
    assert all(isinstance(one, Broken) and one.kind == "timeout" for one in ended)
    waiting = [one for one in ended if isinstance(one, Broken) and one.phase is Phase.QUEUE]
    assert waiting
    assert not any(one.uncertain for one in waiting)


def test_closing_says_goodbye_to_idle_connections(post: Post, smtp_sink: SmtpSink) -> None:
    post.send()
    post.engine.run(post.relays.close, timeout=PATIENCE_S)
    post.send()
    assert smtp_sink.counters.connections == 2
    assert smtp_sink.counters.commands["QUIT"] == 1


@pytest.mark.parametrize("url", ["http://relay.test", "smtp://", "relay.test:25", "smtp+tls://relay.test"])
def test_a_url_that_names_no_relay_is_told_at_start(posting: Posting, url: str) -> None:
    with pytest.raises(SettingsError, match="NOTIFIER_SMTP_URL"):
        posting(url)
