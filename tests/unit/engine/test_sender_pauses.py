"""Senders that one relay refuses: their mails wait, and nobody else's."""

import pytest

from notifier.engine.relay_breaker import FIRST_COOL_DOWN_S, LONGEST_COOL_DOWN_S, PROBE_LOOK_S
from notifier.engine.sender_pauses import MOST_KEPT, REFUSALS_IN_A_ROW, SenderPauses
from notifier.engine.transaction import Phase
from tests.unit.engine.factories import ACCEPTED, RELAY, Clock, mail, refusal

NOT_OURS = refusal(Phase.MAIL, "553 5.7.1 sender address rejected: not owned by user")
AT_RCPT = refusal(Phase.RCPT, "553 5.7.1 sender address rejected: not owned by user")
DENIED = refusal(Phase.DOT, "554 5.2.252 SendAsDenied")
NO_USER = refusal(Phase.RCPT, "550 5.1.1 no such user")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pauses(clock: Clock) -> SenderPauses:
    return SenderPauses(RELAY, clock)


def paused(pauses: SenderPauses) -> list[str]:
    return [one.sender for one in pauses.paused]


def test_refusals_in_a_row_pause_the_sender_and_nobody_else(pauses: SenderPauses) -> None:
    for _ in range(REFUSALS_IN_A_ROW - 1):
        pauses.ended(mail(), NOT_OURS)
    assert pauses.admits(mail()) is None

    pauses.ended(mail(), NOT_OURS)

    waits = pauses.admits(mail())
    assert waits is not None
    assert (waits.sender, waits.down, waits.seconds) == ("s@example.com", False, FIRST_COOL_DOWN_S)
    assert pauses.admits(mail(sender="other@example.com")) is None


def test_what_is_told_of_the_sender_when_a_recipient_is_named_must_be_told_by_different_domains(
    pauses: SenderPauses,
) -> None:
    for _ in range(5):
        pauses.ended(mail("r@one.org"), AT_RCPT)
    assert paused(pauses) == []

    for domain in ("two", "three"):
        pauses.ended(mail(f"r@{domain}.org"), AT_RCPT)

    assert paused(pauses) == ["s@example.com"]


def test_an_unmistakable_code_needs_one_answer(pauses: SenderPauses) -> None:
    pauses.ended(mail(), DENIED)

    assert paused(pauses) == ["s@example.com"]


def test_several_senders_of_a_domain_pause_the_domain(pauses: SenderPauses) -> None:
    for name in ("a", "b", "c"):
        pauses.ended(mail(sender=f"{name}@Example.com"), NOT_OURS)

    assert paused(pauses) == ["@example.com"]
    assert pauses.admits(mail(sender="new@example.com")) is not None


def test_refused_return_paths_of_one_mail_each_pause_their_domain(pauses: SenderPauses) -> None:
    for number in range(REFUSALS_IN_A_ROW):
        pauses.ended(mail(sender=f"bounce+{number}@example.com", author="shop@example.org"), NOT_OURS)

    assert paused(pauses) == ["@example.com"]
    assert pauses.admits(mail(sender="x@example.com", author="shop@example.org")) is not None


def test_at_the_final_dot_it_is_the_author_who_is_refused(pauses: SenderPauses) -> None:
    pauses.ended(mail(sender="bounce@example.com", author="shop@example.org"), DENIED)

    assert paused(pauses) == ["shop@example.org"]


def test_after_the_cool_down_one_mail_asks_and_a_taken_one_ends_it(pauses: SenderPauses, clock: Clock) -> None:
    pauses.ended(mail(), DENIED)
    clock.now += FIRST_COOL_DOWN_S

    assert pauses.admits(mail()) is None
    waits = pauses.admits(mail())
    assert waits is not None
    assert waits.seconds == PROBE_LOOK_S

    pauses.ended(mail(), ACCEPTED)
    assert (pauses.paused, pauses.admits(mail())) == ((), None)


def test_each_probe_that_is_refused_doubles_the_wait(pauses: SenderPauses, clock: Clock) -> None:
    waits = []
    for _ in range(8):
        pauses.ended(mail(), DENIED)
        (one,) = pauses.paused
        waits.append(one.probe_at - clock.now)
        # What was under way meanwhile does not count
        pauses.ended(mail("late@example.org"), DENIED)
        clock.now = one.probe_at

    assert waits == [5, 10, 20, 40, 80, 160, 300, LONGEST_COOL_DOWN_S]


def test_what_says_nothing_about_the_sender_pauses_nobody(pauses: SenderPauses) -> None:
    for _ in range(10):
        pauses.ended(mail(), NO_USER)

    assert pauses.paused == ()


def test_what_is_kept_is_bounded(pauses: SenderPauses) -> None:
    pauses.ended(mail(sender="first@first.com"), DENIED)
    for number in range(MOST_KEPT):
        pauses.ended(mail(sender=f"s@{number}.com"), NOT_OURS)

    assert pauses.paused == ()
