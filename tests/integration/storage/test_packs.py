"""Finished records in shared buckets: that nobody sees a difference, whatever came before and whoever works beside."""

import itertools
import random
from collections.abc import Sequence

import pytest

from notifier.domain.delivery import Delivery, Mailbox, Status
from notifier.domain.event import Event
from notifier.domain.event_status import EventStatus, Unplanned
from notifier.domain.identity import Identity
from notifier.domain.ids import recipient_key
from notifier.domain.rule import Channel
from notifier.storage import keys, registration
from notifier.storage.cipher import Cipher
from notifier.storage.forgetting import Traces
from notifier.storage.ledger import Claimed, ClaimRequest, Done, Ledger, Record, Registration, Retention
from notifier.storage.packs import GRACE_S, LONGEST_S, Packs
from notifier.storage.store import Store
from tests.integration.storage.making import OWNER, RULE, Clock, attempt, claim, deferred, event, raw_dump, request
from tests.servers.redis import RedisServer

HOUR = 3600
#: Times that are less apart than 36⁴ ms differ in four characters.
_MINUTES_S = 1600
_met = itertools.count()


def told(ledger: Ledger) -> None:
    """Let a process meet the words of what follows: what it meets for the first time stays a record."""
    first = event(id=f"met-{next(_met)}")
    made = request(first, to="first@example.org")
    ledger.register([Registration(first, ((made.delivery, RULE),))])
    send(ledger, made)


def send(ledger: Ledger, *wanted: ClaimRequest) -> list[bool]:
    """Claim and record as sent."""
    held = ledger.claim(wanted, owner=OWNER, lease=90)
    return ledger.record([sent(one, found) for one, found in zip(wanted, held, strict=True)])


def sent(one: ClaimRequest, held: object, reply: str = "250 2.0.0 Ok: queued as 4XyZ1") -> Record:
    assert isinstance(held, Claimed), held
    tried = attempt()
    said = type(tried)(held.number, tried.started, tried.duration, "sent", "smtp_250", reply, "celery@host/0123abcd")
    return Record(one.delivery.id, held.fence, Status.SENT, "", said, template="a1b2c3d4e5f6", claimed=one)


def registered(ledger: Ledger, number: int = 1, to: str = "jane@example.org") -> ClaimRequest:
    """A planned event with one delivery."""
    of = event(number)
    made = request(of, to=to)
    ledger.register([Registration(of, ((made.delivery, RULE),))])
    ledger.planned([of.key])
    return made


def is_packed(store: Store, key: str) -> bool:
    letters = key[len("ntf:d:") :]
    field = letters[1:].upper() if key.startswith("ntf:e:") else letters[1:]
    tag = store.spread.tag(letters)
    return not store.client.exists(f"ntf:{tag}{key[4:]}") and any(
        bool(store.client.hexists(str(name), field)) for name in store.client.scan_iter(f"ntf:{tag}p:*")
    )


def buckets(store: Store) -> list[str]:
    return [str(name) for name in store.client.scan_iter("ntf:p:*", count=10_000)]


def like(prefix: str, number: int) -> str:
    """An id whose bucket is known."""
    letters = random.Random(number).choices("abcdefghijklmnopqrstuvwxyz234567", k=26 - len(prefix))
    return f"dlv_{prefix}{''.join(letters)}"


def crowd(prefix: str, count: int) -> list[ClaimRequest]:
    """Deliveries of one event that share a bucket."""
    of = event(1)
    return [
        ClaimRequest(
            Delivery(id=like(prefix, n), event=0, rule=RULE.id, to=Mailbox(address=f"p{n}@example.org"), queued=1.8e9),
            Channel.EMAIL,
            of,
            None,
        )
        for n in range(count)
    ]


@pytest.fixture
def packing(ledger: Ledger) -> Ledger:
    told(ledger)
    return ledger


