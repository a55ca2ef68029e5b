"""Which node a connection begins with, without one: a node that failed a moment ago is tried last."""

from typing import Any

import kombu
import pytest

from notifier.broker import nodes
from notifier.broker.nodes import CONNECT_TIMEOUT_S, NodeConnection, open_nodes

TWO = "amqp://one.example:5672//;amqp://two.example:5673//"


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where a connection would have been opened; each attempt is refused."""
    monkeypatch.setattr(nodes, "_shunned", {})
    tried: list[str] = []

    def refuse(self: Any) -> Any:
        tried.append(self.place)
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(kombu.Connection, "_connection_factory", refuse)
    return tried


def attempt(connection: NodeConnection) -> None:
    with pytest.raises(ConnectionRefusedError):
        connection._connection_factory()


def test_one_that_failed_is_tried_last_by_every_connection(tried: list[str]) -> None:
    attempt(NodeConnection(TWO))
    attempt(NodeConnection(TWO))

    assert tried == ["one.example:5672", "two.example:5673"]


def test_when_all_have_failed_they_are_tried_in_turn(tried: list[str]) -> None:
    for _ in range(3):
        attempt(NodeConnection(TWO))

    assert set(tried[:2]) == {"one.example:5672", "two.example:5673"}
    assert len(tried) == 3


def test_after_a_while_it_is_tried_first_again(tried: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    attempt(NodeConnection(TWO))
    monkeypatch.setattr(nodes, "_shunned", {place: until - 1000 for place, until in nodes._shunned.items()})

    attempt(NodeConnection(TWO))

    assert tried == ["one.example:5672"] * 2


def test_a_single_node_is_never_shunned_and_given_longer(tried: list[str]) -> None:
    single = NodeConnection("amqp://one.example:5672//", connect_timeout=0)
    attempt(single)
    several = NodeConnection(TWO, connect_timeout=0)
    attempt(several)

    assert tried == ["one.example:5672", "one.example:5672"]
    assert single.connect_timeout > several.connect_timeout == CONNECT_TIMEOUT_S


def test_a_connection_that_is_not_open_is_none_to_look_at() -> None:
    connection = NodeConnection(TWO)

    assert (connection.amqp, open_nodes()) == (None, [])
    connection.hang_up()
