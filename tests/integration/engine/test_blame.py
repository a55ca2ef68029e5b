"""Who pays for a refusal: the mail, its sender, or everybody, because it is the relay's matter."""

import pytest

from notifier.channels.email.outcomes import classify
from notifier.domain.outcome import Deferred, NotTried, Refused
from notifier.engine.relay_breaker import (
    FAILURES_IN_A_ROW,
    FIRST_COOL_DOWN_S,
    LONGEST_REST_S,
    PROBE_PATIENCE_S,
    REST_S,
    SUSPICION_COOL_DOWN_S,
)
from notifier.engine.sender_pauses import (
    MOST_KEPT,
    REFUSALS_IN_A_ROW,
    SenderPauses,
)
from notifier.engine.smtp import Mail
from notifier.engine.transaction import Accepted, Paused, Phase, Rejected, Transaction
from tests.integration.engine.conftest import Clock, Post, Posting, plain
from tests.servers.smtp import SmtpSink

NOT_YOURS = "550 5.7.60 SMTP; Client does not have permissions to send as this sender"
NO_RELAY = "554 5.7.1 Relay access denied"


@pytest.mark.parametrize(
    ("step", "reply"),
    [
        ("RCPT", "554 5.7.1 <user@example.com>: Recipient address rejected: Access denied"),
        ("RCPT", "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required"),
        ("RCPT", "550 5.1.1 no such user"),
        ("RCPT", "450 4.7.1 Greylisted for 5 minutes"),
        ("RCPT", "501 5.1.3 Bad recipient address syntax"),
        ("RCPT", "550 Sender verify failed"),
        ("DOT", "550 5.7.1 Spam is not welcome here"),
        ("DOT", "550 5.7.26 Unauthenticated email is not accepted"),
        ("DOT", "451 4.7.1 Try again later"),
    ],
)
def test_two_hundred_refused_mails_hold_up_nobody_else(
    posting: Posting, smtp_sink: SmtpSink, step: str, reply: str
) -> None:
    # Given a relay that refuses two hundred recipients of one domain
    smtp_sink.reply(step, reply, matching=r"r\d+@example.org")
    post = posting(plain(smtp_sink), connections=5)

    # When they and another mail of the same sender are sent, by a clock that stands still
    refused = post.send_together(200)
    good = post.send("good@elsewhere.example")

    # Then each was refused by itself, and the other arrived
    assert all(isinstance(one, Rejected) for one in refused)
    assert isinstance(good, Accepted)
    assert post.relays.states()[0].up
    assert post.relays.paused_senders() == ()
    assert post.relays.paused_for() == 0


@pytest.mark.parametrize(("step", "matching"), [("MAIL", "bad@other.example"), ("DOT", r"r\d+@example.org")])
def test_one_bad_sender_waits_and_nobody_else(
    posting: Posting, smtp_sink: SmtpSink, clock: Clock, step: str, matching: str
) -> None:
    # Given a relay that does not let us send as one sender
    smtp_sink.reply(step, NOT_YOURS, matching=matching)
    post = posting(plain(smtp_sink))

    # When his mails and those of others come in turn
    first = post.send("r1@example.org", sender="bad@other.example")
    later = [post.send(f"r{n}@example.org", sender="bad@other.example") for n in range(8)]
    good = [post.send(f"g{n}@example.com", sender="good@other.example") for n in range(8)]

    # Then one was refused for our fault, and his others wait without a try, while those of others go out
    outcome = classify(first)
    assert isinstance(outcome, Deferred)
    assert outcome.our_fault
    assert {classify(one).code for one in later} == {"sender_paused"}
    assert all(isinstance(one, Accepted) for one in good)
    (paused,) = post.relays.paused_senders()
    assert (paused.sender, paused.probe_at) == ("bad@other.example", clock.now + FIRST_COOL_DOWN_S)
    assert "5.7.60" in paused.reason
    assert post.relays.states()[0].up

    # And later one of his mails asks, and the wait grows
    clock.now += FIRST_COOL_DOWN_S
    assert isinstance(post.send("r1@example.org", sender="bad@other.example"), Rejected)
    held = post.send("r1@example.org", sender="bad@other.example")
    assert isinstance(held, Paused)
    assert held.seconds == 2 * FIRST_COOL_DOWN_S

    # And when the relay lets us, all go out again
    smtp_sink.behave()
    clock.now += held.seconds
    assert isinstance(post.send("r1@example.org", sender="bad@other.example"), Accepted)
    assert isinstance(post.send("r2@example.org", sender="bad@other.example"), Accepted)
    assert post.relays.paused_senders() == ()


