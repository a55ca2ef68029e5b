"""Finished records in shared buckets: that nobody sees a difference, whatever came before and whoever works beside."""

import random
from collections.abc import Callable, Sequence

import pytest

from notifier.domain.delivery import Delivery, Mailbox, Status
from notifier.domain.event import Event
from notifier.domain.ids import recipient_key
from notifier.domain.rule import Channel
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.forgetting import Traces
from notifier.storage.ledger import Claimed, ClaimRequest, Done, Ledger, Record, Registration, Retention
from notifier.storage.packs import GRACE_S, LONGEST_S
from notifier.storage.store import Store
from tests.integration.storage.making import OWNER, RULE, Clock, attempt, claim, deferred, delivery, event, request
from tests.integration.storage.making import raw_dump
from tests.servers.redis import RedisServer

HOUR = 3600


def told(ledger: Ledger) -> None:
    """Let a process meet the words of what follows: what it meets for the first time stays a record."""
    first = event(id="the-first")
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
    field = letters[2:].upper() if key.startswith("ntf:e:") else letters[2:]
    return not store.client.exists(key) and any(
        bool(store.client.hexists(str(name), field)) for name in store.client.scan_iter("ntf:p:*")
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
        "250 2.6.0 <dlv_x@example.org> [Hostname=X.prod.outlook.com] 12345 bytes in 0.1, 90 KB/sec Queued mail for delivery",
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


def test_another_event_under_a_packed_ones_id_is_told(packing: Ledger) -> None:
    # Given a packed event
    wanted = registered(packing)
    # When one with other content comes under its id
    other = Event(id="order-1", source="/shop", type="order.shipped", data={"other": True})
    (found,) = packing.register([Registration(other, ())])
    # Then it is told what is known, and its publisher by a note
    assert found.other is not None
    assert found.other.type == "order.shipped"
    assert found.known
    packing._run(registration_note(packing, wanted.event.key))
    read = packing.event(wanted.event.key)
    assert read is not None
    assert (read.note, read.planned, read.deliveries) == ("another came", True, (wanted.delivery.id,))


def registration_note(ledger: Ledger, key: str) -> object:
    from notifier.storage import registration

    return registration.note(ledger._packs, key, "another came")
