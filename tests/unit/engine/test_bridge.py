"""The engine as plain threads use it; `tests/integration/engine/test_bridge_under_gevent.py` has the greenlets."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from notifier.engine.bridge import Engine
from notifier.errors import DeadlineExceeded, EngineStopped
from tests.servers.patience import PATIENCE_S


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    engine.start()
    yield engine
    engine.stop(grace=1)


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


def test_a_coroutine_runs_in_the_loop_and_its_result_comes_back(engine: Engine) -> None:
    assert engine.run(answer, timeout=PATIENCE_S) == 42


def test_an_exception_of_the_coroutine_reaches_the_caller(engine: Engine) -> None:
    async def fail() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        engine.run(fail, timeout=PATIENCE_S)


def test_an_exception_before_the_coroutine_exists_reaches_the_caller(engine: Engine) -> None:
    def broken() -> asyncio.Future[None]:
        raise LookupError("not even begun")

    with pytest.raises(LookupError, match="not even begun"):
        engine.run(broken, timeout=PATIENCE_S)


def test_after_the_deadline_the_coroutine_has_ended_before_the_caller_hears_of_it(engine: Engine) -> None:
    # Given a coroutine that needs a moment to end after it was cancelled
    steps = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("ended")

    # When its deadline passes
    with pytest.raises(DeadlineExceeded, match="cancelled and has ended"):
        engine.run(slow, timeout=0.01)

    # Then it had ended by then
    assert steps == ["ended"]


def test_a_result_that_was_there_when_the_deadline_passed_is_not_thrown_away(engine: Engine) -> None:
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "sent"
        return "never"

    assert engine.run(stubborn, timeout=0.01) == "sent"


def test_a_cancelled_coroutine_is_an_exception_that_except_exception_catches(engine: Engine) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(Exception, match="cancelled"):
        engine.run(cancelled, timeout=PATIENCE_S)


def test_threads_of_the_default_executor_are_refused_instead_of_hanging(engine: Engine) -> None:
    async def in_a_thread() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(RuntimeError, match="there are none"):
        engine.run(in_a_thread, timeout=PATIENCE_S)


def test_running_inside_the_loop_is_refused_instead_of_waiting_for_itself(engine: Engine) -> None:
    async def nested() -> None:
        engine.run(answer, timeout=PATIENCE_S)

    with pytest.raises(RuntimeError, match="await the coroutine"):
        engine.run(nested, timeout=PATIENCE_S)


def test_many_threads_each_get_their_own_result(engine: Engine) -> None:
    # Given 8 threads that ask for different things at once
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    results: dict[int, int] = {}

    def ask(number: int) -> None:
        for turn in range(50):
            results[number * 50 + turn] = engine.run(lambda: double(number * 50 + turn), timeout=PATIENCE_S)  # noqa: B023

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]

    # When they run
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Then each got what it asked for
    assert results == {number: 2 * number for number in range(400)}


def test_a_stopping_engine_lets_what_runs_finish() -> None:
    # Given an engine with a coroutine that is under way
    engine = Engine()
    engine.start()
    begun, results = threading.Event(), []

    async def finishing() -> str:
        begun.set()
        for _ in range(1000):
            await asyncio.sleep(0)
        return "finished"

    thread = threading.Thread(target=lambda: results.append(engine.run(finishing, timeout=PATIENCE_S)))
    thread.start()
    begun.wait()

    # When it stops
    engine.stop(grace=10)
    thread.join()

    # Then that coroutine finished, and nothing new is taken
    assert results == ["finished"]
    assert not engine.alive
    with pytest.raises(EngineStopped, match="not running"):
        engine.run(answer, timeout=PATIENCE_S)


def test_what_outlives_the_grace_time_is_cancelled_and_says_so() -> None:
    # Given an engine with a coroutine that never ends
    engine = Engine()
    engine.start()
    begun, errors = threading.Event(), []

    async def endless() -> None:
        begun.set()
        await asyncio.Event().wait()

    def run() -> None:
        try:
            engine.run(endless, timeout=100)
        except EngineStopped as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()

    # When it stops
    engine.stop(grace=0)
    thread.join()

    # Then the caller knows
    assert "cancelled" in str(errors[0])


def test_a_dead_loop_wakes_everybody_who_waits_for_it() -> None:
    # Given somebody who waits for a coroutine that never ends
    engine = Engine()
    engine.start()
    begun, errors = threading.Event(), []

    async def endless() -> None:
        begun.set()
        await asyncio.Event().wait()

    def run() -> None:
        try:
            engine.run(endless, timeout=100)
        except EngineStopped as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()

    # When the loop ends by something else than `stop`
    async def end() -> None:
        asyncio.get_running_loop().stop()
        await asyncio.Event().wait()

    with pytest.raises(EngineStopped):
        engine.run(end, timeout=100)
    thread.join()

    # Then nobody waits for ever, and the engine is seen to be dead
    assert "ended while this ran" in str(errors[0])
    assert not engine.alive


def test_an_engine_can_be_started_again_after_it_stopped() -> None:
    engine = Engine()
    for _ in range(2):
        engine.start()
        assert engine.alive
        assert engine.run(answer, timeout=PATIENCE_S) == 42
        engine.stop(grace=1)