@pytest.mark.usefixtures("redis_server")
@pytest.mark.parametrize(
    ("waited", "took"), [(0.2, 0.01), (2.0, 0.2), (60.0, 0.2), (300.0, 0.2), (7200.0, 30.0), (0.2, 90.0), (9e6, 300.0)]
)
def test_a_mail_that_waited_for_minutes_is_one_field_and_all_times_are_read_as_they_were(
    packing: Ledger, store: Store, clock: Clock, waited: float, took: float
) -> None:
    # Given a relay whose answer was met before
    met = registered(packing, 99)
    packing.record([sent(met, claim(packing, met), "250 2.0.0 Ok")])
    # And a mail that waited, as it does behind others, and is answered after a while
    queued = round(clock.now - waited, 3)
    wanted = request(event(1), to="j@example.org", queued=queued)
    packing.register([Registration(event(1), ((wanted.delivery, RULE),))])
    held = claim(packing, wanted)
    clock.now = round(clock.now + took, 3)
    # When it is recorded
    assert packing.record([sent(wanted, held, "250 2.0.0 Ok")]) == [True]
    # Then it is one field of its bucket, if it was a matter of minutes
    name, field = keys.delivery(wanted.delivery.id), wanted.delivery.id[5:28]
    assert is_packed(store, name)
    (bucket,) = (one for one in buckets(store) if store.client.hexists(one, field))
    more = [one for one in store.client.hkeys(bucket) if 0 < len(str(one)) < len(field)]
    assert len(more) == (1 if waited > _MINUTES_S else 0)
    # And all its times are what they were
    (record,) = packing.deliveries([wanted.delivery.id])
    assert record is not None
    times = (record.queued, record.attempts[0].started, record.updated)
    assert times == (queued, 1_800_000_000.0, clock.now)


def test_what_was_sent_and_its_event_are_packed_and_read_as_before(packing: Ledger, store: Store, clock: Clock) -> None:
    # Given an event that was planned, and its mail sent
    wanted = registered(packing)
    held = claim(packing, wanted)
    clock.now += 2
    entry = sent(wanted, held)
    assert packing.record([entry]) == [True]
    # Then neither has a key of its own
    assert is_packed(store, keys.delivery(wanted.delivery.id))
    assert is_packed(store, keys.event(wanted.event.key))
    # And both say all they said
    (record,) = packing.deliveries([wanted.delivery.id])
    found = packing.event(wanted.event.key)
    assert record is not None
    assert found is not None
    assert entry.attempt is not None
    assert (record.event, record.rule, record.channel) == (wanted.event.key, RULE.id, Channel.EMAIL)
    assert (record.destination, record.status, record.tries) == ("j…@example.org", Status.SENT, 1)
    assert (record.queued, record.updated, record.template) == (wanted.delivery.queued, clock.now, "a1b2c3d4e5f6")
    (kept,) = record.attempts
    assert (kept.reply, kept.code, kept.worker) == (entry.attempt.reply, "smtp_250", "celery@host")
    assert (kept.started, kept.duration) == (entry.attempt.started, entry.attempt.duration)
    assert (found.id, found.source, found.type, found.tenant) == ("order-1", "/shop", "order.shipped", "default")
    assert (found.planned, found.deliveries, found.received) == (True, (wanted.delivery.id,), clock.now - 2)


@pytest.mark.parametrize(
    "reply",
    [
        "250 2.0.0 Ok",
        "250 2.0.0 Ok: queued as 4XyZ1",
        "250 OK id=1uAbCd-0003x4-Lm",
        "250 2.0.0 OK  1700000000 a1b2c3-20020a170902.12 - gsmtp",
        "250 Ok 0102018e-6b1c-4a1b-000000",
        "250 2.6.0 <dlv_x@example.org> [Hostname=X.outlook.com] 12345 bytes in 0.1, 90 KB/sec Queued",
        "250",
        "",
        "250 2.0.0 принято 17",
        "250 " + "long " * 40,
        "250 " + "長い返事" * 60,
    ],
)
@pytest.mark.parametrize("to", ["jane@example.org", "é@bücher.example", "x@" + "a" * 60 + ".example.org"])
def test_every_reply_and_address_reads_the_same(packing: Ledger, reply: str, to: str) -> None:
    # Given the same reply twice, so that its words are known the second time
    for number in (1, 2):
        wanted = registered(packing, number, to)
        entry = sent(wanted, claim(packing, wanted), reply)
        packing.record([entry])
        # Then it is read as it was said
        (record,) = packing.deliveries([wanted.delivery.id])
        assert record is not None
        assert record.attempts[0].reply == reply
        assert record.destination == f"{to[0]}…@{to.partition('@')[2]}"


