"""Mails that a relay refused for a reason that should concern every mail, and who checks whether it does."""

from notifier.engine.suspicion import CLEARED_FOR_S, MOST_OTHERS, Suspicion
from tests.unit.engine.factories import Clock, mail


def test_a_mail_that_comes_again_and_again_counts_once() -> None:
    suspicion = Suspicion(Clock())

    for recipient in ("a@x.org", "a@x.org", "b@x.org"):
        assert suspicion.grows(mail(recipient))

    assert suspicion.mails == 2
    assert suspicion.avoids(mail("a@x.org"))
    assert not suspicion.avoids(mail("c@x.org"))


def test_only_mails_of_another_kind_are_let_to_ask_and_only_some_and_for_a_time() -> None:
    clock = Clock()
    suspicion = Suspicion(clock)
    suspicion.grows(mail("a@refused.org"))
    assert not suspicion.lets_ask(mail("a@other.org"))

    suspicion.opened(clock.now + 5)

    assert not suspicion.lets_ask(mail("b@refused.org"))
    asked = [suspicion.lets_ask(mail(f"{n}@other.org")) for n in range(MOST_OTHERS + 1)]
    assert asked == [True] * MOST_OTHERS + [False]
    assert suspicion.asked(mail("0@other.org"))
    assert not suspicion.asked(mail("9@other.org"))

    suspicion.opened(clock.now + 5)
    clock.now += 5
    assert not suspicion.wants_others


def test_a_relay_that_was_paused_by_no_refusal_asks_nobody() -> None:
    clock = Clock()
    suspicion = Suspicion(clock)

    suspicion.opened(clock.now + 5)

    assert not suspicion.wants_others


def test_once_another_kind_went_through_refusals_of_this_kind_say_nothing_for_a_while() -> None:
    clock = Clock()
    suspicion = Suspicion(clock)
    suspicion.grows(mail("a@refused.org"))

    suspicion.clear(mail("a@other.org"))

    assert (suspicion.mails, suspicion.grows(mail("b@refused.org"))) == (0, False)
    assert suspicion.grows(mail("a@third.org"))
    clock.now += CLEARED_FOR_S
    assert suspicion.grows(mail("b@refused.org"))


def test_a_mail_of_the_same_kind_that_went_through_forgets_all() -> None:
    suspicion = Suspicion(Clock())
    suspicion.grows(mail("a@refused.org"))

    suspicion.clear(mail("b@refused.org"))

    assert suspicion.mails == 0
    assert suspicion.grows(mail("a@refused.org"))
