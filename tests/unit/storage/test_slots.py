"""Slots go to who waits longest, nobody keeps what it gave up, and giving one back lets nobody else run."""

import subprocess
import sys
import threading

from notifier.storage.slots import Slots
from tests.servers.patience import PATIENCE_S, poll


def test_who_comes_first_is_served_first() -> None:
    # Given one slot, taken, and three threads that wait for it in turn
    slots, order = Slots(1), list[int]()
    assert slots.acquire(0)

    def wait(number: int) -> None:
        assert slots.acquire(PATIENCE_S)
        order.append(number)
        slots.release()

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(3)]
    for number, thread in enumerate(threads):
        thread.start()
        poll(lambda number=number: len(slots._line) == number + 1, "it waits")

    # When it is given back
    slots.release()
    for thread in threads:
        thread.join(PATIENCE_S)

    # Then they had it in that order, and it is free again
    assert order == [0, 1, 2]
    assert slots.acquire(0)


def test_who_waits_in_vain_leaves_nothing_behind() -> None:
    # Given a slot that is taken
    slots = Slots(1)
    assert slots.acquire(0)

    # When somebody gives up waiting for it
    assert not slots.acquire(0.01)

    # Then whoever comes after it is given back has it
    slots.release()
    assert slots.acquire(0)


GREENLETS = """
from gevent import monkey; monkey.patch_all()
import gevent
from notifier.storage.slots import Slots
slots, ran = Slots(2), []
gevent.spawn(ran.append, "somebody else")
slots.acquire(1); slots.acquire(1); slots.release()
print(ran)
slots.acquire(1)
killed = gevent.spawn(slots.acquire, 60)
gevent.sleep(0)
killed.kill()
slots.release()
print(slots.acquire(0), slots.acquire(0))
waiting = gevent.spawn(slots.acquire, 60)
gevent.sleep(0)
slots.release()
print(waiting.get(timeout=60))
"""


def test_in_greenlets_a_release_lets_nobody_else_run_and_a_killed_one_keeps_no_place() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", GREENLETS],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (run.stdout.splitlines(), run.returncode) == (["[]", "True False", "True"], 0), run.stderr
