"""Slots go to the most urgent who waits; nobody waits for ever, and nothing is lost to those that give up."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.engine.priority_semaphore import HANDICAP, Dismissed, PrioritySemaphore


async def _wait(slots: PrioritySemaphore, name: str, handicap: float, order: list[str]) -> None:
    HANDICAP.set(handicap)
    await slots.acquire()
    order.append(name)


def test_who_is_urgent_goes_before_those_that_came_first() -> None:
    async def run() -> list[str]:
        # Given one slot, taken, and three that wait for it
        slots, order = PrioritySemaphore(1), list[str]()
        await slots.acquire()
        waiting = [
            asyncio.create_task(_wait(slots, name, handicap, order))
            for name, handicap in (("newsletter", 60.0), ("receipt", 20.0), ("password", 0.0), ("password 2", 0.0))
        ]
        await asyncio.sleep(0)
        assert slots.locked()

        # When it becomes free again and again
        for _ in waiting:
            slots.release()
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        return order

    # Then the urgent ones go first, each kind in the order it came
    assert asyncio.run(run()) == ["password", "password 2", "receipt", "newsletter"]


def test_who_has_waited_longer_than_its_handicap_goes_before_who_comes() -> None:
    async def run() -> list[str]:
        # Given one that waits, and has been let past by others for as long as it lets them
        slots, order = PrioritySemaphore(1), list[str]()
        await slots.acquire()
        first = asyncio.create_task(_wait(slots, "newsletter", 0.001, order))
        await asyncio.sleep(0.002)

        # When somebody urgent comes, and the slot becomes free
        second = asyncio.create_task(_wait(slots, "password", 0.0, order))
        await asyncio.sleep(0)
        slots.release()
        slots.release()
        await asyncio.gather(first, second)
        return order

    assert asyncio.run(run()) == ["newsletter", "password"]


def test_whether_a_slot_is_wanted_goes_by_who_is_next() -> None:
    async def run() -> list[bool]:
        # Given one slot, taken, that nobody waits for
        slots = PrioritySemaphore(1)
        await slots.acquire()
        nobody = slots.wanted()

        # When a newsletter comes, then a password, then both give up
        first = asyncio.create_task(_wait(slots, "newsletter", 60.0, []))
        await asyncio.sleep(0)
        newsletter = [slots.wanted(), slots.wanted(below=60.0)]
        second = asyncio.create_task(_wait(slots, "password", 0.0, []))
        await asyncio.sleep(0)
        password = slots.wanted(below=60.0)
        first.cancel()
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        return [nobody, *newsletter, password, slots.wanted()]

    # Then it is wanted while somebody waits, and by somebody more urgent than a newsletter only while the password does
    assert asyncio.run(run()) == [False, True, False, True, False]


class Takers:
    """Those that wait for slots, and how many hold one."""

    def __init__(self, value: int) -> None:
        self.slots = PrioritySemaphore(value)
        self.held = 0
        self.waiting: list[asyncio.Task[bool]] = []

    async def step(self, name: str) -> None:
        if name == "take":
            self.waiting.append(asyncio.create_task(self.slots.acquire()))
        elif name == "cancel" and self.waiting:
            self.waiting.pop().cancel()
        elif name == "release" and self.held:
            self.held -= 1
            self.slots.release()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.held += sum(task.done() and not task.cancelled() for task in self.waiting)
        self.waiting = [task for task in self.waiting if not task.done()]

    async def end(self) -> None:
        """Everybody gives up or gives back."""
        while self.waiting:
            await self.step("cancel")
        while self.held:
            await self.step("release")


@given(st.integers(1, 4), st.lists(st.sampled_from(["take", "cancel", "release"]), max_size=60))
def test_slots_are_never_lost_or_made(value: int, steps: list[str]) -> None:
    async def run() -> None:
        # Given takers that come, give up and release in any order
        takers = Takers(value)
        for step in steps:
            await takers.step(step)
            # Then no more slots are held than there are, and nobody waits while one is free
            assert takers.held <= value
            assert not takers.waiting or takers.held == value

        # And in the end all are free
        await takers.end()
        for _ in range(value):
            assert not takers.slots.locked()
            await takers.slots.acquire()
        assert takers.slots.locked()

    asyncio.run(run())


def test_a_slot_handed_to_one_that_is_cancelled_at_that_moment_goes_on_to_the_next() -> None:
    async def run() -> None:
        # Given two that wait for one slot
        slots = PrioritySemaphore(1)
        await slots.acquire()
        first, second = (asyncio.create_task(slots.acquire()) for _ in range(2))
        await asyncio.sleep(0)

        # When the first has just been given it and is cancelled
        slots.release()
        first.cancel()

        # Then the second has it
        assert await second
        assert first.cancelled()

    asyncio.run(run())


def test_a_line_that_is_dismissed_leaves_the_slots_to_whoever_comes_next() -> None:
    async def run() -> None:
        # Given two that wait for one slot, of which one gives up
        slots = PrioritySemaphore(1)
        await slots.acquire()
        gone, waiting = (asyncio.create_task(slots.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()

        # When the line is dismissed, then the other one is told so
        slots.dismiss()
        with pytest.raises(Dismissed):
            await waiting

        # And the slot, when it comes free, goes to whoever comes
        slots.release()
        assert not slots.locked()

    asyncio.run(run())


def test_one_that_is_dismissed_and_cancelled_at_that_moment_gives_back_no_slot() -> None:
    async def run() -> None:
        # Given one that waits for the only slot
        slots = PrioritySemaphore(1)
        await slots.acquire()
        waiting = asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)

        # When it is sent away and loses its patience before it has heard of it
        slots.dismiss()
        waiting.cancel()
        await asyncio.wait([waiting])

        # Then the slot is still its holder's
        assert waiting.cancelled()
        assert slots.locked()

    asyncio.run(run())
