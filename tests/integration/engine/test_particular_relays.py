"""Relays with limits and manners of their own: what shows them costs no try, and no mail arrives twice."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from notifier.engine.priority_semaphore import HANDICAP
from notifier.engine.relay_habits import ONE_MORE_EVERY_S, REMEMBERED_S
from notifier.engine.relays import checked
from notifier.engine.smtp_pool import REFUSALS_IN_A_ROW, TURNED_AWAY_MOST_S
from notifier.engine.transaction import Accepted, Broken, Paused, Rejected
from notifier.errors import SettingsError
from tests.integration.engine.conftest import CONTENT, Clock, Posting
from tests.servers.particular import ParticularRelay
from tests.servers.patience import PATIENCE_S

Making = Callable[..., ParticularRelay]


@pytest.fixture
def relay_with() -> Iterator[Making]:
    made: list[ParticularRelay] = []

    def make(**manners: object) -> ParticularRelay:
        made.append(ParticularRelay(**manners))
        return made[-1]

    yield make
    for relay in made:
        relay.close()


def each_once(relay: ParticularRelay, count: int) -> bool:
    return sorted(relay.accepted) == sorted(f"r{number}@example.org" for number in range(count))


# Fewer connections than we may open.


@pytest.mark.parametrize("full", ["refuse", "close", "421", "mail", "silent"])
@pytest.mark.parametrize("together", [True, False], ids=["one-batch", "single-mails"])
def test_a_relay_that_serves_fewer_connections_than_we_open_takes_all_mails_at_the_first_try(
    posting: Posting, relay_with: Making, full: str, together: bool
) -> None:
    # Given a relay that serves three connections
    relay = relay_with(connections=3, full=full)
    post = posting(relay.url, connections=10)

    # When many mails go to it at once
    ended = post.send_together(200) if together else post.send_many(200)

    # Then each arrives once, over no more connections than it serves, and it is not thought to be down
    assert all(isinstance(one, Accepted) for one in ended)
    assert each_once(relay, 200)
    assert post.relays.states()[0].up


def test_the_first_connection_of_a_relay_is_opened_alone(posting: Posting, relay_with: Making) -> None:
    # Given a relay that greets nobody
    relay = relay_with(connections=0, full="close")

    # When many mails go to it at once
    ended = posting(relay.url, connections=10).send_together(50)

    # Then one connection was enough to know, and one mail
    assert relay.turned_away == 1
    assert sum(isinstance(one, Broken) for one in ended) == 1
    assert sum(isinstance(one, Paused) for one in ended) == 49


def test_a_relay_that_serves_fewer_is_asked_for_one_more_now_and_then(
    posting: Posting, relay_with: Making, clock: Clock
) -> None:
    # Given a relay that served two, which is known
    relay = relay_with(connections=2)
    post = posting(relay.url, connections=4)
    post.send_together(100)
    turned_away = relay.turned_away
    post.send_together(100)
    assert relay.turned_away == turned_away

    # When a minute has passed and it serves more
    relay.manners.connections = 4
    for _ in range(2):
        clock.now += ONE_MORE_EVERY_S
        post.send_together(100)

    # Then it is used through more
    assert relay.open == 4


def test_a_worker_that_is_told_others_have_all_connections_waits_and_spends_no_try(
    posting: Posting, relay_with: Making, clock: Clock
) -> None:
    # Given a relay whose only connection another worker has
    relay = relay_with(connections=1)
    other, post = posting(relay.url), posting(relay.url, connections=4)
    assert isinstance(other.send("r0@example.org"), Accepted)

    # When we have mails for it
    ended = post.send_together(10)

    # Then they wait, the relay is not down, and they go when the other one has left
    assert all(isinstance(one, Paused) and not one.down for one in ended)
    assert post.relays.states()[0].up
    other.engine.run(other.relays.close, timeout=PATIENCE_S)
    while relay.open:
        other.engine.run(lambda: asyncio.sleep(0.01), timeout=PATIENCE_S)
    clock.now += post.relays.paused_for()
    assert all(isinstance(one, Accepted) for one in post.send_together(10))


def test_when_others_have_all_connections_for_long_the_second_relay_takes_over(
    posting: Posting, relay_with: Making, clock: Clock
) -> None:
    # Given a relay that never serves us, and a second one
    first, second = relay_with(connections=0), relay_with()
    post = posting(first.url, second.url)

    # When a mail comes again and again
    ended = []
    for _ in range(8):
        ended.append(post.send("r0@example.org"))
        clock.now += TURNED_AWAY_MOST_S

    # Then it is at the second one at last, and no relay has cost it a try
    assert any(isinstance(one, Accepted) for one in ended)
    assert not any(isinstance(one, Rejected | Broken) for one in ended)


# Connections that are used up.


@pytest.mark.parametrize(
    "used_up",
    [
        "452 4.5.3 too many messages in this session",
        "452 too many messages in this session",
        "421 4.7.0 too many messages in this connection, closing",
        "421 4.4.2 closing",
    ],
)
def test_a_connection_that_the_relay_has_used_up_is_closed_and_its_mail_goes_over_a_new_one(
    posting: Posting, relay_with: Making, used_up: str
) -> None:
    # Given a relay that takes ten mails on a connection
    relay = relay_with(mails=10, used_up=used_up)
    post = posting(relay.url, connections=2)

    # When many go to it
    ended = post.send_together(300)

    # Then each arrives once, and after a while connections are closed in time
    assert all(isinstance(one, Accepted) for one in ended)
    assert each_once(relay, 300)
    asked = sum(line.startswith("MAIL") for line in relay.lines)
    assert asked <= 300 + 6
    post.send_together(100)
    assert sum(line.startswith("MAIL") for line in relay.lines) == asked + 100


def test_how_many_mails_a_connection_takes_is_forgotten_after_an_hour(
    posting: Posting, relay_with: Making, clock: Clock
) -> None:
    relay = relay_with(mails=10)
    post = posting(relay.url)
    post.send_together(30)
    relay.manners.mails = 0
    clock.now += REMEMBERED_S
    before = relay.connections
    post.send_together(50)
    assert relay.connections == before + 1


def test_a_used_up_connection_that_is_new_is_the_relays_answer(posting: Posting, relay_with: Making) -> None:
    reply = "452 4.5.3 too many messages in this session"
    relay = relay_with(at_mail=dict.fromkeys(range(1, 50), reply))
    ended = posting(relay.url).send()
    assert isinstance(ended, Rejected)
    assert (ended.code, relay.connections) == (452, 1)


@pytest.mark.parametrize(
    ("limits", "connections"),
    [
        ("LIMITS MAILMAX=5", 4),
        ("limits RCPTMAX=100 MAILMAX=010 X=1", 2),
        ("LIMITS RCPTMAX=7", 1),
        ("LIMITS MAILMAX=0", 1),
    ],
)
def test_a_relay_that_says_how_many_mails_it_takes_gets_no_more(
    posting: Posting, relay_with: Making, limits: str, connections: int
) -> None:
    relay = relay_with(extensions=("PIPELINING", limits))
    assert all(isinstance(one, Accepted) for one in posting(relay.url).send_together(20))
    assert relay.connections == connections


# Commands before their time.


@pytest.mark.parametrize("early", ["take", "503", "ignore", "drop", "drop_all"])
def test_nothing_is_sent_behind_a_final_dot_unless_it_is_allowed(
    posting: Posting, relay_with: Making, early: str
) -> None:
    relay = relay_with(behind_dot=early)
    ended = posting(relay.url, connections=2).send_together(100)
    assert all(isinstance(one, Accepted) for one in ended)
    assert each_once(relay, 100)
    assert relay.connections <= 2


@pytest.mark.parametrize("early", ["take", "503", "ignore", "drop"])
def test_a_relay_that_does_not_take_announcements_gets_each_mail_once_and_no_further_ones(
    posting: Posting, relay_with: Making, early: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a relay that may be announced to, and what it makes of that
    monkeypatch.setattr("notifier.engine.smtp.ANNOUNCED_TIMEOUT_S", 0.5)
    relay = relay_with(behind_dot=early)
    post = posting(f"{relay.url}?announce=yes", connections=3)

    # When mails go to it
    ended = [*post.send_together(60), *post.send_together(60)]

    # Then each was taken once, nobody is uncertain, and it was tried on one connection
    assert all(isinstance(one, Accepted) for one in ended)
    assert set(Counter(relay.accepted).values()) == {2}
    assert relay.connections <= 4


def test_a_relay_that_loses_the_mail_before_an_announcement_loses_sight_of_one_mail_only(
    posting: Posting, relay_with: Making
) -> None:
    # Given a relay that hangs up on announcements without answering the mail before, which it has taken
    relay = relay_with(behind_dot="drop_all")

    # When mails go to it over several connections
    ended = posting(f"{relay.url}?announce=yes", connections=4).send_together(100)

    # Then one of them is uncertain, and each is there once
    uncertain = [one for one in ended if not isinstance(one, Accepted)]
    assert len(uncertain) == 1
    assert all(isinstance(one, Broken) and one.uncertain for one in uncertain)


@pytest.mark.parametrize("early", ["503", "ignore", "drop"])
def test_a_relay_that_wants_one_command_at_a_time_gets_them_so(
    posting: Posting, relay_with: Making, early: str
) -> None:
    # Given a relay that offers PIPELINING and does not bear it
    relay = relay_with(in_group=early)
    post = posting(relay.url, connections=3, timeout=4.0)

    # When mails go to it
    ended = [*post.send_together(60), *post.send_together(60)]

    # Then each is taken once, and after the first ones it is talked to plainly from the start
    assert all(isinstance(one, Accepted) for one in ended)
    assert set(Counter(relay.accepted).values()) == {2}
    assert relay.connections <= 3 + 3


def test_a_relay_that_does_not_understand_us_plainly_either_has_answered(posting: Posting, relay_with: Making) -> None:
    # Given a relay that refuses a command whatever is before it
    relay = relay_with(at_mail=dict.fromkeys(range(1, 50), "504 5.5.2 <localhost>: need a fully-qualified host name"))
    post = posting(relay.url)

    # When a mail goes to it
    ended = post.send()

    # Then that is its answer, after a second connection, and nothing is remembered
    assert isinstance(ended, Rejected)
    assert (ended.code, relay.connections) == (504, 2)
    relay.manners.at_mail.clear()
    assert isinstance(post.send(), Accepted)


@pytest.mark.parametrize(
    ("query", "word"),
    [("announce=perhaps", "announce=yes"), ("pipelining=no", "announce"), ("announce", "announce=yes")],
)
def test_a_wish_that_means_nothing_to_a_relay_is_told_at_start(posting: Posting, query: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        posting(f"smtp://relay.test?{query}")


# Refusals in a row.


def test_refused_recipients_do_not_make_a_relay_slow_us_down(posting: Posting, relay_with: Making) -> None:
    # Given a relay that slows a connection down after ten errors
    relay = relay_with(errors=10)

    # When sixty unknown recipients are sent to, over two connections
    mails = [checked("s@example.org", f"nobody{n}@example.org", CONTENT) for n in range(60)]
    ended: list[object] = []
    post = posting(relay.url, connections=2)
    post.engine.run(lambda: post.relays.deliver_all(mails, lambda _, end, __: ended.append(end)), timeout=PATIENCE_S)

    # Then each is refused once, and no connection came near that limit: each but the first counts once
    assert all(isinstance(one, Rejected) and one.code == 550 for one in ended)
    assert relay.errors == REFUSALS_IN_A_ROW + 1
    assert sum(line.startswith("RCPT") for line in relay.lines) == 60


def test_what_is_urgent_does_not_go_over_a_connection_that_meets_refusals(posting: Posting, relay_with: Making) -> None:
    # Given a connection over which two mails were refused
    relay = relay_with()
    post = posting(relay.url)
    mails = [checked("s@example.org", f"nobody{n}@example.org", CONTENT) for n in range(2)]

    async def send(handicap: float, recipient: str) -> object:
        HANDICAP.set(handicap)
        return await post.relays.deliver("s@example.org", recipient, CONTENT)

    post.engine.run(lambda: post.relays.deliver_all(mails, lambda *_: None), timeout=PATIENCE_S)

    # When a newsletter is sent, and refused, Then it uses that one
    assert relay.connections == 1

    # When something urgent is sent, Then it gets a new one
    assert isinstance(post.engine.run(lambda: send(0.0, "r0@example.org"), timeout=PATIENCE_S), Accepted)
    assert relay.connections == 2


def test_a_relay_that_refuses_mail_and_answers_nothing_of_what_came_with_it_is_not_waited_for(
    posting: Posting, relay_with: Making
) -> None:
    # Given a relay as Courier is, that answers MAIL for a large mail and neither RCPT nor DATA behind it
    relay = relay_with(at_mail={1: "534 SIZE=Message too big."}, in_group="ignore")
    # and a deadline far beyond what a test may take
    post = posting(relay.url, connections=1, timeout=100_000)

    # When that mail is sent
    ended = post.send("big@example.org")

    # Then it is refused
    assert isinstance(ended, Rejected)
    assert ended.code == 534


def test_a_relay_that_was_silent_about_what_stood_behind_a_refused_command_gets_one_command_at_a_time(
    posting: Posting, relay_with: Making
) -> None:
    # Given a relay as Courier is, which waits the longer the more errors one write brings, and serves five connections
    relay = relay_with(at_mail={1: "517 Sender rejected", 2: "517 Sender rejected"}, in_group="ignore")
    post = posting(relay.url, connections=1)

    # When it refuses one mail, and says nothing to what came with it
    assert isinstance(post.send("r0@example.org"), Rejected)

    # Then what it refuses next leaves the connection as it is, and the mail after that goes over it
    assert isinstance(post.send("r0@example.org"), Rejected)
    assert isinstance(post.send("r1@example.org"), Accepted)
    assert relay.connections == 2