def test_a_packed_delivery_is_done_for_everybody(packing: Ledger, store: Store) -> None:
    # Given a delivery that was sent and packed
    wanted = registered(packing)
    assert send(packing, wanted) == [True]
    other = Ledger(store)
    # When its message comes again, to a process that has just started
    assert other.claim([wanted], owner="worker-2", lease=90) == [Done(Status.SENT)]
    # And its event, and a replay, and a worker with an old fence
    (again,) = other.register([Registration(wanted.event, ((wanted.delivery, RULE),))])
    assert (again.known, again.done) == (True, frozenset({wanted.delivery.id}))
    assert other.reopen([wanted.delivery.id]) == [False]
    assert other.skip([wanted.delivery.id], "nobody wants it") == [Status.SENT]
    assert other.record([Record(wanted.delivery.id, 1, Status.DEFERRED, "", deferred(), claimed=wanted)]) == [False]
    other.rejoin([wanted.delivery.id])
    # Then nothing has changed
    (record,) = packing.deliveries([wanted.delivery.id])
    assert record is not None
    assert (record.status, record.tries) == (Status.SENT, 1)


def test_a_record_whose_reply_was_lost_is_written_once(packing: Ledger, clock: Clock) -> None:
    # Given a delivery that was recorded as sent, and nobody heard of it
    wanted = registered(packing)
    entry = sent(wanted, claim(packing, wanted))
    packing.record([entry])
    # When it is recorded again, later
    clock.now += 5
    assert packing.record([entry]) == [True]
    # Then one attempt is kept
    (record,) = packing.deliveries([wanted.delivery.id])
    assert record is not None
    assert (len(record.attempts), record.tries) == (1, 1)


@pytest.mark.usefixtures("redis_server")
def test_what_was_sent_twice_after_all_says_both(packing: Ledger, store: Store) -> None:
    # Given a packed delivery, and a worker that sent it too, because it lost its claim in between
    wanted = registered(packing)
    entry = sent(wanted, claim(packing, wanted))
    packing.record([entry])
    # When that one records it
    again = sent(wanted, Claimed(7, 0), "250 2.0.0 Ok: queued as OTHER")
    assert packing.record([again]) == [True]
    # Then both attempts are there, in a record of its own
    (record,) = packing.deliveries([wanted.delivery.id])
    assert record is not None
    assert [a.reply[-5:] for a in record.attempts] == ["4XyZ1", "OTHER"]
    assert store.client.exists(keys.delivery(wanted.delivery.id))


def test_another_event_under_a_packed_ones_id_is_told(packing: Ledger, store: Store) -> None:
    # Given a packed event
    wanted = registered(packing)
    # When one with other content comes under its id
    other = Event(id="order-1", source="/shop", type="order.shipped", data={"other": True})
    (found,) = packing.register([Registration(other, ())])
    (unplanned,) = packing.unplanned(
        [Unplanned(Identity.of(other), EventStatus.PARKED, "why", fingerprint=other.fingerprint)]
    )
    store.run(registration.note(Packs(spread=store.spread), wanted.event.key, "another came"))
    # Then it is told what is known, and its publisher by a note
    assert found.other is not None
    assert unplanned == found.other
    assert found.other.type == "order.shipped"
    assert found.known
    read = packing.event(wanted.event.key)
    assert read is not None
    assert (read.note, read.planned, read.deliveries) == ("another came", True, (wanted.delivery.id,))


def test_a_person_is_forgotten_out_of_buckets(
    packing: Ledger, store: Store, clock: Clock, redis_server: RedisServer
) -> None:
    # Given a packed mail whose relay said the address
    wanted = registered(packing, to="zoe@private.example")
    packing.record([sent(wanted, claim(packing, wanted), "250 2.0.0 Ok zoe@private.example")])
    assert is_packed(store, keys.delivery(wanted.delivery.id))
    # When the person is forgotten
    traces = Traces(store, Cipher("k" * 32), clock)
    person = recipient_key("zoe@private.example")
    assert traces.erase_deliveries(traces.deliveries([person]).ids) == 1
    # Then that it was sent is all that is left, of it
    (record,) = packing.deliveries([wanted.delivery.id])
    assert record is not None
    assert (record.status, record.destination, record.attempts[0].reply) == (Status.SENT, "forgotten", "")
    words = str(store.client.hgetall(keys.words("0")))
    assert "z…" not in raw_dump(redis_server).replace(words, "")
    assert "zoe" not in raw_dump(redis_server)


def test_who_is_forgotten_while_a_mail_leaves_does_not_come_back_with_its_record(packing: Ledger, store: Store) -> None:
    # Given a mail that is being sent
    wanted = registered(packing, to="zoe@private.example")
    held = claim(packing, wanted)
    # When its person is forgotten, and then it is recorded
    Traces(store, Cipher("k" * 32)).erase_deliveries([wanted.delivery.id])
    assert packing.record([sent(wanted, held)]) == [True]
    # Then the destination stays away
    (record,) = packing.deliveries([wanted.delivery.id])
    assert record is not None
    assert (record.status, record.destination) == (Status.SENT, "forgotten")


