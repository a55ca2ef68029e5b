"""How the engine's thread wakes whoever waits for it: plain threads, and greenlets through their hub."""

import _thread
import threading

import gevent
import pytest

from notifier.engine import wakeups
from notifier.engine.wakeups import Waiter, Waiters, is_patched, native
from tests.servers.patience import PATIENCE_S


def wake_from_a_thread(*waiters: Waiter) -> None:
    """Natively, as the engine does."""

    def run() -> None:
        for waiter in waiters:
            waiter.wake()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def test_a_thread_waits_until_it_is_woken_and_may_ask_again() -> None:
    waiter = Waiters().new()
    assert not waiter.wait(0)

    wake_from_a_thread(waiter)

    assert waiter.wait(PATIENCE_S)


def test_greenlets_wait_while_their_hub_runs_others(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a process whose threads gevent has replaced, and three greenlets that wait
    monkeypatch.setattr(wakeups, "is_patched", lambda: True)
    waiters = Waiters()
    waiting = [waiters.new() for _ in range(3)]
    greenlets = [gevent.spawn(waiter.wait, PATIENCE_S) for waiter in waiting]
    gevent.sleep(0)

    # When two are woken from a native thread
    wake_from_a_thread(*waiting[:2])
    gevent.joinall(greenlets[:2])

    # Then these two go on and the third one waits
    assert [greenlet.value for greenlet in greenlets] == [True, True, None]
    wake_from_a_thread(waiting[2])
    gevent.joinall(greenlets)
    assert greenlets[2].value
    waiters.close()


def test_one_that_nobody_wakes_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeups, "is_patched", lambda: True)
    waiters = Waiters()

    assert gevent.spawn(waiters.new().wait, 0.001).get() is False
    waiters.close()


def test_without_gevents_patches_the_native_functions_are_pythons_own() -> None:
    assert not is_patched()
    assert native("_thread", "allocate_lock") is _thread.allocate_lock
