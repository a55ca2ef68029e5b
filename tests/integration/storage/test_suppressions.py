"""Suppressions on a real Redis: no wish is lost and nothing else is stopped, whatever happens in which order."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.domain.batch import Batch
from notifier.domain.ids import former_key, person_key, recipient_key
from notifier.domain.recipient import Recipient
from notifier.domain.rule import Channel, Priority
from notifier.domain.suppression import (
    NOTHING,
    Part,
    bounced,
    by_operator,
    complained,
    forgotten,
    unsubscribed,
)
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.claims import claim_request
from notifier.storage.commands import Operation, load_script
from notifier.storage.ledger import Claimed, Ledger
from notifier.storage.recipients import Recipients
from notifier.storage.records import stamp
from notifier.storage.store import Store
from notifier.storage.suppressions import Suppressions
from tests.integration.storage.making import event, raw_dump, request
from tests.servers.redis import RedisServer

CIPHER = Cipher("k" * 32)
A, B, C = (f"{name}@example.org" for name in ("old", "new", "newest"))
CATEGORIES = ("news", "offers", "ads")


def at(address: str) -> str:
    return recipient_key(address)


def kim(email: str) -> Recipient:
    return Recipient("user-1", email)


def test_each_part_is_kept_beside_the_others_and_its_first_word_stays(store: Store) -> None:
    # Given somebody who unsubscribed, bounced and called by phone
    suppressions = Suppressions(store)
    suppressions.unsubscribe("rcp_a", "news", 1.0)
    assert suppressions.add("rcp_a", bounced("smtp_550_5.1.1", 2.0)).before.names == ("category:news",)
    suppressions.add("rcp_a", by_operator("asked by phone", 3.0))
    suppressions.unsubscribe("rcp_a", "offers", 4.0)
    # When each is said once more
    again = suppressions.add("rcp_a", bounced("smtp_550_5.1.6", 9.0))
    suppressions.unsubscribe("rcp_a", "news", 9.0)
    # Then all are there, with the time of the first
    assert again.before == again.after == suppressions.get("rcp_a")
    assert suppressions.get("rcp_a").parts == (
        bounced("smtp_550_5.1.1", 2.0),
        by_operator("asked by phone", 3.0),
        unsubscribed("news", 1.0),
        unsubscribed("offers", 4.0),
    )


def test_lifting_one_part_leaves_the_others(store: Store) -> None:
    suppressions = Suppressions(store)
    suppressions.add("rcp_a", bounced("smtp_550", 1.0))
    suppressions.unsubscribe("rcp_a", "news", 2.0)

    assert suppressions.remove("rcp_a", ["bounce", "complaint"]).removed == (bounced("smtp_550", 1.0),)
    assert not suppressions.remove("rcp_a", ["bounce"]).removed
    assert suppressions.get("rcp_a") == NOTHING.plus(unsubscribed("news", 2.0))
    assert suppressions.remove("rcp_a", ["category:news"]).removed
    assert (suppressions.get("rcp_a"), suppressions.count()) == (NOTHING, 0)


def test_a_bounce_that_came_after_a_delivery_was_parked_is_not_lifted_by_its_replay(store: Store) -> None:
    suppressions = Suppressions(store)
    assert not suppressions.lift_bounce("rcp_a", 5.0)
    suppressions.add("rcp_a", bounced("smtp_550", 10.0004))
    suppressions.add("rcp_a", by_operator("no", 1.0))

    assert not suppressions.lift_bounce("rcp_a", 9.0)
    assert suppressions.lift_bounce("rcp_a", 10.0004)
    assert suppressions.get("rcp_a").names == ("operator",)


@pytest.mark.usefixtures("redis_server")  # each node of a Cluster learns the script
def test_the_first_part_of_an_address_takes_one_round_trip_and_any_other_two(store: Store) -> None:
    suppressions = Suppressions(store)
    suppressions.add("rcp_warm", bounced("x", 1.0))
    before = store.round_trips

    suppressions.add("rcp_a", bounced("x", 1.0))
    assert store.round_trips - before == 1
    suppressions.add("rcp_a", by_operator("x", 1.0))
    assert store.round_trips - before == 3


def test_all_suppressions_are_listed_page_by_page(store: Store) -> None:
    # Given a thousand suppressed addresses
    suppressions = Suppressions(store)
    expected = {f"rcp_{i}" for i in range(1000)}
    for key in sorted(expected):
        suppressions.add(key, bounced("smtp_550", 1.0))
    # When all pages are read
    found: set[str] = set()
    cursor, first = "", True
    while cursor or first:
        page = suppressions.list(100, cursor)
        found |= {key for key, known in page.entries if known.names == ("bounce",)}
        cursor, first = page.next, False
    # Then each is there
    assert found == expected
    assert suppressions.count() == 1000


def test_an_entry_of_the_release_before_is_taken_over_when_it_is_touched(store: Store) -> None:
    # Given what the release before wrote
    store.client.hset(keys.suppressions(store.spread.tag("rcp_a")), "rcp_a", "mx2rexf2\x1funsubscribed:news,offers")
    store.client.hset(keys.suppressions(store.spread.tag("rcp_b")), "rcp_b", "mx2rdn4e\x1fbounced: smtp_550_5.1.1")
    suppressions = Suppressions(store)
    # When parts are added and one is lifted
    suppressions.add("rcp_a", bounced("smtp_550_5.1.1", 9.0))
    suppressions.unsubscribe("rcp_b", "news", 9.0)
    suppressions.remove("rcp_a", ["category:offers"])
    # Then nothing else of it is lost
    assert suppressions.get("rcp_a").names == ("bounce", "category:news")
    assert suppressions.get("rcp_a").parts[1].since == 1796012405.678
    assert suppressions.get("rcp_b").parts == (bounced("smtp_550_5.1.1", 1796012345.678), unsubscribed("news", 9.0))


def test_those_who_change_one_address_at_the_same_time_all_have_their_way(store: Store) -> None:
    # Given many who add parts, while others lift some that were there
    suppressions = Suppressions(store)
    lifted = [f"category:old{n}" for n in range(8)]
    for name in lifted:
        suppressions.unsubscribe("rcp_a", name.removeprefix("category:"), 1.0)
    added = [f"category:new{n}" for n in range(8)]
    start = threading.Barrier(16)

    def change(name: str) -> None:
        start.wait()
        if name in added:
            suppressions.unsubscribe("rcp_a", name.removeprefix("category:"), 2.0)
        else:
            suppressions.remove("rcp_a", [name])

    threads = [threading.Thread(target=change, args=[name]) for name in (*added, *lifted)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Then exactly the added ones are there
    assert set(suppressions.get("rcp_a").names) == set(added)


#: What the release before called an address whose domain was written so.
A_LABELS, FORMER = "kim@xn--bcher-kva.example", "rcp_xg6t65zhd5ebfnkqowl7k3nhre"


def test_what_the_release_before_kept_of_an_address_in_a_labels_still_holds(store: Store, ledger: Ledger) -> None:
    # Given an entry of that name, and a link in a mail of that release
    assert (former_key(A_LABELS), former_key("kim@bücher.example")) == (FORMER, "")
    store.client.hset(keys.suppressions(store.spread.tag(FORMER)), FORMER, "mx2rdn4e\x1fbounced: smtp_550_5.1.1")
    suppressions = Suppressions(store)
    suppressions.unsubscribe(FORMER, "news", 1.0)
    suppressions.unsubscribe(at(A_LABELS), "offers", 1.0)
    # Then a claim finds it beside what is known of the address
    delivery = request(event(1), to=A_LABELS).delivery
    batch = Batch(channel=Channel.EMAIL, priority=Priority.NORMAL, events=[event(1)], deliveries=[delivery])
    (claim,) = ledger.claim([claim_request(batch, delivery)], owner="worker-1", lease=90)
    assert isinstance(claim, Claimed)
    assert set(claim.suppressed.names) == {"bounce", "category:news", "category:offers"}
    # And whoever asks by the address finds all of it in one place from then on
    assert suppressions.key_of(A_LABELS) == at("kim@bücher.example")
    assert set(suppressions.get(at(A_LABELS)).names) == {"bounce", "category:news", "category:offers"}
    assert not suppressions.get(FORMER)


def test_what_the_release_before_kept_of_an_address_in_a_labels_follows_the_person(store: Store) -> None:
    suppressions, recipients = Suppressions(store), Recipients(store, CIPHER)
    recipients.put([kim(A_LABELS)])
    store.client.hset(keys.suppressions(store.spread.tag(FORMER)), FORMER, "mx2rdn4e\x1funsubscribed:news")

    recipients.put([kim(B)])

    assert suppressions.get(at(B)).names == ("category:news",)


# A changed address


def test_what_a_person_switched_off_holds_for_their_new_address_and_a_bounce_does_not(store: Store) -> None:
    # Given somebody who switched off news, complained, and whose mailbox was closed
    suppressions, recipients = Suppressions(store), Recipients(store, CIPHER)
    recipients.put([kim(A)])
    for part in (bounced("smtp_550", 1.0), complained("", 2.0), by_operator("asked", 3.0), unsubscribed("news", 4.0)):
        suppressions.add(at(A), part)
    suppressions.unsubscribe(at(B), "offers", 5.0)
    # When they have another address, in another spelling
    recipients.put([kim(B.upper())])
    # Then it has their wishes and its own, the old one keeps all
    assert set(suppressions.get(at(B)).names) == {"complaint", "operator", "category:news", "category:offers"}
    assert set(suppressions.get(at(A)).names) == {"bounce", "complaint", "operator", "category:news"}


def test_a_link_in_a_mail_to_the_old_address_works_for_the_new_one(store: Store) -> None:
    suppressions, recipients = Suppressions(store), Recipients(store, CIPHER)
    for email in (A, B, C):
        recipients.put([kim(email)])

    suppressions.unsubscribe(at(A), "news", 1.0, person_key("user-1"))
    suppressions.unsubscribe(at(A), "offers", 1.0)

    assert suppressions.get(at(C)).names == ("category:news",)
    assert suppressions.get(at(A)).names == ("category:news", "category:offers")
    assert not suppressions.get(at(B))


def test_who_moves_back_or_is_removed_leaves_no_address_behind(store: Store, redis_server: RedisServer) -> None:
    suppressions, recipients = Suppressions(store), Recipients(store, CIPHER)
    for email in (A, B, A):
        recipients.put([kim(email)])
    suppressions.unsubscribe(at(B), "news", 1.0, person_key("user-1"))
    assert suppressions.get(at(A)).names == ("category:news",)

    assert recipients.remove("user-1")
    suppressions.remove(at(A), ["category:news"])
    suppressions.remove(at(B), ["category:news"])
    assert raw_dump(redis_server) == "'ntf:addresses' 'whole'"  # nobody is missing in the index of addresses


class Killed(BaseException):
    """Here the process ended."""


class Interrupted(Store):
    """Does something after so many round trips of one operation."""

    def __init__(self, store: Store, after: int, then: Callable[[], None]) -> None:
        super().__init__(store._exchanger)
        self.after, self.then = after, then

    def run(self, operation: Operation[Any]) -> Any:
        return super().run(self._interrupted(operation))

    def _interrupted(self, operation: Operation[Any]) -> Operation[Any]:
        try:
            calls = next(operation)
            for number in count(1):
                replies = yield calls
                if number == self.after:
                    self.then()
                calls = operation.send(replies)
        except StopIteration as stop:
            return stop.value


@pytest.mark.parametrize("after", range(1, 9))
def test_a_wish_that_comes_while_the_address_changes_holds_for_the_new_one(store: Store, after: int) -> None:
    # Given a change of address during which its owner uses a link in an older mail
    suppressions = Suppressions(store)
    Recipients(store, CIPHER).put([kim(A)])
    suppressions.unsubscribe(at(A), "ads", 1.0)

    def click() -> None:
        suppressions.unsubscribe(at(A), "news", 2.0, person_key("user-1"))

    changing = Interrupted(store, after, click)
    Recipients(changing, CIPHER).put([kim(B)])
    if changing.round_trips < after:
        click()
    # Then news are off at both
    assert set(suppressions.get(at(B)).names) == {"category:ads", "category:news"}
    assert set(suppressions.get(at(A)).names) == {"category:ads", "category:news"}


@pytest.mark.parametrize("after", range(1, 9))
def test_a_kill_while_the_address_changes_loses_no_wish_and_the_change_can_be_repeated(
    store: Store, after: int
) -> None:
    suppressions, recipients = Suppressions(store), Recipients(store, CIPHER)
    recipients.put([kim(A)])
    suppressions.unsubscribe(at(A), "news", 1.0)

    def kill() -> None:
        raise Killed

    try:
        Recipients(Interrupted(store, after, kill), CIPHER).put([kim(B)])
    except Killed:
        # Whichever address the directory has now, news are off there
        now = recipients.get_many(["user-1"])["user-1"].email
        assert suppressions.get(at(now)).names == ("category:news",)
    recipients.put([kim(B)])
    assert recipients.get_many(["user-1"])["user-1"].email == B
    assert suppressions.get(at(B)).names == ("category:news",)


@pytest.mark.parametrize("after", range(1, 9))
def test_two_who_change_one_person_at_the_same_time_lose_no_wish(store: Store, after: int) -> None:
    # Given a change to one address during which somebody sets another, where a category is switched off at once
    suppressions, recipients = Suppressions(store), Recipients(store, CIPHER)
    recipients.put([kim(A)])
    suppressions.unsubscribe(at(A), "ads", 1.0)

    def meanwhile() -> None:
        recipients.put([kim(B)])
        suppressions.unsubscribe(at(B), "news", 2.0, person_key("user-1"))

    changing = Interrupted(store, after, meanwhile)
    Recipients(changing, CIPHER).put([kim(C)])
    if changing.round_trips < after:
        meanwhile()
    # Then whoever came last has all of it
    last = recipients.get_many(["user-1"])["user-1"].email
    assert set(suppressions.get(at(last)).names) == {"category:ads", "category:news"}


def test_a_record_that_cannot_be_read_is_not_replaced(store: Store) -> None:
    # Given a record under a key that was taken away
    Recipients(store, Cipher("another" * 8)).put([kim(A)])
    # Then nobody sets another address, whose wishes would be unknown, until it is removed
    with pytest.raises(Exception, match="none of its keys decrypts"):
        Recipients(store, CIPHER).put([kim(B)])
    assert Recipients(store, CIPHER).remove("user-1")
    Recipients(store, CIPHER).put([kim(B)])


def test_every_change_of_an_address_is_one_script() -> None:
    """What writes a suppression is one script that replaces what was read or nothing."""
    source = load_script("swap_suppression").source
    reading, _, writing = source.partition("if there ~= ARGV[2] then return {there} end")

    assert "HSET" not in reading
    assert "HDEL" not in reading
    assert writing.count("redis.call('HSET'") == writing.count("redis.call('HDEL'") == 1


# All orders of all operations


@dataclass
class Model:
    """What must be known: by address the parts by name."""

    addresses: dict[str, dict[str, Part]] = field(default_factory=lambda: {A: {}, B: {}, C: {}})
    email: str = A
    moved: bool = False
    times_are_kept: bool = True

    def add(self, address: str, part: Part) -> None:
        self.addresses[address].setdefault(part.name, part)

    def click(self, address: str, part: Part) -> None:
        self.add(address, part)
        if self.moved:
            self.add(self.email, part)

    def move(self, email: str) -> None:
        if email != self.email:
            self.moved = True
            for part in list(self.addresses[self.email].values()):
                if part.name != "bounce":
                    self.add(email, part)
        self.email = email

    def remove(self, address: str, names: Sequence[str]) -> None:
        for name in names:
            self.addresses[address].pop(name, None)

    def stopped(self, address: str, category: str, *, transactional: bool) -> bool:
        names = set(self.addresses[address])
        wide = {name for name in names if not name.startswith("category:")}
        return bool(wide) or (not transactional and f"category:{category}" in names)


class Both:
    """Does each step to the model and to Redis."""

    def __init__(self, store: Store) -> None:
        self.store, self.model = store, Model()
        self.suppressions, self.recipients = Suppressions(store), Recipients(store, CIPHER)
        self.recipients.put([kim(A)])

    def adds(self, address: str, name: str, now: float) -> None:
        self.suppressions.add(at(address), a_part(name, now))
        self.model.add(address, a_part(name, now))

    def clicks(self, address: str, category: str, now: float) -> None:
        """By a link in a mail to the person from when they had this address."""
        self.suppressions.unsubscribe(at(address), category, now, person_key("user-1"))
        self.model.click(address, unsubscribed(category, now))

    def lifts(self, address: str, name: str, _now: float) -> None:
        self.suppressions.remove(at(address), [name])
        self.model.remove(address, [name])

    def lifts_all(self, address: str, _what: None, _now: float) -> None:
        self.suppressions.remove(at(address), self.suppressions.get(at(address)).names)
        self.model.addresses[address].clear()

    def replays(self, address: str, parked_at: int, _now: float) -> None:
        lifted = self.suppressions.lift_bounce(at(address), parked_at)
        known = self.model.addresses[address].get("bounce")
        if known is not None and known.since <= parked_at:
            assert lifted
            self.model.remove(address, ["bounce"])
        else:
            assert not lifted

    def moves(self, address: str, _what: None, _now: float) -> None:
        self.recipients.put([kim(address)])
        self.model.move(address)

    def release_before_adds(self, address: str, name: str, now: float) -> None:
        if release_before_adds(self.store, at(address), a_part(name, now)):
            self.model.add(address, a_part(name, now))

    def release_before_clicks(self, address: str, category: str, now: float) -> None:
        self.model.times_are_kept = False
        if release_before_clicks(self.store, at(address), category, now):
            self.model.add(address, unsubscribed(category, now))


ADDRESSES = st.sampled_from([A, B, C])
NAMES = st.sampled_from(["bounce", "complaint", "operator", "forgotten", *(f"category:{c}" for c in CATEGORIES)])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just(Both.adds), ADDRESSES, NAMES),
        st.tuples(st.just(Both.clicks), ADDRESSES, st.sampled_from(CATEGORIES)),
        st.tuples(st.just(Both.lifts), ADDRESSES, NAMES),
        st.tuples(st.just(Both.lifts_all), ADDRESSES, st.none()),
        st.tuples(st.just(Both.replays), ADDRESSES, st.integers(0, 40)),
        st.tuples(st.just(Both.moves), ADDRESSES, st.none()),
        st.tuples(st.just(Both.release_before_adds), ADDRESSES, NAMES),
        st.tuples(st.just(Both.release_before_clicks), ADDRESSES, st.sampled_from(CATEGORIES)),
    ),
    max_size=30,
)


def a_part(name: str, now: float) -> Part:
    kind, _, category = name.partition(":")
    if category:
        return unsubscribed(category, now)
    if kind == "forgotten":
        return forgotten(now)
    made = {"bounce": bounced, "complaint": complained, "operator": by_operator}[kind]
    return made(f"since {now:.0f}", now)


def release_before_adds(store: Store, key: str, part: Part) -> bool:
    """Its `Suppressions.add`: one reason per address, the first."""
    reason = {"operator": part.detail}.get(part.name, part.reason)
    return bool(store.client.hsetnx(keys.suppressions(store.spread.tag(key)), key, f"{stamp(part.since)}\x1f{reason}"))


def release_before_clicks(store: Store, key: str, category: str, now: float) -> bool:
    """Its unsubscribe link: a category more where there are only categories."""
    if release_before_adds(store, key, unsubscribed(category, now)):
        return True
    kind, _, known = (
        str(store.client.hget(keys.suppressions(store.spread.tag(key)), key)).partition("\x1f")[2].partition(":")
    )
    if kind != "unsubscribed":
        return False
    if category not in known.split(","):
        store.client.hdel(keys.suppressions(store.spread.tag(key)), key)
        text = ",".join([*known.split(","), category])
        store.client.hset(keys.suppressions(store.spread.tag(key)), key, f"{stamp(now)}\x1funsubscribed:{text}")
    return True


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_no_wish_is_lost_and_nothing_else_is_stopped(
    store: Store, ledger: Ledger, steps: list[tuple[Callable[..., None], str, Any]]
) -> None:
    # Given any steps in any order, some by processes of the release before
    store.client.flushdb()
    both = Both(store)
    for now, (step, address, what) in enumerate(steps, start=1):
        step(both, address, what, float(now))
    # Then claims find exactly what the model knows
    model = both.model
    requests = [request(event(n), to=address) for n, address in enumerate(model.addresses)]
    claims = ledger.claim(requests, owner="worker-1", lease=90)
    for address, claim in zip(model.addresses, claims, strict=True):
        assert isinstance(claim, Claimed)
        known = claim.suppressed
        assert known == both.suppressions.get(at(address))
        assert set(known.names) == set(model.addresses[address])
        if model.times_are_kept:
            assert {part.name: part for part in known.parts} == model.addresses[address]
        # And stop exactly what it stops
        for category, transactional in product((*CATEGORIES, "others"), (False, True)):
            stops = bool(known.reason(category, transactional=transactional))
            assert stops == model.stopped(address, category, transactional=transactional)
