"""Slots: limits in all and per endpoint, slow ones apart, and nothing kept of an endpoint that is not in use."""

import asyncio

from notifier.channels.webhook.slots import HANGING, LINGER_S, PROMPT, STRANGER_S, Crowded, Held, Slots
from tests.servers.patience import PATIENCE_S

PATIENCE = PATIENCE_S


async def taken(slots: Slots, lane: str, patience: float = PATIENCE) -> Held:
    """Slots that must be free, or come free."""
    held = await slots.acquire(lane, patience)
    assert isinstance(held, Held), held
    return held


async def until_slow(slots: Slots, lane: str, *all_of: Held) -> None:
    """The event itself: the look that finds the exchanges slow."""
    while not slots.is_slow(lane, 0) or not all(held.slow for held in all_of):  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(LINGER_S / 10)


def test_an_endpoint_cannot_hold_more_than_its_share_while_others_go_on() -> None:
    async def scenario() -> None:
        # Given an endpoint that holds its whole share
        slots = Slots(total=4, per_lane=2)
        await taken(slots, "a")
        await taken(slots, "a")

        # When it asks for more, it waits in vain
        assert isinstance(await slots.acquire("a", 0.001), Crowded)

        # Then another endpoint still gets one at once
        await taken(slots, "b", 0.001)

    asyncio.run(scenario())


def test_waiting_for_ones_own_share_holds_none_of_the_shared_slots() -> None:
    async def scenario() -> None:
        # Given two slots in all, one held by an endpoint that a second exchange waits for
        slots = Slots(total=2, per_lane=1)
        held = await taken(slots, "a")
        waiting = asyncio.ensure_future(slots.acquire("a", PATIENCE))
        await asyncio.sleep(0)

        # When another endpoint asks, it gets the second
        await taken(slots, "b", 0.001)

        # And the waiting one is served as soon as its endpoint's is free
        slots.release(held)
        assert isinstance(await waiting, Held)

    asyncio.run(scenario())


def test_the_total_is_never_exceeded_and_everyone_is_served() -> None:
    async def scenario() -> None:
        slots = Slots(total=3, per_lane=2)
        running, peak = 0, 0

        async def exchange(lane: str) -> None:
            nonlocal running, peak
            held = await taken(slots, lane)
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0)
            running -= 1
            slots.release(held)

        await asyncio.gather(*(exchange(f"ep_{number % 5}") for number in range(100)))

        assert peak == 3
        assert running == 0
        assert slots.lanes == 0

    asyncio.run(scenario())


def test_a_cancelled_or_impatient_waiter_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        # Given an exchange that waits for the total and one that waits for its endpoint
        slots = Slots(total=1, per_lane=1)
        held = await taken(slots, "a")
        for lane in ("a", "b"):
            waiting = asyncio.ensure_future(slots.acquire(lane, PATIENCE))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert waiting.cancelled()
            assert isinstance(await slots.acquire(lane, 0.001), Crowded)

        # When the holder is done
        slots.release(held)

        # Then both endpoints can be used again, one after the other
        for lane in ("a", "b"):
            slots.release(await taken(slots, lane))
        assert slots.lanes == 0

    asyncio.run(scenario())


def test_an_exchange_that_hangs_gives_its_share_of_the_total_back_and_keeps_its_endpoints() -> None:
    async def scenario() -> None:
        # Given a hanging endpoint that holds every slot there is
        slots = Slots(total=2, per_lane=2)
        hanging = [await taken(slots, "hangs") for _ in range(2)]

        # When it is known to be slow
        await until_slow(slots, "hangs", *hanging)

        # Then others have the whole total, and it has no more than its share
        others = [await taken(slots, lane, 0.001) for lane in ("a", "b")]
        crowded = await slots.acquire("hangs", PATIENCE)
        assert isinstance(crowded, Crowded)
        assert crowded.seconds >= 1
        assert slots.seconds_away("hangs", asyncio.get_running_loop().time()) >= 1
        assert slots.seconds_away("a", 0) == 0

        # And when all have ended nothing is left of them
        for held in (*hanging, *others):
            slots.release(held)
        assert slots.lanes == 0
        assert not slots.is_slow("hangs", 1e9)
        for held in [await taken(slots, lane, 0.001) for lane in ("c", "d")]:
            slots.release(held)
        # The look that was due runs out, instead of into the next test's loop.
        await asyncio.sleep(LINGER_S)

    asyncio.run(scenario())


def test_slow_exchanges_are_bounded_and_the_rest_keep_their_share_of_the_total() -> None:
    async def scenario() -> None:
        # Given one slot in all, so four slow exchanges
        slots = Slots(total=1, per_lane=9)
        for _ in range(5):
            last = await taken(slots, "hangs")

        # When a fifth hangs as well, there is no room left among the slow
        await until_slow(slots, "hangs")
        assert isinstance(await slots.acquire("healthy", LINGER_S * 2), Crowded)

        # Then the next who is served is served when one of them ends
        slots.release(last)
        await taken(slots, "healthy")

    asyncio.run(scenario())


