"""Slots: limits in all and per endpoint, slow ones apart, and nothing kept of an endpoint that is not in use."""

import asyncio

from notifier.channels.webhook.slots import FIRST, HANGING, KNOWN, LINGER_S, Crowded, SlotLease, Slots
from tests.servers.own_time import run
from tests.servers.patience import PATIENCE_S

PATIENCE = PATIENCE_S


async def taken(slots: Slots, receiver: str, patience: float = PATIENCE) -> SlotLease:
    """Slots that must be free, or come free."""
    held = await slots.acquire(receiver, patience)
    assert isinstance(held, SlotLease), held
    return held


async def met(slots: Slots, receiver: str) -> None:
    """An endpoint that answers one exchange at once."""
    slots.release(await taken(slots, receiver), answered=True)


async def until_slow(*all_of: SlotLease) -> None:
    """The event itself: the look that finds the exchanges slow."""
    while not all(held.slow for held in all_of):  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(LINGER_S / 10)


def test_an_endpoint_cannot_hold_more_than_its_share_while_others_go_on() -> None:
    async def scenario() -> None:
        # Given an endpoint that holds its whole share
        slots = Slots(total=4, per_receiver=2)
        await taken(slots, "a")
        await taken(slots, "a")

        # When it asks for more, it waits in vain
        assert isinstance(await slots.acquire("a", 0.001), Crowded)

        # Then another endpoint still gets one at once
        await taken(slots, "b", 0.001)

    run(scenario())


def test_waiting_for_ones_own_share_holds_none_of_the_shared_slots() -> None:
    async def scenario() -> None:
        # Given two slots in all, one held by an endpoint that a second exchange waits for
        slots = Slots(total=2, per_receiver=1)
        held = await taken(slots, "a")
        waiting = asyncio.ensure_future(slots.acquire("a", PATIENCE))
        await asyncio.sleep(0)

        # When another endpoint asks, it gets the second
        await taken(slots, "b", 0.001)

        # And the waiting one is served as soon as its endpoint's is free
        slots.release(held, answered=True)
        assert isinstance(await waiting, SlotLease)

    run(scenario())


def test_the_total_is_never_exceeded_and_everyone_is_served() -> None:
    async def scenario() -> None:
        slots = Slots(total=3, per_receiver=2)
        running, peak = 0, 0

        async def exchange(receiver: str) -> None:
            nonlocal running, peak
            held = await taken(slots, receiver)
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0)
            running -= 1
            slots.release(held, answered=True)

        await asyncio.gather(*(exchange(f"ep_{number % 5}") for number in range(100)))

        assert peak == 3
        assert running == 0
        assert slots.receivers == 0

    run(scenario())


def test_a_cancelled_or_impatient_waiter_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        # Given an exchange that waits for the total and one that waits for its endpoint
        slots = Slots(total=1, per_receiver=1)
        held = await taken(slots, "a")
        for receiver in ("a", "b"):
            waiting = asyncio.ensure_future(slots.acquire(receiver, PATIENCE))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert waiting.cancelled()
            assert isinstance(await slots.acquire(receiver, 0.001), Crowded)

        # When the holder is done
        slots.release(held, answered=True)

        # Then both endpoints can be used again, one after the other
        for receiver in ("a", "b"):
            await met(slots, receiver)
        assert slots.receivers == 0

    run(scenario())


def test_an_exchange_that_hangs_gives_its_share_of_the_total_back_and_keeps_its_endpoints() -> None:
    async def scenario() -> None:
        # Given a hanging endpoint that holds every slot there is
        slots = Slots(total=2, per_receiver=2)
        hanging = [await taken(slots, "hangs") for _ in range(2)]

        # When it is known to be slow
        await until_slow(*hanging)

        # Then others have the whole total, and it has no more than its share
        others = [await taken(slots, receiver, 0.001) for receiver in ("a", "b")]
        crowded = await slots.acquire("hangs", PATIENCE)
        assert isinstance(crowded, Crowded)
        assert crowded.seconds >= 1
        assert slots.pending_for("hangs", asyncio.get_running_loop().time()) > 0
        assert slots.pending_for("a", 0) == 0

        # And when all have ended nothing is left of them
        for held in (*hanging, *others):
            slots.release(held, answered=True)
        assert slots.receivers == 0
        assert not slots.is_slow("hangs")
        for held in [await taken(slots, receiver, 0.001) for receiver in ("c", "d")]:
            slots.release(held, answered=True)
        # The look that was due runs out, instead of into the next test's loop.
        await asyncio.sleep(LINGER_S)

    run(scenario())


