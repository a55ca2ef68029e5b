"""Replies of every kind, given in every way, at every step: nothing hangs, nothing is lost or sent twice."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from notifier.engine.transaction import Accepted, Broken, Paused, Rejected
from tests.integration.engine.conftest import Posting
from tests.servers.particular import Odd, ParticularRelay

Making = Callable[[Odd], ParticularRelay]

STEPS = ("MAIL", "RCPT", "DATA", "DOT")
#: Well-formed, however unusual: they mean what their code says.
WAYS = ("late", "two_writes", "long", "lines", "no_utf8", "8bit", "bare")
REFUSALS = (
    "550 5.1.1 no such user",
    "552 5.3.4 too large",
    "451 4.2.0 busy",
    "451 4.7.1 greylisted, try again later",
    "452 4.5.3 too many messages in this session",
    "421 4.7.0 too many concurrent connections",
    "421 4.3.2 shutting down",
    "450 4.7.28 rate limit exceeded",
    "550 5.7.60 you may not send as this sender",
    "530 5.7.0 log in first",
    "554 5.7.1 client host rejected",
    "503 5.5.1 bad sequence of commands",
    "500 5.5.2 what?",
)
#: Seconds of a transaction; a relay that says nothing costs half of it, or all.
TIMEOUT_S = 4.0
COUNT = 8


@pytest.fixture
def relay_that() -> Iterator[Making]:
    made: list[ParticularRelay] = []

    def make(odd: Odd) -> ParticularRelay:
        made.append(ParticularRelay(odd=odd))
        return made[-1]

    yield make
    for relay in made:
        relay.close()


def nothing_twice(relay: ParticularRelay) -> bool:
    return max(Counter(relay.accepted).values(), default=0) <= 1


@pytest.mark.parametrize("way", [*WAYS, "with_421"])
@pytest.mark.parametrize("step", ["CONNECT", "EHLO", *STEPS])
def test_a_good_reply_given_oddly_is_a_good_reply(posting: Posting, relay_that: Making, step: str, way: str) -> None:
    # Given a relay that gives one good reply in an unusual way
    number = 1 if step in ("CONNECT", "EHLO") else 3
    relay = relay_that(Odd(step, way, number=number))  # type: ignore[arg-type]

    # When mails go to it
    ended = posting(relay.url, connections=2, timeout=TIMEOUT_S).send_together(COUNT)

    # Then each is sent once. Only what closes the connection by itself may cost somebody a try.
    assert nothing_twice(relay)
    accepted = {f"r{place}@example.org" for place, one in enumerate(ended) if isinstance(one, Accepted)}
    if way == "with_421" and step != "DOT":
        assert not any(isinstance(one, Broken) and one.uncertain for one in ended)
        assert accepted == set(relay.accepted)
    elif not (way in ("long", "lines") and step in ("CONNECT", "EHLO")):
        assert accepted == set(relay.accepted) == {f"r{place}@example.org" for place in range(COUNT)}


GIVEN = [("plain", reply) for reply in REFUSALS] + [
    (way, reply) for way in (*WAYS, "with_421") for reply in (REFUSALS[0], REFUSALS[11])
]


@pytest.mark.parametrize(("way", "reply"), GIVEN)
@pytest.mark.parametrize("step", STEPS)
def test_a_refusal_given_oddly_is_nobody_elses(
    posting: Posting, relay_that: Making, step: str, way: str, reply: str
) -> None:
    # Given a relay that refuses one mail at a step
    relay = relay_that(Odd(step, way, reply))  # type: ignore[arg-type]

    # When mails go to it over two connections
    ended = posting(relay.url, connections=2, timeout=TIMEOUT_S).send_together(COUNT)

    # Then what is said to be sent was taken, once; nobody is uncertain; and at most one was refused
    assert nothing_twice(relay)
    accepted = {f"r{place}@example.org" for place, one in enumerate(ended) if isinstance(one, Accepted)}
    assert accepted == set(relay.accepted)
    assert not any(isinstance(one, Broken) and one.uncertain for one in ended)
    tried = [one for one in ended if not isinstance(one, Accepted | Paused)]
    assert len(tried) <= 1
    for one in tried:
        assert isinstance(one, Rejected)
        assert (one.phase, str(one.code)) == (step.lower(), reply[:3])
        assert len(one.text.encode()) <= 10_000


@pytest.mark.parametrize("way", ["never", "drop"])
@pytest.mark.parametrize("step", STEPS)
def test_no_reply_is_one_mails_matter(posting: Posting, relay_that: Making, step: str, way: str) -> None:
    # Given a relay that does not answer one command
    relay = relay_that(Odd(step, way))  # type: ignore[arg-type]

    # When mails go to it over two connections
    ended = posting(relay.url, connections=2, timeout=TIMEOUT_S).send_together(COUNT)

    # Then the others are sent, and only what may have been taken is uncertain
    assert nothing_twice(relay)
    others = [one for one in ended if not isinstance(one, Accepted)]
    assert len(others) <= 1
    assert all(isinstance(one, Broken) and one.uncertain == (step == "DOT") for one in others)
