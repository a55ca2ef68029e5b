"""What people see of paused relays and senders: notes of living workers, one place for each."""

import json

import pytest
from typer.testing import CliRunner

from notifier.cli.application import application
from notifier.process import settings
from notifier.storage import keys
from notifier.storage.commands import command
from notifier.storage.relays import PausedRelay, RefusedSender, RelayBoard
from notifier.storage.store import Store

RELAY, OTHER = "relay.example:587", "second.example:587"


@pytest.fixture
def board(store: Store) -> RelayBoard:
    for owner in ("w1", "w2"):
        live(store, owner)
    return RelayBoard(store)


def live(store: Store, owner: str) -> None:
    def write():  # type: ignore[no-untyped-def]
        yield [command("SET", keys.alive(owner), "1")]

    store.run(write())


def refused(sender: str, owner: str = "w1", since: float = 100.0, relay: str = RELAY) -> RefusedSender:
    return RefusedSender(relay, owner, sender, "mail: 550 5.7.60 not yours", since, since + 5)


def test_senders_a_relay_refuses_are_shown_until_they_are_taken(board: RelayBoard) -> None:
    board.write("w1", [], [RELAY, OTHER], [refused("bad@example.com"), refused("@other.example", relay=OTHER)])
    assert board.senders() == [refused("bad@example.com"), refused("@other.example", relay=OTHER)]
    assert board.paused() == []

    board.write("w1", [], [RELAY, OTHER], [refused("@other.example", relay=OTHER)])
    assert board.senders() == [refused("@other.example", relay=OTHER)]


def test_what_a_dead_worker_noted_is_gone(board: RelayBoard) -> None:
    board.write("w1", [PausedRelay(RELAY, "w1", "away", 1.0, 6.0)], [], [refused("bad@example.com")])
    board.write("dead", [], [RELAY], [refused("bad@example.com", "dead")])

    assert board.senders() == [refused("bad@example.com")]
    assert board.paused() == [PausedRelay(RELAY, "w1", "away", 1.0, 6.0)]


def test_relays_lists_refused_senders_with_the_workers_that_were_told(
    board: RelayBoard, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two workers that one relay told so
    board.write("w1", [], [RELAY], [refused("bad@example.com", since=200.0)])
    board.write("w2", [], [RELAY], [refused("bad@example.com", "w2", since=100.0)])
    monkeypatch.setenv("NOTIFIER_REDIS_URL", redis_url)
    monkeypatch.setenv("NOTIFIER_SMTP_URL", f"smtp://{RELAY}")

    # When people ask
    settings.cache_clear()
    try:
        shown = CliRunner().invoke(application, ["relays", "--json"])
        table = CliRunner().invoke(application, ["relays"])
    finally:
        settings.cache_clear()

    # Then the relay is up, and the sender is there once
    (relay,) = json.loads(shown.stdout)
    assert relay["up"]
    assert relay["senders"] == [
        {
            "sender": "bad@example.com",
            "since": 100.0,
            "probe_at": 105.0,
            "reason": "mail: 550 5.7.60 not yours",
            "paused_by": ["w1", "w2"],
        }
    ]
    assert "bad@example.com" in table.stdout