def test_a_queue_that_is_known_to_be_long_is_not_joined() -> None:
    async def scenario() -> None:
        # Given an endpoint with two slots, known to need ten seconds for each exchange
        slots = Slots(total=9, per_lane=2)
        await taken(slots, "slow")
        for _ in range(50):
            held = await taken(slots, "slow")
            held.since -= 10
            slots.release(held)
        await taken(slots, "slow")
        waiting = asyncio.ensure_future(slots.acquire("slow", PATIENCE))
        await asyncio.sleep(0)

        # When somebody with little patience asks, they are told at once for how long to stay away
        crowded = await slots.acquire("slow", 1.0)
        assert isinstance(crowded, Crowded)
        assert crowded.seconds == 8.0, "five seconds, and a little more, so that many come back together"

        waiting.cancel()

    asyncio.run(scenario())


def test_an_endpoint_that_hangs_is_left_alone_before_it_holds_all_of_its_slots_and_one_that_is_slow_is_not() -> None:
    async def scenario() -> None:
        # Given an endpoint that answers and one nobody knows, with twenty slots each, to both of which five are slow
        slots, clock = Slots(total=100, per_lane=20), asyncio.get_running_loop().time
        slots.release(await taken(slots, "slow"))
        busy = await taken(slots, "slow")
        for lane in ("hangs", "slow"):
            await until_slow(slots, lane, *[await taken(slots, lane) for _ in range(HANGING)])

        # Then the one nobody knows is left alone at once, and the other one has more slots
        assert slots.seconds_away("hangs", clock()) > 0
        assert isinstance(await slots.acquire("hangs", PATIENCE), Crowded)
        assert slots.seconds_away("slow", clock()) == 0
        slots.release(await taken(slots, "slow"))

        # And when it has answered nothing for long either, it is left alone too, until it answers
        later = clock() + 60
        assert slots.seconds_away("slow", later) > 0
        slots.release(busy)
        busy.gate.ended = later
        assert slots.seconds_away("slow", later) == 0

    asyncio.run(scenario())


def test_endpoints_that_begin_to_hang_together_leave_half_of_the_slots_to_those_that_are_known_to_answer() -> None:
    async def scenario() -> None:
        # Given an endpoint that has answered, and so many strangers that each of the ten slots could be theirs
        slots = Slots(total=10, per_lane=2)
        slots.release(await taken(slots, "known"))
        hanging = [await taken(slots, f"stranger-{number}") for number in range(5)]

        # When another stranger comes, it waits
        waiting = asyncio.ensure_future(slots.acquire("another", PATIENCE))
        await asyncio.sleep(0)
        assert not waiting.done()

        # Then the one that is known does not
        known = await taken(slots, "known", 0.001)

        # And the stranger is served when an earlier one has answered, or is known to be slow
        slots.release(hanging.pop())
        assert isinstance(await waiting, Held)
        await until_slow(slots, "stranger-0", *hanging)
        await taken(slots, "one more", 0.001)
        slots.release(known)

    asyncio.run(scenario())


def test_every_stranger_is_asked_once_before_those_that_have_not_answered_are_asked_again() -> None:
    async def scenario() -> None:
        # Given ten strangers' slots, and two endpoints that hang and would take all of them
        slots = Slots(total=20, per_lane=5)
        waiting = [asyncio.ensure_future(slots.acquire(lane, PATIENCE)) for lane in ["a", "b"] * 5]
        await asyncio.sleep(0)

        # Then some are kept for others
        assert sum(one.done() for one in waiting) == 7, "one each, and half of the ten"
        for lane in ("c", "d", "e"):
            await taken(slots, lane, 0.001)

        for one in waiting:
            one.cancel()

    asyncio.run(scenario())


def test_a_stranger_is_slow_sooner_than_one_who_is_known_to_answer() -> None:
    async def scenario() -> None:
        # Given one who has answered and a stranger, asked at the same time
        slots = Slots(total=9, per_lane=2)
        slots.release(await taken(slots, "known"))
        known, stranger = [await taken(slots, lane) for lane in ("known", "stranger")]

        # When neither has answered after a moment, then only the stranger is slow
        soon = max(known.since, stranger.since) + STRANGER_S
        assert [slots.is_slow(lane, soon) for lane in ("known", "stranger")] == [False, True]

        # And who answers one exchange is not, for the sake of others
        another = await taken(slots, "stranger")
        slots.release(another)
        assert not slots.is_slow("stranger", soon)

    asyncio.run(scenario())


def test_an_endpoint_that_was_slow_is_a_stranger_again() -> None:
    async def scenario() -> None:
        # Given an endpoint that answered soon once, and hangs now
        slots = Slots(total=4, per_lane=1)
        slots.release(await taken(slots, "was well"))
        held = await taken(slots, "was well")
        await until_slow(slots, "was well", held)
        slots.release(held)

        # When strangers have their half
        for lane in ("a", "b"):
            await taken(slots, lane)

        # Then it waits as they do
        assert isinstance(await slots.acquire("was well", 0.001), Crowded)

    asyncio.run(scenario())


def test_only_so_many_endpoints_are_remembered() -> None:
    async def scenario() -> None:
        slots = Slots(total=4, per_lane=1)
        for number in range(PROMPT + 5):
            slots.release(await taken(slots, str(number)))
        assert slots.known == PROMPT

    asyncio.run(scenario())
