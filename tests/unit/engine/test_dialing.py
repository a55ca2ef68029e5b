"""The first of a host's addresses that takes a connection, without a network: each attempt is what a test says."""

import asyncio
import errno
import socket
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from notifier.engine import dialing
from notifier.engine.dialing import further, interleaved, race

V4, V6 = socket.AF_INET, socket.AF_INET6


@dataclass(frozen=True)
class Address:
    family: int
    name: str


@dataclass
class Socket:
    """Stands for a connection."""

    name: str
    closed: bool = False

    def close(self) -> None:
        self.closed = True


@dataclass
class Network:
    """What becomes of an attempt at each address; one that is not named is silent."""

    answers: dict[str, OSError | None]
    tried: list[str] = field(default_factory=list)
    made: list[Socket] = field(default_factory=list)

    async def connect(self, name: str) -> socket.socket:
        self.tried.append(name)
        if name not in self.answers:
            await asyncio.get_running_loop().create_future()
        if (error := self.answers[name]) is not None:
            raise error
        self.made.append(Socket(name))
        return cast(socket.socket, self.made[-1])

    def race(self, *names: str) -> str:
        return asyncio.run(race(names, self.connect))[0]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialing, "STAGGER_S", 0.01)


def test_families_take_turns_beginning_with_the_systems_first() -> None:
    addresses = [Address(V6, "a"), Address(V6, "b"), Address(V6, "c"), Address(V4, "d")]

    assert [one.name for one in interleaved(addresses)] == ["a", "d", "b", "c"]


@pytest.mark.parametrize("first", [None, OSError(errno.ECONNREFUSED, "refused")], ids=["silent", "refused"])
def test_the_next_address_is_tried_when_one_is_silent_or_refuses(first: OSError | None) -> None:
    network = Network({"b": None} if first is None else {"a": first, "b": None})

    assert network.race("a", "b", "c") == "b"
    assert network.tried == ["a", "b"]


def test_one_that_answers_at_once_is_taken_and_no_other_is_tried() -> None:
    network = Network({"a": None, "b": None})

    assert network.race("a", "b") == "a"
    assert network.tried == ["a"]


def test_of_two_that_connect_at_once_one_is_closed() -> None:
    network = Network({})
    gate: dict[str, Any] = {}

    async def connecting(name: str) -> socket.socket:
        await gate.setdefault("both", asyncio.Event()).wait()
        network.made.append(Socket(name))
        return cast(socket.socket, network.made[-1])

    async def run() -> Any:
        running = asyncio.create_task(race(["a", "b"], connecting))
        await asyncio.sleep(0.05)
        gate["both"].set()
        winner = await running
        await asyncio.sleep(0)
        return winner

    name, taken = asyncio.run(run())

    assert [one.name for one in network.made if not one.closed] == [name]
    assert taken is next(one for one in network.made if one.name == name)


def test_when_all_fail_the_attempt_that_got_furthest_is_told() -> None:
    refused = OSError(errno.ECONNREFUSED, "refused")
    network = Network({"a": OSError(errno.ENETUNREACH, "no way"), "b": refused, "c": TimeoutError()})

    with pytest.raises(OSError, match="refused") as raised:
        network.race("a", "b", "c")

    assert raised.value is refused


def test_of_two_alike_the_later_is_told_and_a_mistake_of_ours_at_once() -> None:
    one, other = OSError(errno.ECONNREFUSED, "one"), OSError(errno.ECONNRESET, "other")

    assert further(one, other) is other
    with pytest.raises(KeyError):
        further(one, KeyError("a bug"))