def test_mails_of_a_refused_sender_in_one_batch_with_good_ones(posting: Posting, smtp_sink: SmtpSink) -> None:
    smtp_sink.reply("MAIL", NOT_YOURS, matching="bad@")
    post = posting(plain(smtp_sink))
    post.send(sender="bad@other.example")

    together = post.send_together(20, senders=["bad@other.example", "s@example.org"])

    assert [type(one) for one in together] == [Paused, Accepted] * 10
    assert smtp_sink.counters.commands["MAIL"] == 11


def test_the_second_relay_may_take_what_the_first_refuses_as_a_senders(posting: Posting, smtp_sink: SmtpSink) -> None:
    second = SmtpSink()
    smtp_sink.reply("MAIL", NOT_YOURS)
    post = posting(plain(smtp_sink), plain(second))
    assert isinstance(post.send(), Rejected)
    ended = post.send()
    second.close()
    assert isinstance(ended, Accepted)


def test_a_domain_is_paused_when_several_of_its_senders_are_refused(posting: Posting, smtp_sink: SmtpSink) -> None:
    # Given a relay that takes no sender of a domain, and a new envelope sender for each mail
    smtp_sink.reply("MAIL", "550 5.1.0 Sender rejected", matching="@other.example")
    post = posting(plain(smtp_sink))

    ended = [post.send(sender=f"bounce-{n}@other.example") for n in range(REFUSALS_IN_A_ROW + 1)]

    assert [type(one) for one in ended] == [Rejected] * REFUSALS_IN_A_ROW + [Paused]
    assert [one.sender for one in post.relays.paused_senders()] == ["@other.example"]
    assert isinstance(post.send(), Accepted)


def test_a_from_that_the_relay_refuses_at_the_final_dot_holds_up_no_other_with_the_same_return_path(
    posting: Posting, smtp_sink: SmtpSink
) -> None:
    # Given one envelope sender for all mails, and a relay that does not let us write one of the authors
    smtp_sink.reply("DOT", "554 5.2.252 SendAsDenied; may not send as bad@other.example", matching=r"r@example.org")
    post = posting(plain(smtp_sink))

    first = post.send("r@example.org", author="bad@other.example")
    held = post.send("x@example.org", author="bad@other.example")
    other = post.send("x@example.org", author="good@other.example")

    assert isinstance(first, Rejected)
    assert isinstance(held, Paused)
    assert isinstance(other, Accepted)
    assert [one.sender for one in post.relays.paused_senders()] == ["bad@other.example"]


@pytest.mark.parametrize(("reply", "refused"), [(NOT_YOURS, 1), ("550 Sender address rejected", REFUSALS_IN_A_ROW)])
def test_bounce_addresses_of_their_own_are_paused_as_their_domain_and_none_is_left_behind(
    post: Post, smtp_sink: SmtpSink, clock: Clock, reply: str, refused: int
) -> None:
    # Given a relay that refuses our return path, which is another one for each mail (VERP)
    smtp_sink.reply("MAIL", reply, matching="@b.example")

    def send(number: int) -> Transaction:
        return post.send(f"r{number}@d{number}.example", sender=f"bounces+{number}@b.example", author="s@shop.example")

    # When mails are sent
    ended = [send(number) for number in range(9)]

    # Then what is paused is the domain of the return path
    assert [type(one) for one in ended] == [Rejected] * refused + [Paused] * (9 - refused)
    assert [one.sender for one in post.relays.paused_senders()] == ["@b.example"]

    # And when the relay takes it, nothing is paused any more
    smtp_sink.behave()
    clock.now += FIRST_COOL_DOWN_S
    assert isinstance(send(10), Accepted)
    assert post.relays.paused_senders() == ()


def test_what_is_kept_of_senders_is_bounded(clock: Clock) -> None:
    pauses = SenderPauses("relay:25", clock)
    for number in range(3 * MOST_KEPT):
        mail = Mail(f"s@d{number}.example", "r@example.org", b"", smtputf8=False)
        pauses.ended(mail, Rejected("relay:25", Phase.MAIL, 550, NOT_YOURS.partition(" ")[2]))
    assert MOST_KEPT // 3 <= len(pauses.paused) <= MOST_KEPT