def test_slow_exchanges_are_bounded_and_the_rest_keep_their_share_of_the_total() -> None:
    async def scenario() -> None:
        # Given one slot in all, so four slow exchanges
        slots = Slots(total=1, per_receiver=9)
        *hanging, last = [await taken(slots, f"hangs-{number}") for number in range(5)]

        # When a fifth hangs as well, there is no room left among the slow
        await until_slow(*hanging)
        assert isinstance(await slots.acquire("healthy", LINGER_S * 2), Crowded)

        # Then the next who is served is served when one of them ends
        slots.release(last, answered=True)
        await taken(slots, "healthy")

    run(scenario())


def test_a_queue_that_is_known_to_be_long_is_not_joined() -> None:
    async def scenario() -> None:
        # Given an endpoint with two slots, known to need ten seconds for each exchange
        slots = Slots(total=9, per_receiver=2)
        await taken(slots, "slow")
        for _ in range(300):
            held = await taken(slots, "slow")
            held.since -= 10
            slots.release(held, answered=True)
        await taken(slots, "slow")
        waiting = asyncio.ensure_future(slots.acquire("slow", PATIENCE))
        await asyncio.sleep(0)

        # When somebody with little patience asks, they are told at once for how long to stay away
        crowded = await slots.acquire("slow", 1.0)
        assert isinstance(crowded, Crowded)
        assert crowded.seconds == 8.0, "five seconds, and a little more, so that many come back together"

        waiting.cancel()

    run(scenario())


def test_a_pause_of_our_own_does_not_send_away_who_waits_for_an_endpoint_that_is_quick() -> None:
    async def scenario() -> None:
        # Given an endpoint that answers at once, and a tenth of a second in which this process did nothing, with twenty
        # exchanges under way
        slots = Slots(total=100, per_receiver=20)
        await met(slots, "quick")
        under_way = [await taken(slots, "quick") for _ in range(20)]
        waiting = [asyncio.ensure_future(slots.acquire("quick", PATIENCE)) for _ in range(300)]
        await asyncio.sleep(0)
        for held in under_way:
            held.since -= 0.1
            slots.release(held, answered=True)
        await asyncio.sleep(0)

        # When one more comes to a line of hundreds, which are served in no time
        one_more = asyncio.ensure_future(slots.acquire("quick", 0.8))
        await asyncio.sleep(0)

        # Then it waits with them
        assert not one_more.done()
        for task in (*waiting, one_more):
            task.cancel()

    run(scenario())


def test_an_endpoint_that_answers_and_then_hangs_is_left_alone_before_it_holds_all_of_its_slots() -> None:
    async def scenario() -> None:
        # Given an endpoint with twenty slots that has answered, and owes five answers
        slots, clock = Slots(total=100, per_receiver=20), asyncio.get_running_loop().time
        await met(slots, "slow")
        busy = await taken(slots, "slow")
        await until_slow(*[await taken(slots, "slow") for _ in range(HANGING)])

        # Then it has more, as long as others are answered
        assert slots.pending_for("slow", clock()) == 0
        await met(slots, "slow")

        # And when it has answered nothing for long, it is left alone until it does
        later = clock() + 60
        assert slots.pending_for("slow", later) > 0
        slots.release(busy, answered=True)
        busy.gate.answered = later
        assert slots.pending_for("slow", later) == 0

    run(scenario())