@pytest.mark.usefixtures("redis_server")
def test_an_entry_is_not_read_after_its_expiry_and_goes_when_its_bucket_is_looked_after(
    packing: Ledger, store: Store
) -> None:
    # Given a bucket with entries, one of which expired an hour ago
    wanted = crowd("ab", 40)
    send(packing, *wanted)
    name, field = keys.pack("aA"), wanted[0].delivery.id[5:28]
    value = str(store.client.hget(name, field))
    skip = 1 if value[0].isdigit() else 0
    seconds, _ = store.client.time()
    store.client.hset(name, field, value[:skip] + base36(seconds // HOUR - 1) + value[skip + 4 :])
    # Then it is known no more, and the others are
    found = packing.deliveries([one.delivery.id for one in wanted])
    assert [i for i, record in enumerate(found) if record is None] == [0]
    assert packing.reopen([wanted[0].delivery.id]) == [True]
    # When the day has come to look after the bucket, and it is written to
    store.client.hset(name, "", base36(seconds // HOUR - 1))
    send(packing, *crowd("ab", 140)[40:])
    # Then it is gone, with all its parts
    assert field not in store.client.hkeys(name)
    assert not [part for part in store.client.hkeys(name) if part and part in {field[:10] + n for n in "12345"}]
    assert all(packing.deliveries([one.delivery.id for one in wanted[1:]]))


def base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return digits[number // 46656] + digits[number // 1296 % 36] + digits[number // 36 % 36] + digits[number % 36]


@pytest.mark.usefixtures("redis_server")
@pytest.mark.parametrize("order", [(10 * HOUR, 100 * HOUR), (100 * HOUR, 10 * HOUR)])
def test_one_expiry_of_a_bucket_shortens_nobodys(store: Store, order: Sequence[int]) -> None:
    # Given deliveries of one bucket that are kept for different times
    wanted = crowd("ab", 2)
    for one, keep in zip(wanted, order, strict=True):
        ledger = Ledger(store, Retention(sent=keep))
        told(ledger)
        send(ledger, one)
    # Then the bucket stays as long as the longest
    assert store.client.hlen(keys.pack("aA")) >= 2
    assert store.client.pttl(keys.pack("aA")) >= 100 * HOUR * 1000
    # And each expires within the hour after its time
    seconds, _ = store.client.time()
    for one, keep in zip(wanted, order, strict=True):
        value = str(store.client.hget(keys.pack("aA"), one.delivery.id[5:28])).lstrip("0123456789")
        assert 0 <= int(value[:4], 36) * HOUR - (seconds - 60 + keep) <= HOUR + 60


@pytest.mark.usefixtures("redis_server")
def test_a_bucket_that_fills_up_is_followed_by_deeper_ones_and_nothing_is_lost(packing: Ledger, store: Store) -> None:
    # Given another process, and one crowd after the other in one bucket of the first depth
    other = Ledger(store)
    told(other)
    wanted = crowd("ab", 1000)
    for start in range(0, len(wanted), 20):
        send(packing if start % 40 else other, *wanted[start : start + 20])
    # Then deeper buckets are in use and each is in Redis's compact form
    assert str(store.client.get(keys.packs())).split(" ")[4] != "0"
    assert all(store.client.object("encoding", name) == "listpack" for name in buckets(store))
    assert len(buckets(store)) > 4
    # And everybody finds everything
    for ledger in (packing, other, Ledger(store)):
        assert all(ledger.deliveries([one.delivery.id for one in wanted]))
        answers = ledger.claim(wanted, owner="worker-3", lease=90)
        assert answers == [Done(Status.SENT)] * len(wanted)


@pytest.mark.usefixtures("redis_server")
def test_buckets_of_before_are_read_until_they_have_expired(packing: Ledger, store: Store) -> None:
    # Given a packed delivery, and deeper buckets since
    (wanted, *_) = crowd("ab", 1)
    send(packing, wanted)
    since, generation, begun, longest, *_ = str(store.client.get(keys.packs())).split(" ")
    seconds, _ = store.client.time()
    head = f"{since} {generation} {begun} {longest}"
    store.client.set(keys.packs(), f"{head} 3 0:{(seconds + 60) * 1000}")
    # Then it is found, by its own process and by another
    for ledger in (packing, Ledger(store)):
        assert ledger.claim([wanted], owner="worker-2", lease=90) == [Done(Status.SENT)]
    # When all in them has expired, nobody looks there any more
    store.client.set(keys.packs(), f"{head} 3 0:{(seconds - 60) * 1000}")
    told(Ledger(store))
    assert str(store.client.get(keys.packs())) == f"{head} 3"


def test_words_that_a_failover_lost_are_learned_again(packing: Ledger, store: Store) -> None:
    # Given a process whose words the server has lost, as after a failover
    store.client.delete(keys.words("0"))
    wanted = [registered(packing, number) for number in range(2, 6)]
    # When it goes on
    for one in wanted:
        send(packing, one)
    # Then what it packs since can be read by anybody
    for record in Ledger(store).deliveries([one.delivery.id for one in wanted]):
        assert record is not None
        assert (record.rule, record.destination) == (RULE.id, "j…@example.org")
    assert is_packed(store, keys.delivery(wanted[-1].delivery.id))


@pytest.mark.usefixtures("redis_server")
def test_without_its_dictionary_a_delivery_is_still_one_that_was_sent(packing: Ledger, store: Store) -> None:
    # Given a packed delivery whose dictionary somebody deleted
    wanted = registered(packing)
    send(packing, wanted)
    store.client.delete(keys.words("0"))
    other = Ledger(store)
    # Then nobody sends it again, and whoever asks is told that nothing else is known
    assert other.claim([wanted], owner="worker-2", lease=90) == [Done(Status.SENT)]
    assert other.reopen([wanted.delivery.id]) == [False]
    assert other.deliveries([wanted.delivery.id]) == [None]


@pytest.mark.usefixtures("redis_server")
def test_a_dictionary_that_is_full_leaves_records_as_they_were(packing: Ledger, store: Store) -> None:
    # Given a dictionary with no room
    store.client.delete(keys.words("0"))
    store.client.hset(keys.words("0"), mapping={f"x{n}": "x" for n in range(9000)})
    other = Ledger(store)
    # When mails are sent with words it has not, and asked for again and again
    wanted = [registered(other, number, f"p@domain{number}.example") for number in range(2, 6)]
    before = store.round_trips
    for one in wanted:
        send(other, one)
    # Then they are kept as records, without a round trip more than a claim and a record
    assert store.round_trips - before <= 2 * len(wanted) + 3
    assert all(store.client.exists(keys.delivery(one.delivery.id)) for one in wanted)
    assert all(record is not None for record in other.deliveries([one.delivery.id for one in wanted]))


def test_a_retention_of_years_packs_nothing(store: Store) -> None:
    # Given a retention longer than dictionaries can be told apart
    ledger = Ledger(store, Retention(sent=LONGEST_S + 1, failed=LONGEST_S + 1))
    told(ledger)
    wanted = registered(ledger)
    assert send(ledger, wanted) == [True]
    # Then records have keys of their own
    assert buckets(store) == []
    assert ledger.claim([wanted], owner="worker-2", lease=90) == [Done(Status.SENT)]


@pytest.mark.usefixtures("redis_server")
def test_an_emptied_server_is_packed_on_from_the_start(packing: Ledger, store: Store) -> None:
    # Given a process that has packed, and a server that lost everything
    send(packing, registered(packing))
    store.client.flushall()
    # When it goes on
    for number in range(2, 5):
        send(packing, registered(packing, number))
    # Then what it met before is packed again
    last = request(event(4))
    assert is_packed(store, keys.delivery(last.delivery.id))
    assert is_packed(store, keys.event(last.event.key))


# Beside the release before, whose records are text in keys of their own: as its commit e095887 wrote them.
_OLD_EVENT = "1{mark}\x1fmyudkt8g\x1forder-1\x1f/shop\x1forder.shipped\x1e{id}"
_OLD_SENT = (
    "sent\x1f1\x1f1\x1fmyudkt8g\x1f\x1fa1b2c3d4e5f6\x1e{event}\x1forder.shipped/customer\x1femail\x1fj…@example.org"
    "\x1fmyudksgo\x1e1\x1fmyudkt8g\x1f3n68\x1fs\x1f=\x1fcelery@host\x1f250 2.0.0 Ok: queued as 4XyZ1"
)
_OLD_QUEUED = "queued\x1f0\x1f0\x1fmyudkt8g\x1e{event}\x1forder.shipped/customer\x1femail\x1fj…@example.org\x1fmyudksgo"
_OLD_SENDING = (
    "sending\x1f1\x1f0\x1fmyudkt8g\x1f\x1f\x1f\x1f\x1fcelery@old/1\x1f0011\x1f1800000090000\x1fqueued"
    "\x1e{event}\x1forder.shipped/customer\x1femail\x1fj…@example.org\x1fmyudksgo"
)


def left_by_the_release_before(store: Store, text: str) -> ClaimRequest:
    wanted = request()
    event_id, delivery_id = wanted.event.key[4:], wanted.delivery.id[4:]
    store.client.set(keys.delivery(wanted.delivery.id), text.format(event=event_id), ex=30 * 86400)
    store.client.set(
        keys.event(wanted.event.key), _OLD_EVENT.format(mark=wanted.event.fingerprint, id=delivery_id), ex=7 * 86400
    )
    return wanted


def hour_is_over(store: Store) -> None:
    _, rest = str(store.client.get(keys.packs())).split(" ", 1)
    store.client.set(keys.packs(), f"0 {rest}")


@pytest.mark.usefixtures("redis_server")
@pytest.mark.parametrize("is_over", [False, True])
def test_a_sent_record_of_the_release_before_is_read_and_final(store: Store, ledger: Ledger, is_over: bool) -> None:
    # Given what the release before left, and processes of this one that have begun
    wanted = left_by_the_release_before(store, _OLD_SENT)
    told(ledger)
    if is_over:
        hour_is_over(store)
        told(ledger)
    # Then it is what it was
    (record,) = ledger.deliveries([wanted.delivery.id])
    found = ledger.event(wanted.event.key)
    assert record is not None
    assert found is not None
    assert (record.status, record.attempts[0].reply) == (Status.SENT, "250 2.0.0 Ok: queued as 4XyZ1")
    assert (found.planned, found.deliveries) == (True, (wanted.delivery.id,))
    assert ledger.claim([wanted], owner=OWNER, lease=90) == [Done(Status.SENT)]
    (again,) = ledger.register([Registration(wanted.event, ((wanted.delivery, RULE),))])
    assert (again.known, again.done) == (True, frozenset({wanted.delivery.id}))


@pytest.mark.usefixtures("redis_server")
@pytest.mark.parametrize("text", [_OLD_QUEUED, _OLD_SENDING])
@pytest.mark.parametrize("is_over", [False, True])
def test_what_the_release_before_began_is_finished(store: Store, ledger: Ledger, text: str, is_over: bool) -> None:
    # Given a delivery that it registered, or was sending when it died
    wanted = left_by_the_release_before(store, text)
    told(ledger)
    if is_over:
        hour_is_over(store)
        told(ledger)
        told(ledger)
    # When a worker of this release sends it
    assert send(ledger, wanted) == [True]
    # Then it is sent, and packed once the hour is over
    (record,) = ledger.deliveries([wanted.delivery.id])
    assert record is not None
    assert (record.status, record.destination, record.tries) == (Status.SENT, "j…@example.org", 1)
    assert is_packed(store, keys.delivery(wanted.delivery.id)) == is_over


@pytest.mark.usefixtures("redis_server")
def test_within_the_hour_the_release_before_finds_everything_where_it_looks(store: Store, ledger: Ledger) -> None:
    # Given records of the release before, and a process of this one
    left_by_the_release_before(store, _OLD_SENT)
    other = registered(ledger, 2)
    assert send(ledger, other) == [True]
    # Then what it writes has keys of its own, in the text that the release before reads
    text = str(store.client.get(keys.delivery(other.delivery.id)))
    assert text.startswith("sent\x1f1\x1f1\x1f")
    assert str(store.client.get(keys.event(other.event.key))).startswith("1" + other.event.fingerprint)
    # And that stays so for an hour
    since = int(str(store.client.get(keys.packs())).split(" ", 1)[0])
    seconds, _ = store.client.time()
    assert since / 1000 - seconds == pytest.approx(GRACE_S, abs=60)


@pytest.mark.usefixtures("redis_server")
def test_who_only_reads_does_not_begin_the_hour(store: Store) -> None:
    # Given records of the release before
    wanted = left_by_the_release_before(store, _OLD_SENT)
    # When somebody asks with this one
    reader = Ledger(store)
    assert reader.deliveries([wanted.delivery.id, "dlv_unknown"])[0] is not None
    assert reader.event("evt_unknown") is None
    # Then nothing is written
    assert not store.client.exists(keys.packs())