def test_one_greylisted_mail_waits_some_minutes_and_slows_nobody(posting: Posting, smtp_sink: SmtpSink) -> None:
    smtp_sink.reply("DOT", "451 4.7.1 Try again later", times=1)
    post = posting(plain(smtp_sink), connections=5)

    first, others = post.send(), post.send_together(200)

    outcome = classify(first)
    assert isinstance(outcome, Deferred)
    assert (outcome.in_vain_for, outcome.throttled) == (300.0, False)
    assert all(isinstance(one, Accepted) for one in others)


def test_one_mail_that_is_refused_again_and_again_counts_once(post: Post, smtp_sink: SmtpSink) -> None:
    smtp_sink.reply("RCPT", NO_RELAY)
    for _ in range(5 * FAILURES_IN_A_ROW):
        assert isinstance(post.send(), Rejected)
    assert post.relays.states()[0].up


def pause(post: Post) -> None:
    """By mails of one sender to one domain."""
    for number in range(FAILURES_IN_A_ROW):
        assert isinstance(post.send(f"r{number}@example.org"), Rejected)
    assert not post.relays.states()[0].up


def test_a_relay_that_refuses_some_mails_as_no_relay_of_ours_is_found_out_by_another_at_once(
    post: Post, smtp_sink: SmtpSink
) -> None:
    # Given a relay that takes mail for its own domains only, and is paused because of mails to others
    smtp_sink.reply("RCPT", NO_RELAY, matching=r"@example.org")
    pause(post)
    assert isinstance(post.send("r9@example.org"), Paused)

    # When a mail of another kind comes, by a clock that stands still
    assert post.relays.paused_for() == 0
    assert isinstance(post.send("good@inside.example"), Accepted)

    # Then the relay is up, and those mails do not pause it again
    assert post.relays.states()[0].up
    for number in range(2 * FAILURES_IN_A_ROW):
        assert isinstance(post.send(f"r{number}@example.org"), Rejected)
    assert post.relays.states()[0].up
    # And when it refuses all, it is paused
    smtp_sink.reply("RCPT", NO_RELAY)
    for number in range(FAILURES_IN_A_ROW):
        post.send(f"r{number}@inside.example")
    assert not post.relays.states()[0].up


def test_bounce_addresses_of_their_own_once_made_every_mail_one_of_another_kind(
    post: Post, smtp_sink: SmtpSink
) -> None:
    # Given mails of one From, each with a return path of its own (VERP), and recipients that are refused as relaying
    smtp_sink.reply("RCPT", NO_RELAY, matching=r"@example.org")

    def send(recipient: str) -> Transaction:
        return post.send(recipient, sender=f"bounces+{recipient.partition('@')[0]}@b.example", author="s@b.example")

    for number in range(FAILURES_IN_A_ROW):
        assert isinstance(send(f"r{number}@example.org"), Rejected)

    # When more of them come, by a clock that stands still
    more = [send(f"r{number + 9}@example.org") for number in range(2 * FAILURES_IN_A_ROW)]

    # Then none of them asks, a mail to another domain does, and they do not pause the relay again
    assert all(isinstance(one, Paused) for one in more)
    assert isinstance(send("good@inside.example"), Accepted)
    assert all(isinstance(send(f"r{number}@example.org"), Rejected) for number in range(2 * FAILURES_IN_A_ROW))
    assert isinstance(send("good2@inside.example"), Accepted)
    assert post.relays.states()[0].up


def test_a_probe_is_never_the_mail_that_was_just_refused_unless_there_is_no_other(
    post: Post, smtp_sink: SmtpSink, clock: Clock
) -> None:
    # Given a relay paused for what it said about five mails
    smtp_sink.reply("RCPT", NO_RELAY, matching=r"r[0-4]@")
    pause(post)

    # When its time has come and they come again
    clock.now += SUSPICION_COOL_DOWN_S
    assert all(isinstance(post.send(f"r{number}@example.org"), Paused) for number in range(FAILURES_IN_A_ROW))

    # Then another one asks
    assert isinstance(post.send("r9@example.org"), Accepted)
    assert post.relays.states()[0].up

    # And when there is none but those, one of them asks in the end
    pause(post)
    clock.now += SUSPICION_COOL_DOWN_S + PROBE_PATIENCE_S
    smtp_sink.behave()
    assert isinstance(post.send("r1@example.org"), Accepted)
    assert post.relays.states()[0].up


