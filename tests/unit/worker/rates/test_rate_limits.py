"""What a worker makes of rate limits: who goes, who sleeps a moment, who comes back later, on a real Redis."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import NamedTuple, cast

import pytest

from notifier.channels.email.channel import EmailChannel
from notifier.channels.email.deliveries import EmailDeliveries
from notifier.channels.port import DeliveryChannel, Directory, Work
from notifier.channels.webhook.channel import WebhookChannel
from notifier.channels.webhook.deliveries import WebhookDeliveries
from notifier.channels.webhook.transport import WebhookTransport
from notifier.domain.delivery import Delivery, EndpointRef, Mailbox, RecipientRef
from notifier.domain.endpoint import Endpoint, EndpointState
from notifier.domain.event import Event
from notifier.domain.ids import recipient_key
from notifier.domain.limit import Scope, ScopeKind, parse_limits, parse_rate
from notifier.domain.recipient import Recipient
from notifier.domain.retry import EMAIL_SCHEDULE, WEBHOOK_SCHEDULE
from notifier.domain.rule import Channel, Priority, Rule
from notifier.storage.connection import connect
from notifier.storage.ledger import Claimed, ClaimRequest
from notifier.storage.limits import HORIZON_S, Limits
from notifier.storage.store import Store
from notifier.worker.rates.limit_watch import LimitWatch
from notifier.worker.rates.rate_limits import SLEEPING_SHARE, Delayed, RateLimits

NOW = 1_800_000_000.0
RULE = Rule("news/mail", "news", Channel.EMAIL, "news", "news", transactional=False)
HOOK = Rule("news/hook", "news", Channel.WEBHOOK, "news", "", transactional=False)
EVENT = Event(id="1", source="/tests", type="news", tenant="acme")
NOBODY = Directory({}, {}, {})
POOL = 8
#: Channels that nothing is sent by: they only say which limits a delivery falls under.
RELAYS = SimpleNamespace(longest_send=1.0, relay_states=lambda: (SimpleNamespace(relay="mx:25", up=True),))
EMAIL = EmailDeliveries(cast(EmailChannel, RELAYS), EMAIL_SCHEDULE)
WEBHOOK = WebhookDeliveries(cast(WebhookChannel, None), cast(WebhookTransport, None), WEBHOOK_SCHEDULE, 1.0)


def channel_of(work: list[Work]) -> DeliveryChannel:
    return EMAIL if work[0].rule.channel is Channel.EMAIL else WEBHOOK


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    made = connect(redis_url)
    yield made
    made.close()


@pytest.fixture
def limits(store: Store) -> Limits:
    return Limits(store, server_clock=lambda: NOW)


class Paced(NamedTuple):
    """A batch after its limits."""

    work: list[Work]
    delayed: list[Delayed]


Pace = Callable[..., Paced]


@pytest.fixture
def pace(limits: Limits) -> Iterator[Pace]:
    """Paces a batch under the limits given at its first call; later calls share what was granted."""
    made: list[tuple[LimitWatch, RateLimits]] = []

    def run(
        work: list[Work], text: str = "", directory: Directory = NOBODY, priority: Priority = Priority.LOW
    ) -> Paced:
        if not made:
            watch = LimitWatch(limits, parse_limits(text)[0])
            made.append((watch, RateLimits(limits, watch, pool=POOL)))
        return Paced(*made[0][1].pace(channel_of(work), work, directory, priority, NOW))

    yield run
    for watch, _ in made:
        watch.stop()


def work(number: int = 1, *, to: str = "p@example.org", rule: Rule = RULE, **fields: object) -> list[Work]:
    place = EndpointRef(endpoint=to) if to.startswith("ep_") else Mailbox(address=to) if "@" in to else None
    made = []
    for i in range(number):
        delivery = Delivery(
            **{"id": f"dlv_{to}{i}", "event": 0, "rule": rule.id, "to": place or RecipientRef(recipient=to), **fields}
        )
        request = ClaimRequest(delivery, rule.channel, EVENT)
        made.append(Work(request, EVENT, rule, Claimed(1, 0)))
    return made


def endpoint(**fields: object) -> Directory:
    made = Endpoint("ep_1", "acme", "https://example.org/", ())
    return Directory({"ep_1": replace(made, **fields)}, {}, {})


def test_a_batch_that_nothing_limits_costs_no_round_trip(pace: Pace, store: Store) -> None:
    # Given a worker that has looked for limits and found none
    pace(work())
    before = store.round_trips
    # When batches of mails and of webhooks come
    mails, hooks = work(50), work(50, to="ep_1", rule=HOOK)
    # Then they go as they are
    assert pace(mails) == (mails, [])
    assert pace(hooks, directory=endpoint()) == (hooks, [])
    assert store.round_trips == before


def test_a_limited_batch_costs_one_round_trip_whatever_limits_it(pace: Pace, store: Store) -> None:
    text = "relay=1000/s burst 500, domain=1000/s burst 500, tenant=1000/s burst 500, recipient=1000/s"
    pace(work(), text)
    before = store.round_trips
    pace([one for i in range(25) for one in work(2, to=f"p@d{i}.example.org")])
    assert store.round_trips - before == 1


def test_short_waits_are_slept_and_long_ones_come_back(pace: Pace) -> None:
    # When thirty mails meet a relay of ten a second
    paced = pace(work(30), "relay=10/s")
    # Then one goes at once, twenty within two seconds, each a tenth after the one before
    starts = [one.start - NOW for one in paced.work]
    assert [round(start, 3) for start in starts[1:]] == [round(0.1 * i, 3) for i in range(1, 21)]
    assert paced.work[0].start == 0
    # And nine come back after whole seconds, early enough for their place, and say where they have waited
    assert [one.seconds for one in paced.delayed] == [1, 1, 1, 1, 2, 2, 2, 2, 2]
    assert {one.delivery.waited for one in paced.delayed} == {ScopeKind.RELAY.mark}
    assert paced.delayed[0].reason == "rate_limited: relay:mx:25"


def test_what_has_no_place_in_line_comes_back_together_well_before_the_line_ends(pace: Pace) -> None:
    # When more mails come than five minutes can take
    paced = pace(work(400), "relay=1/s")
    # Then those without a place share one delay, and have none to show
    without = [one for one in paced.delayed if not one.delivery.waited]
    assert len(without) > 50
    assert len({one.seconds for one in without}) == 1
    assert HORIZON_S / 2 - 1 <= without[0].seconds <= HORIZON_S


def test_high_priority_is_not_behind_the_line_of_others(pace: Pace) -> None:
    pace(work(5000), "relay=10/s")
    paced = pace(work(1, to="urgent@example.org"), priority=Priority.HIGH)
    assert [one.start > 0 for one in paced.work] == [True]


def test_short_sleeps_leave_room_in_the_pool(pace: Pace) -> None:
    # Given as many sleeping batches as may sleep at once
    for i in range(int(POOL * SLEEPING_SHARE)):
        paced = pace(work(2, to=f"p{i}@example.org"), "relay=20/s burst 1")
        assert any(one.start for one in paced.work)
    # When one more comes
    paced = pace(work(2, to="more@example.org"))
    # Then nothing of it sleeps: it comes back
    assert not paced.work
    assert len(paced.delayed) == 2


def test_what_waited_and_finds_no_room_to_sleep_keeps_its_place(pace: Pace) -> None:
    for i in range(int(POOL * SLEEPING_SHARE)):
        pace(work(2, to=f"p{i}@example.org"), "relay=20/s burst 1")
    (delayed,) = pace(work(1, to="more@example.org", waited="r")).delayed
    assert (delayed.seconds, delayed.delivery.waited) == (1, "r")


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("relay=1/s", "relay:mx:25"),
        ("relay:mx:25=1/s", "relay:mx:25"),
        ("domain:example.org=1/s", "domain:example.org"),
        ("tenant=1/s", "tenant:acme"),
        ("rule:news/mail=1/s", "rule:news/mail"),
        ("recipient=1/s", f"recipient:{recipient_key('P@Example.org')}"),
    ],
)
def test_each_kind_of_scope_limits_mails(pace: Pace, text: str, scope: str) -> None:
    paced = pace(work(10, to="P@Example.org"), text)
    assert {one.reason for one in paced.delayed} == {f"rate_limited: {scope}"}


def test_a_person_known_by_id_counts_by_their_address(pace: Pace) -> None:
    known = Directory({}, {"u1": Recipient("u1", "kim@example.org")}, {})
    paced = pace(work(10, to="u1"), "domain:example.org=1/s", known)
    assert paced.delayed


@pytest.mark.parametrize("directory", [NOBODY, endpoint(state=EndpointState.DISABLED)])
def test_what_is_not_going_to_be_sent_reserves_nothing(pace: Pace, limits: Limits, directory: Directory) -> None:
    # Given webhooks whose endpoint is gone or switched off, and mails that have expired
    going_nowhere = [*work(30, to="ep_1", rule=HOOK), *work(30, expires=NOW - 1)]
    # Then they pass, to be told so, and the limit is as it was
    assert pace(going_nowhere, "tenant=1/s burst 5", directory) == (going_nowhere, [])
    assert limits.usage() == {}


def test_an_endpoints_own_rate_counts(pace: Pace) -> None:
    paced = pace(work(10, to="ep_1", rule=HOOK), "", endpoint(rate=parse_rate("1/s burst 2")))
    assert [one.start - NOW if one.start else 0 for one in paced.work] == [0, 0, 1, 2]
    assert {one.reason for one in paced.delayed} == {"rate_limited: endpoint:ep_1"}


def test_a_rules_own_limit_counts(pace: Pace) -> None:
    paced = pace(work(10, rule=replace(RULE, limit=parse_rate("1/s"))))
    assert {one.reason for one in paced.delayed} == {"rate_limited: rule:news/mail"}


def test_nothing_waits_in_the_broker_beyond_its_expiry(pace: Pace) -> None:
    paced = pace(work(2000, expires=NOW + 20), "relay=10/s")
    assert max(one.seconds for one in paced.delayed) == 21


def test_a_limit_set_live_is_seen_at_the_next_look(limits: Limits) -> None:
    # Given a worker without limits
    watch = LimitWatch(limits, {})
    rate_limits = RateLimits(limits, watch, pool=POOL)
    assert not rate_limits.pace(EMAIL, work(50), NOBODY, Priority.LOW, NOW)[1]
    # When an operator sets one and the worker looks
    limits.set(Scope(ScopeKind.RELAY), parse_rate("1/s"))
    watch.look()
    # Then it counts, until it is reset
    assert rate_limits.pace(EMAIL, work(50), NOBODY, Priority.LOW, NOW)[1]
    limits.reset(Scope(ScopeKind.RELAY))
    watch.look()
    assert not rate_limits.pace(EMAIL, work(50), NOBODY, Priority.LOW, NOW)[1]
    watch.stop()


def test_a_worker_that_cannot_look_goes_by_its_settings() -> None:
    gone = connect("redis://127.0.0.1:1/0")
    watch = LimitWatch(Limits(gone), parse_limits("relay=1/s")[0])
    assert watch.table.configured
    watch.stop()
    gone.close()
