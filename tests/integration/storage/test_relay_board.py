"""What people see of paused relays and senders: notes of living workers, one place for each."""

import json

import pytest
from click.testing import Result
from typer.testing import CliRunner

from notifier.cli.application import application
from notifier.process import settings
from notifier.storage import keys
from notifier.storage.commands import command
from notifier.storage.relays import NotedProvider, PausedRelay, RefusedSender, RelayBoard
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
    shown, table = asked()

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


def test_relays_lists_providers_while_a_living_worker_leaves_them_alone(
    board: RelayBoard, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a provider that refuses the login of two workers, one that lacks a setting, and one whose rest is over
    board.write_providers("w1", [NotedProvider("sms", "w1", "http_401: no", 200.0, 260.0)], [])
    board.write_providers(
        "w2",
        [
            NotedProvider("sms", "w2", "http_401: no", 100.0, 300.0),
            NotedProvider("room", "w2", "NOTIFIER_CHANNEL_ROOM_URL is not set", 50.0, 0.0),
            NotedProvider("push", "w2", "http_429", 50.0, 65.0, rests=True),
        ],
        [],
    )
    board.write_providers("dead", [NotedProvider("fax", "dead", "http_401: no", 1.0, 2.0)], [])
    monkeypatch.setenv("NOTIFIER_REDIS_URL", redis_url)

    # When people ask
    shown, table = asked()

    # Then the first two are told, each once, with since when and why
    providers = {one["provider"]: one for one in json.loads(shown.stdout) if "provider" in one}
    assert set(providers) == {"sms", "room"}
    assert providers["sms"] == {
        "provider": "sms",
        "up": False,
        "since": 100.0,
        "probe_at": 260.0,
        "reason": "http_401: no",
        "paused_by": ["w2", "w1"],
    }
    assert "NOTIFIER_CHANNEL_ROOM_URL is not set" in table.stdout

    # And what is back is gone
    board.write_providers("w2", [], ["room", "sms"])
    assert [one.owner for one in board.providers(1000.0)] == ["w1"]


def asked() -> tuple[Result, Result]:
    """What `notifier relays` says, as JSON and as a table."""
    settings.cache_clear()
    try:
        return CliRunner().invoke(application, ["relays", "--json"]), CliRunner().invoke(application, ["relays"])
    finally:
        settings.cache_clear()