def test_a_helo_name_that_is_no_name_is_about_us_and_parks_nothing(post: Post, smtp_sink: SmtpSink) -> None:
    smtp_sink.reply("RCPT", "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname")

    ended = [post.send(f"r{number}@d{number}.example") for number in range(40)]

    outcomes = [classify(one) for one in ended]
    assert not any(isinstance(one, Refused) for one in outcomes)
    tries = [one for one in outcomes if isinstance(one, Deferred)]
    assert all(one.our_fault for one in tries)
    assert len(tries) <= 2 * FAILURES_IN_A_ROW
    assert {one.code for one in outcomes if isinstance(one, NotTried)} == {"relay_paused"}


def test_a_relay_that_is_closing_at_the_final_dot_is_left_to_the_second_at_once(
    posting: Posting, smtp_sink: SmtpSink
) -> None:
    # Given a relay that takes everything and then says that it is unwell
    second = SmtpSink()
    smtp_sink.reply("DOT", "421 4.3.0 Temporary System Problem")
    post = posting(plain(smtp_sink), plain(second))

    # When mails are sent
    ended = [post.send(f"r{number}@example.org") for number in range(2 * FAILURES_IN_A_ROW)]

    # Then the second takes each in the same delivery, and the first is paused after some
    second.close()
    assert all(isinstance(one, Accepted) for one in ended)
    assert len(second.mails) == 2 * FAILURES_IN_A_ROW
    assert smtp_sink.counters.commands["DOT"] == FAILURES_IN_A_ROW
    assert not post.relays.states()[0].up


def test_an_account_that_may_not_send_is_left_to_the_second_relay_and_parks_nothing(
    posting: Posting, smtp_sink: SmtpSink
) -> None:
    # Given a provider that takes our login and every mail, and then says that it has stopped the account
    second = SmtpSink()
    smtp_sink.reply(
        "DOT", "554 Message rejected: Sending paused for this account. For more information, see your inbox"
    )
    alone, both = posting(plain(smtp_sink)), posting(plain(smtp_sink), plain(second))

    # When mails are sent by it alone, and with another relay behind it
    kept = [alone.send(f"r{number}@example.org") for number in range(2 * FAILURES_IN_A_ROW)]
    ended = [both.send(f"r{number}@example.org") for number in range(2 * FAILURES_IN_A_ROW)]

    # Then none is given up, the relay is paused after some, and the second takes each in the same delivery
    second.close()
    assert [type(classify(one)) for one in kept] == [Deferred] * FAILURES_IN_A_ROW + [NotTried] * FAILURES_IN_A_ROW
    assert all(isinstance(one, Accepted) for one in ended)
    assert smtp_sink.counters.commands["DOT"] == 2 * FAILURES_IN_A_ROW
    assert not alone.relays.states()[0].up


def test_a_relay_that_takes_nothing_for_its_rate_rests_ever_longer(
    post: Post, smtp_sink: SmtpSink, clock: Clock
) -> None:
    # Given a relay whose daily allowance is used up
    smtp_sink.reply("MAIL", "454 4.7.0 Daily sending quota exceeded")
    rest = REST_S
    for _ in range(10):
        assert isinstance(post.send(), Rejected)
        held = post.send()
        assert isinstance(held, Paused)
        assert (held.seconds, held.down) == (rest, False)
        clock.now += rest
        rest = min(2 * rest, LONGEST_REST_S)

    # When it takes mails again, Then it rests shortly the next time
    smtp_sink.behave()
    assert isinstance(post.send(), Accepted)
    smtp_sink.reply("MAIL", "454 4.7.0 Daily sending quota exceeded")
    post.send()
    held = post.send()
    assert isinstance(held, Paused)
    assert held.seconds == REST_S


def test_a_login_that_is_asked_for_one_recipient_pauses_nobody(post: Post, smtp_sink: SmtpSink) -> None:
    smtp_sink.reply("RCPT", "550 5.7.1 <group@example.org>: authentication required", matching="group@")
    assert isinstance(post.send("group@example.org"), Rejected)
    assert isinstance(post.send(), Accepted)


def test_a_cool_down_after_a_broken_relay_is_as_before(post: Post, smtp_sink: SmtpSink) -> None:
    smtp_sink.reply("MAIL", "530 5.7.0 authentication required")
    assert isinstance(post.send(), Rejected)
    assert post.relays.paused_for() == FIRST_COOL_DOWN_S
