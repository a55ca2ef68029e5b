"""A connection whose node is silent, or owes an answer, is closed at once."""

import socket
import time
from types import SimpleNamespace
from typing import Any

import pytest

from notifier.broker import connection_watch
from notifier.broker.alarm import ALARM
from notifier.broker.connection_watch import ANSWER_S, look, silence
from notifier.client.silence import SILENT_S


class Node:
    """An open connection, as a test says."""

    def __init__(self, place: str, *, heartbeat: int = 4, silent: float = 0.0, waits: float | None = None) -> None:
        self.place = place
        begun = [] if waits is None else [time.monotonic() - waits]
        self.amqp: Any = SimpleNamespace(
            heartbeat=heartbeat, sock=silent, channels={1: SimpleNamespace(waits=begun), 2: SimpleNamespace(waits=[])}
        )
        self.did: list[str] = []

    def leave(self) -> None:
        self.did.append("left")

    def shun(self) -> None:
        self.did.append("shunned")

    def hang_up(self) -> None:
        self.did.append("hung up")


def looked(monkeypatch: pytest.MonkeyPatch, *nodes: Node) -> list[list[str]]:
    monkeypatch.setattr(connection_watch, "open_nodes", lambda: list(nodes))
    monkeypatch.setattr(connection_watch, "silence", lambda sock: sock)
    look()
    return [node.did for node in nodes]


def test_a_node_that_is_silent_beyond_its_heartbeats_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Node("a", silent=SILENT_S), Node("b", silent=SILENT_S - 0.1)

    assert looked(monkeypatch, *nodes) == [["left"], []]


def test_without_heartbeats_silence_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked(monkeypatch, Node("a", heartbeat=0, silent=1000.0)) == [[]]


def test_who_owes_an_answer_for_long_ends_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Node("a", waits=ANSWER_S + 1), Node("b", waits=1.0)

    assert looked(monkeypatch, *nodes) == [["shunned", "hung up"], ["hung up"]]


def test_in_an_alarm_nobody_is_blamed_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ALARM, "reason", "memory")

    assert looked(monkeypatch, Node("a", waits=ANSWER_S + 1)) == [[]]


def test_one_that_was_closed_a_moment_ago_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = Node("a")
    closed.amqp = None

    assert looked(monkeypatch, closed) == [[]]


def test_the_kernel_says_how_long_it_has_got_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        with client, peer:
            peer.sendall(b"hello")
            client.recv(5)
            assert silence(client) < 60
