"""What got through, and who said that we are too fast: counted per relay and domain, told once."""

import pytest

from notifier.domain.limit import Scope, ScopeKind
from notifier.engine.rate_watch import BUSY_S, COMPLAINTS_IN_A_MOMENT, MOST_COUNTED, RateWatch
from notifier.engine.transaction import Accepted, Broken, Paused, Phase, Rejected, Transaction

RELAY = "relay.example:25"
BUSY = "450 4.7.1 Error: too much mail from you"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> RateWatch:
    return RateWatch(clock)


def accept(watch: RateWatch, times: int, to: str = "a@example.org") -> None:
    for _ in range(times):
        watch.note(Accepted(RELAY, 250, "2.0.0 queued"), to)


def complain(watch: RateWatch, ended: Transaction, to: str = "b@example.org") -> None:
    """Often enough to be heard."""
    for _ in range(COMPLAINTS_IN_A_MOMENT):
        watch.note(ended, to)


def refusal(reply: str = BUSY, phase: Phase = Phase.MAIL) -> Rejected:
    code, _, text = reply.partition(" ")
    return Rejected(RELAY, phase, int(code), text)


@pytest.mark.parametrize(
    ("reply", "phase", "scope"),
    [
        (BUSY, Phase.MAIL, Scope(ScopeKind.RELAY, RELAY)),
        ("421 4.7.28 unusual rate of mail to this domain", Phase.DOT, Scope(ScopeKind.DOMAIN, "gmail.com")),
        ("421 4.7.0 rate limit exceeded, closing", Phase.CONNECT, Scope(ScopeKind.RELAY, RELAY)),
        ("454 Throttling failure: Maximum sending rate exceeded.", Phase.DOT, Scope(ScopeKind.RELAY, RELAY)),
        ("450 4.7.1 Error: too many recipients from 192.0.2.1", Phase.RCPT, Scope(ScopeKind.RELAY, RELAY)),
        ("550 5.4.5 Daily user sending limit exceeded", Phase.RCPT, Scope(ScopeKind.RELAY, RELAY)),
        ("451 4.7.1 too many mails for this domain", Phase.DOT, Scope(ScopeKind.DOMAIN, "gmail.com")),
    ],
)
def test_a_complaint_is_about_the_relay_unless_it_speaks_of_the_recipients_side(
    watch: RateWatch, reply: str, phase: Phase, scope: Scope
) -> None:
    accept(watch, 5, "bob@gmail.com")

    complain(watch, refusal(reply, phase), "ada@Gmail.com")

    (complaint,) = watch.complaints()

    assert (complaint.scope, complaint.reply) == (scope, reply)


@pytest.mark.parametrize(
    "ended",
    [
        refusal("450 4.2.0 mailbox busy", Phase.RCPT),
        refusal("451 4.7.1 Try again later", Phase.DOT),
        refusal("450 4.2.1 The user you are trying to contact is receiving mail too quickly", Phase.RCPT),
        refusal("421 4.7.0 too many connections", Phase.CONNECT),
        refusal("451 4.3.0 local error", Phase.DOT),
        refusal("550 5.7.1 rate of spam too high", Phase.DOT),
        Broken(RELAY, Phase.DOT, "cut", True, "connection"),
        Paused(RELAY, 1.0, "", False),
    ],
)
def test_other_ends_complain_of_nothing(watch: RateWatch, ended: Transaction) -> None:
    accept(watch, 5, "ada@gmail.com")

    for _ in range(20):
        watch.note(ended, "ada@gmail.com")

    assert watch.complaints() == []


def test_one_reply_is_no_complaint_and_neither_are_some_that_are_far_apart(watch: RateWatch, clock: Clock) -> None:
    for _ in range(10):
        accept(watch, 20)
        watch.note(refusal(), "b@example.org")
        clock.now += BUSY_S

    assert watch.complaints() == []


@pytest.mark.parametrize("idle", [BUSY_S + 1, 60])
def test_nothing_is_learned_while_hardly_anything_is_sent(watch: RateWatch, clock: Clock, idle: float) -> None:
    accept(watch, 20)
    clock.now += idle

    complain(watch, refusal())

    assert watch.complaints() == []


def test_several_domains_that_complain_together_speak_for_the_relay(watch: RateWatch) -> None:
    # Given replies about a rate at the final dot
    too_many = refusal("451 4.7.1 too many mails", Phase.DOT)
    for domain in ("a.example", "b.example", "c.example"):
        accept(watch, 5, f"x@{domain}")

    # When two domains give them, Then each of them is meant
    for _ in range(COMPLAINTS_IN_A_MOMENT):
        watch.note(too_many, "x@a.example")
        watch.note(too_many, "x@b.example")
    assert {one.scope.name for one in watch.complaints()} == {"a.example", "b.example"}

    # When a third one gives them, Then the relay is
    complain(watch, too_many, "x@c.example")
    assert {one.scope for one in watch.complaints()} == {Scope(ScopeKind.RELAY, RELAY)}


def test_a_complaint_comes_with_what_got_through_in_the_moment_before_it(watch: RateWatch, clock: Clock) -> None:
    # Given 40 mails in one second and 5 in the first quarter of the next
    accept(watch, 40)
    clock.now += 1.25
    accept(watch, 5)

    # When the relay complains, of 30 mails at once
    for _ in range(30):
        watch.note(refusal(), "b@example.org")

    # Then it is told once, with the rate of the second and a quarter
    (complaint,) = watch.complaints()
    assert complaint.measured == pytest.approx(45 / 1.25)
    assert watch.complaints() == []


@pytest.mark.parametrize(("later", "measured"), [(0.5, 10.0), (2.0, 5.0), (5.0, 2.0), (5.9, 10 / 5.9)])
def test_what_got_through_is_spread_over_the_moment_and_no_longer(
    watch: RateWatch, clock: Clock, later: float, measured: float
) -> None:
    accept(watch, 10)
    clock.now += later

    complain(watch, refusal())

    assert watch.complaints()[0].measured == pytest.approx(measured)


def test_only_what_took_a_mail_a_moment_ago_counts_as_success(watch: RateWatch, clock: Clock) -> None:
    relay, there, other = (
        Scope(ScopeKind.RELAY, RELAY),
        Scope(ScopeKind.DOMAIN, "example.org"),
        Scope(ScopeKind.DOMAIN, "gmail.com"),
    )
    accept(watch, 1)

    assert watch.went_through([relay, there, other]) == [relay, there]
    clock.now += 2
    assert watch.went_through([relay, there, other]) == []


def test_a_mailing_to_very_many_domains_takes_bounded_memory(watch: RateWatch) -> None:
    for number in range(MOST_COUNTED + 100):
        accept(watch, 1, f"a@d{number}.example")

    assert len(watch.went_through(Scope(ScopeKind.DOMAIN, f"d{i}.example") for i in range(MOST_COUNTED + 100))) <= 200
