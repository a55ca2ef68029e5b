"""The whole table of what a relay's answer means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.email.outcomes import CONNECTION_WAIT_S, classify
from notifier.domain.outcome import REPLY_LIMIT, Cause, Deferred, NotTried, Outcome, Refused, Sent
from notifier.engine.transaction import Accepted, Breakage, Broken, Paused, Phase, Rejected

CONNECT, AUTH, MAIL, RCPT, DATA, DOT = (
    Phase.CONNECT, Phase.AUTH, Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT,
)  # fmt: skip

LATER = "later"
GREYLISTED = "later, after some minutes"
THROTTLED = "throttled"
OURS = "our fault"
NEVER = "never"
NO_SUCH = "never, and suppressed"


def meaning(outcome: Outcome) -> str:
    match outcome:
        case Deferred(throttled=True, our_fault=False, uncertain=False):
            return THROTTLED
        case Deferred(our_fault=True, throttled=False, uncertain=False):
            return OURS
        case Deferred(in_vain_for=minutes, uncertain=False) if minutes:
            return GREYLISTED
        case Deferred(uncertain=False):
            return LATER
        case Refused(suppress=True, cause=Cause.BAD_RECIPIENT, disable_endpoint=False):
            return NO_SUCH
        case Refused(cause=Cause.REFUSED, disable_endpoint=False):
            return NEVER
        case _:
            raise AssertionError(f"not in the table: {outcome}")


@pytest.mark.parametrize(
    ("phase", "code", "text", "expected", "outcome_code"),
    [
        # throttling: it wants less of us
        (MAIL, 450, "4.7.1 Error: too much mail from 192.0.2.1", THROTTLED, "smtp_450_4.7.1"),
        (RCPT, 451, "4.7.650 too busy", THROTTLED, "smtp_451_4.7.650"),
        (RCPT, 450, "4.2.1 sending rate exceeded", THROTTLED, "smtp_450_4.2.1"),
        (RCPT, 451, "Throttled, slow down", THROTTLED, "smtp_451"),
        (RCPT, 454, "too many messages", THROTTLED, "smtp_454"),
        (DOT, 421, "4.7.28 unusual rate of mail", THROTTLED, "smtp_421_4.7.28"),
        (DOT, 550, "5.4.5 Daily user sending limit exceeded", THROTTLED, "smtp_550_5.4.5"),
        (CONNECT, 421, "4.7.0 too many connections from 192.0.2.1", THROTTLED, "smtp_421_4.7.0"),
        (MAIL, 452, "4.5.3 too many messages sent", THROTTLED, "smtp_452_4.5.3"),
        (RCPT, 452, "4.5.3 Too many recipients", THROTTLED, "smtp_452_4.5.3"),
        # not now
        (CONNECT, 421, "4.3.2 not now", LATER, "smtp_421_4.3.2"),
        (MAIL, 421, "", LATER, "smtp_421"),
        (DOT, 421, "4.4.2 timeout", LATER, "smtp_421_4.4.2"),
        (AUTH, 454, "4.7.0 temporary authentication failure", LATER, "smtp_454_4.7.0"),
        (RCPT, 450, "4.2.1 mailbox busy", LATER, "smtp_450_4.2.1"),
        (RCPT, 450, "4.2.0 deliberate separate integrated ratepayer", LATER, "smtp_450_4.2.0"),
        (RCPT, 450, "4.2.1 The user is receiving mail at a rate that is too high", LATER, "smtp_450_4.2.1"),
        (RCPT, 550, "5.2.1 The user is receiving mail at a rate that is too high", LATER, "smtp_550_5.2.1"),
        (DOT, 451, "4.3.0 local error", LATER, "smtp_451_4.3.0"),
        (RCPT, 452, "4.2.2 mailbox full", LATER, "smtp_452_4.2.2"),
        (MAIL, 452, "4.3.1 disk full", LATER, "smtp_452_4.3.1"),
        (DATA, 450, "", LATER, "smtp_450"),
        (RCPT, 552, "5.2.2 mailbox full", LATER, "smtp_552_5.2.2"),
        (DOT, 552, "5.2.2 mailbox full", LATER, "smtp_552_5.2.2"),
        (RCPT, 552, "too many recipients", LATER, "smtp_552"),
        (RCPT, 501, "5.1.3 Bad recipient address syntax", LATER, "smtp_501_5.1.3"),
        # greylisted: this mail, after some minutes
        (RCPT, 450, "4.7.1 greylisted", GREYLISTED, "smtp_450_4.7.1"),
        (RCPT, 450, "4.2.0 Greylisted, see http://postgrey.example.com/help", GREYLISTED, "smtp_450_4.2.0"),
        (DOT, 451, "4.7.1 Try again later", GREYLISTED, "smtp_451_4.7.1"),
        (DATA, 451, "Greylisting in action, please come back in 00:04:57", GREYLISTED, "smtp_451"),
        # no such address
        (RCPT, 550, "5.1.1 no such user", NO_SUCH, "smtp_550_5.1.1"),
        (RCPT, 550, "5.1.2 bad domain", NO_SUCH, "smtp_550_5.1.2"),
        (RCPT, 553, "5.1.3 bad syntax", NO_SUCH, "smtp_553_5.1.3"),
        (RCPT, 550, "5.1.6 moved", NO_SUCH, "smtp_550_5.1.6"),
        (RCPT, 556, "5.1.10 null MX", NO_SUCH, "smtp_556_5.1.10"),
        (DOT, 550, "5.1.1 no such user", NO_SUCH, "smtp_550_5.1.1"),
        (RCPT, 550, "no such user, says a relay without enhanced codes", NO_SUCH, "smtp_550"),
        (RCPT, 550, "sorry, no mailbox here by that name. (#5.1.1)", NO_SUCH, "smtp_550_5.1.1"),
        (RCPT, 550, "5.2.1 disabled, the mailbox does not exist any more", NO_SUCH, "smtp_550_5.2.1"),
        # never, but the address may be good
        (RCPT, 550, "5.2.1 disabled", NEVER, "smtp_550_5.2.1"),
        (RCPT, 550, "5.1.1 account inactive", NEVER, "smtp_550_5.1.1"),
        (RCPT, 550, "5.1.100 is no 5.1.10", NEVER, "smtp_550_5.1.100"),
        (MAIL, 552, "5.3.4 too big", NEVER, "smtp_552_5.3.4"),
        (RCPT, 552, "5.3.4 Message too big for this mailbox", NEVER, "smtp_552_5.3.4"),
        (RCPT, 552, "5.2.3 longer than the mailbox takes", NEVER, "smtp_552_5.2.3"),
        (DOT, 554, "5.6.0 content", NEVER, "smtp_554_5.6.0"),
        (MAIL, 550, "5.6.7 no SMTPUTF8", NEVER, "smtp_550_5.6.7"),
        (RCPT, 554, "5.7.1 Recipient address rejected: Access denied", NEVER, "smtp_554_5.7.1"),
        (DOT, 550, "5.7.1 Spam is not welcome here", NEVER, "smtp_550_5.7.1"),
        (DOT, 550, "5.7.26 unauthenticated", NEVER, "smtp_550_5.7.26"),
        (DOT, 550, "5.7.515 not compliant", NEVER, "smtp_550_5.7.515"),
        # enhanced codes that contradict the basic one are not trusted
        (RCPT, 450, "5.1.1 no such user", LATER, "smtp_450"),
        (RCPT, 550, "4.7.1 greylisted", NEVER, "smtp_550"),
        (RCPT, 550, "2.1.5 ok", NEVER, "smtp_550"),
        # our fault
        (MAIL, 550, "5.1.1 about the sender", OURS, "smtp_550_5.1.1"),
        (MAIL, 553, "5.1.8 bad sender", OURS, "smtp_553_5.1.8"),
        (RCPT, 550, "Sender verify failed", OURS, "smtp_550"),
        (RCPT, 550, "relay not permitted", OURS, "smtp_550"),
        (RCPT, 504, "5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname", OURS, "smtp_504_5.5.2"),
        (DATA, 503, "5.5.1 sequence", OURS, "smtp_503_5.5.1"),
        (RCPT, 554, "5.7.1 relay access denied", OURS, "smtp_554_5.7.1"),
        (MAIL, 530, "5.7.0 authentication required", OURS, "smtp_530_5.7.0"),
        (MAIL, 530, "log in first", OURS, "smtp_530"),
        (AUTH, 535, "5.7.8 wrong password", OURS, "smtp_535_5.7.8"),
        (AUTH, 535, "", OURS, "smtp_535"),
        (CONNECT, 554, "no SMTP service here", OURS, "smtp_554"),
    ],
)
def test_a_refusal_means(phase: Phase, code: int, text: str, expected: str, outcome_code: str) -> None:
    outcome = classify(Rejected("relay:25", phase, code, text))
    assert (meaning(outcome), outcome.code) == (expected, outcome_code)
    assert outcome.reply == f"{code} {text}"


def test_an_accepted_mail_is_sent() -> None:
    assert classify(Accepted("relay:25", 250, "2.0.0 queued as 4A")) == Sent("smtp_250", "250 2.0.0 queued as 4A")


@pytest.mark.parametrize("kind", ["timeout", "connection", "tls", "dns", "protocol"])
@pytest.mark.parametrize("uncertain", [False, True])
def test_no_answer_is_tried_again_and_keeps_its_doubt(kind: Breakage, uncertain: bool) -> None:
    outcome = classify(Broken("relay:25", Phase.DOT, "why", uncertain, kind))
    assert outcome == Deferred(kind, "why", uncertain=uncertain)


@pytest.mark.parametrize(("down", "code"), [(True, "relay_paused"), (False, "throttled")])
def test_a_mail_no_relay_was_told_about_was_not_tried(down: bool, code: str) -> None:
    assert classify(Paused("relay:25", 5.0, "why", down)) == NotTried(code, "why", 5.0)


def test_a_mail_whose_sender_the_relay_refuses_was_not_tried() -> None:
    paused = Paused("relay:25", 5.0, "mail: 550 5.7.60", down=False, sender="a@example.org")
    assert classify(paused) == NotTried("sender_paused", "mail: 550 5.7.60", 5.0)


def test_a_mail_that_waited_in_vain_for_a_connection_was_not_tried() -> None:
    waited = Broken("relay:25", Phase.QUEUE, "no connection became free", uncertain=False, kind="timeout")
    assert classify(waited) == NotTried("no_connection", "no connection became free", CONNECTION_WAIT_S)


@given(st.sampled_from(Phase), st.integers(400, 599), st.text())
def test_every_refusal_has_a_place_in_the_table(phase: Phase, code: int, text: str) -> None:
    outcome = classify(Rejected("relay:25", phase, code, text))
    assert meaning(outcome) in {LATER, GREYLISTED, THROTTLED, OURS, NEVER, NO_SUCH}
    assert outcome.code.startswith(f"smtp_{code}")
    assert len(outcome.reply) <= REPLY_LIMIT