def test_a_stranger_starts_slowly_and_has_all_of_its_slots_with_its_first_answer() -> None:
    async def scenario() -> None:
        # Given an endpoint nobody knows, which holds what it gets before its first answer
        slots = Slots(total=100, per_receiver=20)
        first, second = [await taken(slots, "new") for _ in range(FIRST)]

        # When others ask for it, they wait
        waiting = [asyncio.ensure_future(slots.acquire("new", PATIENCE)) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(one.done() for one in waiting)

        # Then a try that ends without an answer makes room for one more
        slots.release(first, answered=False)
        await asyncio.sleep(0)
        assert [one.done() for one in waiting] == [True, False]

        # And the first answer for all that an endpoint may have, and no more
        slots.release(second, answered=True)
        await asyncio.wait(waiting)
        for _ in range(20 - len(waiting)):
            await taken(slots, "new", 0.001)
        assert isinstance(await slots.acquire("new", 0.001), Crowded)

    run(scenario())


def test_a_stranger_that_hangs_is_left_alone_when_it_owes_its_first_answers() -> None:
    async def scenario() -> None:
        # Given a unproven that is known to be slow, and has another slot
        slots, clock = Slots(total=100, per_receiver=20), asyncio.get_running_loop().time
        await until_slow(await taken(slots, "hangs"))
        assert slots.pending_for("hangs", clock()) == 0

        # When it has taken that too
        await taken(slots, "hangs")

        # Then nobody waits for it
        assert slots.pending_for("hangs", clock()) > 0
        assert isinstance(await slots.acquire("hangs", PATIENCE), Crowded)

    run(scenario())


def test_those_in_line_for_a_stranger_that_hangs_are_sent_away_and_others_stay() -> None:
    async def scenario() -> None:
        # Given a line in front of a unproven, and one in front of an endpoint that is busy
        slots = Slots(total=100, per_receiver=3)
        await met(slots, "busy")
        hanging = [await taken(slots, "hangs") for _ in range(FIRST)]
        busy = [await taken(slots, "busy") for _ in range(3)]
        lines = {receiver: asyncio.ensure_future(slots.acquire(receiver, PATIENCE)) for receiver in ("hangs", "busy")}
        await asyncio.sleep(0)

        # When the unproven is known to be slow, then whoever waits for it is told how long to stay away
        await until_slow(*hanging)
        crowded = await lines["hangs"]
        assert isinstance(crowded, Crowded)
        assert crowded.seconds == 1.0

        # And the other line has moved on
        slots.release(busy.pop(), answered=True)
        assert isinstance(await lines["busy"], SlotLease)

    run(scenario())


def test_one_that_has_answered_before_however_slowly_need_not_start_again() -> None:
    async def scenario() -> None:
        # Given an endpoint that always takes long, and one that never answers
        slots = Slots(total=100, per_receiver=20)
        for receiver, answered in (("slow", True), ("hangs", False)):
            held = await taken(slots, receiver)
            await until_slow(held)
            slots.release(held, answered=answered)
        assert slots.receivers == 0

        # When they are asked again, then only the slow one gets all it may have
        for _ in range(20):
            await taken(slots, "slow", 0.001)
        for _ in range(FIRST):
            await taken(slots, "hangs", 0.001)
        assert isinstance(await slots.acquire("hangs", 0.001), Crowded)

    run(scenario())


def test_one_that_answered_once_and_whose_deadline_passed_since_is_a_stranger_again() -> None:
    async def scenario() -> None:
        # Given an endpoint that answered once, and then did not until the deadline
        slots = Slots(total=100, per_receiver=20)
        await met(slots, "gone")
        assert slots.known == 1
        held = await taken(slots, "gone")
        await until_slow(held)
        slots.release(held, answered=False)

        # Then nothing is remembered of it
        assert slots.known == 0

        # And one that refused at once is what it was before
        await met(slots, "restarts")
        slots.release(await taken(slots, "restarts"), answered=False)
        assert slots.known == 1

    run(scenario())


def test_a_stranger_is_slow_sooner_than_one_who_is_known_to_answer_and_none_when_it_has_answered() -> None:
    async def scenario() -> None:
        # Given one who has answered, and a unproven who is asked after it
        slots = Slots(total=9, per_receiver=2)
        await met(slots, "known")
        known, unproven = [await taken(slots, receiver) for receiver in ("known", "unproven")]

        # When neither answers, then the unproven is slow first
        await until_slow(unproven)
        assert not known.slow

        # And when it answers before the other one is slow as well, it has its time like everybody else
        slots.release(unproven, answered=True)
        again = await taken(slots, "unproven")
        await until_slow(known)
        assert not again.slow

    run(scenario())


def test_endpoints_that_begin_to_hang_together_leave_half_of_the_slots_to_those_that_are_known_to_answer() -> None:
    async def scenario() -> None:
        # Given an endpoint that has answered, and so many strangers that each of the ten slots could be theirs
        slots = Slots(total=10, per_receiver=2)
        await met(slots, "known")
        hanging = [await taken(slots, f"unproven-{number}") for number in range(5)]

        # When another unproven comes, it waits
        waiting = asyncio.ensure_future(slots.acquire("another", PATIENCE))
        await asyncio.sleep(0)
        assert not waiting.done()

        # Then the one that is known does not
        known = await taken(slots, "known", 0.001)

        # And the unproven is served when an earlier one has answered, or is known to be slow
        slots.release(hanging.pop(), answered=True)
        assert isinstance(await waiting, SlotLease)
        await until_slow(*hanging)
        await taken(slots, "one more", 0.001)
        slots.release(known, answered=True)

    run(scenario())


def test_an_endpoint_that_was_slow_the_last_time_shares_with_strangers() -> None:
    async def scenario() -> None:
        # Given an endpoint that answered soon once, and hangs now
        slots = Slots(total=4, per_receiver=1)
        await met(slots, "was well")
        held = await taken(slots, "was well")
        await until_slow(held)
        slots.release(held, answered=True)

        # When others have that half
        for receiver in ("a", "b"):
            await taken(slots, receiver)

        # Then it waits as they do
        assert isinstance(await slots.acquire("was well", 0.001), Crowded)

    run(scenario())


def test_only_so_many_endpoints_are_remembered() -> None:
    async def scenario() -> None:
        slots = Slots(total=4, per_receiver=1)
        for number in range(KNOWN + 5):
            await met(slots, str(number))
        assert slots.known == KNOWN

    run(scenario())
