"""Every outcome is decided and recorded the moment it is known; what is slow is left behind, of channels that may."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from notifier.channels.port import Ready, Work
from notifier.domain.delivery import Status
from notifier.domain.outcome import Deferred, NotTried, Refused
from notifier.domain.rule import Channel, Rule
from notifier.engine.bridge import Engine
from notifier.storage.claims import claim_request
from notifier.storage.ledger import Claimed, Record
from notifier.worker.batch import sender as sending
from notifier.worker.batch.recorder import Receipt, Recorder
from notifier.worker.batch.sender import Sender, Settled, to_record
from tests.fake_channel import SENT, FakeChannel
from tests.unit.worker.doubles import EVENT, batch_of


class Ledger:
    """Remembers what is written; says that some were taken over."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.marked: list[str] = []
        self.lost: set[str] = set()

    def record(self, records: Sequence[Record]) -> list[bool]:
        self.records += records
        return [one.id not in self.lost for one in records]

    def mark_leaving(self, held: Sequence[tuple[str, int]]) -> list[bool]:
        self.marked += [name for name, _ in held]
        return [name not in self.lost for name, _ in held]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    engine.start()
    yield engine
    engine.stop(grace=1.0)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def recorder(ledger: Ledger) -> Iterator[Recorder]:
    recorder = MarksAtOnce(ledger)
    yield recorder
    recorder.stop()


class MarksAtOnce(Recorder):
    """Without the hub, which a test's thread does not run while it waits for the engine."""

    def mark(self, delivery: str, fence: int, marked: Callable[[bool], None]) -> None:
        marked(self._ledger.mark_leaving([(delivery, fence)])[0])


@pytest.fixture
def sender(engine: Engine, recorder: Recorder) -> Sender:
    return Sender(engine, recorder, worker="w1", longest_send=5.0)


def ready(*names: str, uncertain: str = "resend", tries: int = 0) -> list[Ready]:
    rule: Any = Rule("a/b", "a", Channel.EMAIL, template="t", category="", transactional=True, uncertain=uncertain)  # type: ignore[arg-type]
    batch = batch_of(*names)
    return [
        Ready(Work(claim_request(batch, one), EVENT, rule, Claimed(3, tries)), one.id, "hash")
        for one in batch.deliveries
    ]


def nobody(_: Settled) -> Receipt:
    raise AssertionError("nothing is left behind")


Meanwhile = Callable[[Sequence[Settled]], None]


def send(
    sender: Sender,
    channel: FakeChannel,
    made: list[Ready],
    leave: Any = nobody,
    meanwhile: Meanwhile = lambda _: None,
) -> list[Settled]:
    receipt = Receipt(len(made))
    settled = sender.send(channel, made, receipt, leave, meanwhile)
    receipt.wait()
    return settled


def test_each_ends_by_its_own_outcome_in_the_order_of_the_batch_and_is_in_the_ledger(
    sender: Sender, ledger: Ledger
) -> None:
    channel = FakeChannel()
    channel.outcomes |= {"dlv_b": [Deferred("fake_500")], "dlv_c": [Refused("fake_400")]}

    settled = send(sender, channel, ready("dlv_a", "dlv_b", "dlv_c"))

    assert [one.decision.status for one in settled] == [Status.SENT, Status.DEFERRED, Status.REFUSED]
    assert {one.id: (one.status, one.fence) for one in ledger.records} == {
        "dlv_a": (Status.SENT, 3),
        "dlv_b": (Status.DEFERRED, 3),
        "dlv_c": (Status.REFUSED, 3),
    }


def test_nothing_ready_asks_nobody(sender: Sender, ledger: Ledger) -> None:
    assert sender.send(FakeChannel(), [], Receipt(0), nobody, lambda _: None) == []
    assert ledger.records == []


def test_a_try_counts_and_what_was_not_tried_does_not(sender: Sender) -> None:
    channel = FakeChannel()
    channel.outcomes["dlv_b"] = [NotTried("paused", "it is paused", 4.0)]

    settled = send(sender, channel, ready("dlv_a", "dlv_b", tries=2))

    assert [one.tries for one in settled] == [3, 2]


def test_when_a_channel_breaks_what_has_ended_stays_and_the_rest_is_uncertain(sender: Sender) -> None:
    class Breaking(FakeChannel):
        async def send_all(self, ready: Any, ended: Any, leaving: Any) -> None:
            ended(0, SENT, 1.0, 2.0)
            raise RuntimeError("a bug")

    settled = send(sender, Breaking(), ready("dlv_a", "dlv_b"))

    assert settled[0].decision.status is Status.SENT
    attempt = settled[1].decision.attempt
    assert attempt is not None
    assert attempt.code == "uncertain:internal_error"


def test_what_must_not_be_sent_twice_is_marked_before_it_leaves(sender: Sender, ledger: Ledger) -> None:
    channel = FakeChannel()
    channel.marks = True

    send(sender, channel, [*ready("dlv_a", uncertain="park"), *ready("dlv_b")])

    assert ledger.marked == ["dlv_a"]
    assert sorted(channel.sent) == ["dlv_a", "dlv_b"]


def test_what_was_taken_over_does_not_leave_any_more(sender: Sender, ledger: Ledger) -> None:
    channel = FakeChannel()
    channel.marks = True
    ledger.lost.add("dlv_a")

    send(sender, channel, ready("dlv_a", uncertain="park"))

    assert channel.sent == []


def test_of_a_channel_that_leaves_some_the_slow_ones_are_left_behind_and_end_later(
    engine: Engine, sender: Sender, ledger: Ledger
) -> None:
    # Given two deliveries, one of which hangs
    channel = FakeChannel(Channel.WEBHOOK, leaves_pending=True)

    async def hang() -> None:
        channel.hangs["dlv_b"] = asyncio.Event()

    engine.run(hang, timeout=5)
    late, told = Receipt(1), []
    left: list[str] = []

    def leave(settled: Settled) -> Receipt:
        left.append(settled.ready.outgoing)
        return late

    # When they are sent
    settled = send(sender, channel, ready("dlv_a", "dlv_b"), leave, told.extend)

    # Then the batch goes on with the one that was answered, which was told before
    assert [one.work.delivery.id for one in settled] == ["dlv_a"]
    assert [one.work.delivery.id for one in told] == ["dlv_a"]

    # And the other one is recorded when it is answered
    async def answer() -> None:
        channel.hangs["dlv_b"].set()

    engine.run(answer, timeout=5)
    late.wait()
    assert left == ["dlv_b"]
    assert [one.id for one in ledger.records] == ["dlv_a", "dlv_b"]


def test_of_another_channel_all_are_waited_for(engine: Engine, sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "SLOW_PATIENCE_S", 0.0)
    channel = FakeChannel()

    async def hang() -> None:
        channel.hangs["dlv_a"] = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, channel.hangs["dlv_a"].set)

    engine.run(hang, timeout=5)

    assert [one.decision.status for one in send(sender, channel, ready("dlv_a"))] == [Status.SENT]


def test_a_record_says_all_that_a_later_worker_needs(sender: Sender) -> None:
    channel = FakeChannel()
    channel.outcomes["dlv_a"] = [Deferred("fake_500", "500 later")]
    (settled,) = send(sender, channel, ready("dlv_a"))

    record = to_record(settled)

    assert (record.id, record.fence, record.template) == ("dlv_a", 3, "hash")
    assert record.attempt is not None
    assert (record.attempt.number, record.attempt.worker, record.attempt.reply) == (1, "w1", "500 later")
    assert record.next_try is not None
    assert record.claimed is settled.work.request
