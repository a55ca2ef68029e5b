"""Slots: limits in all and per origin, and nothing kept of an origin that is not in use."""

import asyncio

from notifier.channels.webhook.slots import Slots

PATIENCE = 30.0


def test_an_origin_cannot_hold_more_than_its_share_while_others_go_on() -> None:
    async def scenario() -> None:
        # Given an origin that holds its whole share
        slots = Slots(total=4, per_origin=2)
        assert await slots.acquire("https://a", PATIENCE)
        assert await slots.acquire("https://a", PATIENCE)

        # When it asks for more, it waits in vain
        assert not await slots.acquire("https://a", 0.001)

        # Then another origin still gets one at once
        assert await slots.acquire("https://b", 0.001)

    asyncio.run(scenario())


def test_waiting_for_ones_own_share_holds_none_of_the_shared_slots() -> None:
    async def scenario() -> None:
        # Given two slots in all, one held by an origin that a second exchange waits for
        slots = Slots(total=2, per_origin=1)
        assert await slots.acquire("https://a", PATIENCE)
        waiting = asyncio.ensure_future(slots.acquire("https://a", PATIENCE))
        await asyncio.sleep(0)

        # When another origin asks, it gets the second
        assert await slots.acquire("https://b", 0.001)

        # And the waiting one is served as soon as its origin's is free
        slots.release("https://a")
        assert await waiting

    asyncio.run(scenario())


def test_the_total_is_never_exceeded_and_everyone_is_served() -> None:
    async def scenario() -> None:
        slots = Slots(total=3, per_origin=2)
        running, peak = 0, 0

        async def exchange(origin: str) -> None:
            nonlocal running, peak
            assert await slots.acquire(origin, PATIENCE)
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0)
            running -= 1
            slots.release(origin)

        await asyncio.gather(*(exchange(f"https://{number % 5}") for number in range(100)))

        assert peak == 3
        assert running == 0
        assert slots.origins == 0

    asyncio.run(scenario())


def test_a_cancelled_or_impatient_waiter_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        # Given an exchange that waits for the total and one that waits for its origin
        slots = Slots(total=1, per_origin=1)
        assert await slots.acquire("https://a", PATIENCE)
        for origin in ("https://a", "https://b"):
            waiting = asyncio.ensure_future(slots.acquire(origin, PATIENCE))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert waiting.cancelled()
            assert not await slots.acquire(origin, 0.001)

        # When the holder is done
        slots.release("https://a")

        # Then both origins can be used again, one after the other
        for origin in ("https://a", "https://b"):
            assert await slots.acquire(origin, PATIENCE)
            slots.release(origin)
        assert slots.origins == 0

    asyncio.run(scenario())
