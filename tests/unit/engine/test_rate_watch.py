"""What got through, and who said that we are too fast: counted per relay and domain, told once."""

import pytest

from notifier.domain.limit import Kind, Scope
from notifier.engine.rate_watch import MOST_COUNTED, RateWatch
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


def refusal(reply: str = BUSY, phase: Phase = Phase.MAIL) -> Rejected:
    code, _, text = reply.partition(" ")
    return Rejected(RELAY, phase, int(code), text)


@pytest.mark.parametrize(
    ("reply", "phase", "scope"),
    [
        (BUSY, Phase.MAIL, Scope(Kind.RELAY, RELAY)),
        ("421 4.7.0 try again later", Phase.CONNECT, Scope(Kind.RELAY, RELAY)),
        ("421 4.7.28 unusual rate of mail to this domain", Phase.DOT, Scope(Kind.RELAY, RELAY)),
        ("454 Throttling failure: Maximum sending rate exceeded.", Phase.DOT, Scope(Kind.RELAY, RELAY)),
        ("450 4.7.1 Error: too many recipients from 192.0.2.1", Phase.RCPT, Scope(Kind.RELAY, RELAY)),
        (
            "450 4.2.1 The user you are trying to contact is receiving mail at a rate that is too high",
            Phase.RCPT,
            Scope(Kind.DOMAIN, "gmail.com"),
        ),
        ("451 4.7.1 too many mails for this domain", Phase.DOT, Scope(Kind.DOMAIN, "gmail.com")),
    ],
)
def test_a_complaint_is_about_the_relay_unless_it_speaks_of_the_recipients_side(
    watch: RateWatch, reply: str, phase: Phase, scope: Scope
) -> None:
    watch.note(refusal(reply, phase), "ada@Gmail.com")

    (complaint,) = watch.complaints()

    assert (complaint.scope, complaint.reply) == (scope, reply)


@pytest.mark.parametrize(
    "ended",
    [
        refusal("450 4.2.0 mailbox busy", Phase.RCPT),
        refusal("451 4.3.0 local error", Phase.DOT),
        refusal("550 5.7.1 rate of spam too high", Phase.DOT),
        Broken(RELAY, Phase.DOT, "cut", True, "connection"),
        Paused(RELAY, 1.0, "", False),
    ],
)
def test_other_ends_complain_of_nothing(watch: RateWatch, ended: Transaction) -> None:
    watch.note(ended, "ada@gmail.com")

    assert watch.complaints() == []


def test_a_complaint_comes_with_what_got_through_in_the_second_before_it(watch: RateWatch, clock: Clock) -> None:
    # Given 40 mails in one second and 5 in the first quarter of the next
    accept(watch, 40)
    clock.now += 1.25
    accept(watch, 5)

    # When the relay complains, of 30 mails at once
    for _ in range(30):
        watch.note(refusal(), "b@example.org")

    # Then it is told once, with three quarters of the second before
    (complaint,) = watch.complaints()
    assert complaint.measured == pytest.approx(5 + 0.75 * 40)
    assert watch.complaints() == []


@pytest.mark.parametrize(("later", "measured"), [(0.5, 10.0), (1.5, 5.0), (2.0, 1.0), (60.0, 1.0)])
def test_what_got_through_longer_ago_does_not_count(
    watch: RateWatch, clock: Clock, later: float, measured: float
) -> None:
    accept(watch, 10)
    clock.now += later

    watch.note(refusal(), "b@example.org")

    assert watch.complaints()[0].measured == pytest.approx(measured)


def test_only_what_took_a_mail_a_moment_ago_counts_as_success(watch: RateWatch, clock: Clock) -> None:
    relay, there, other = Scope(Kind.RELAY, RELAY), Scope(Kind.DOMAIN, "example.org"), Scope(Kind.DOMAIN, "gmail.com")
    accept(watch, 1)

    assert watch.went_through([relay, there, other]) == [relay, there]
    clock.now += 2
    assert watch.went_through([relay, there, other]) == []


def test_a_mailing_to_very_many_domains_takes_bounded_memory(watch: RateWatch) -> None:
    for number in range(MOST_COUNTED + 100):
        accept(watch, 1, f"a@d{number}.example")

    assert len(watch.went_through(Scope(Kind.DOMAIN, f"d{i}.example") for i in range(MOST_COUNTED + 100))) <= 200
