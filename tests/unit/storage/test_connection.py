"""URLs, the packer and the translation of errors, without a server."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import exceptions as redis_errors
from redis._parsers.encoders import Encoder
from redis.connection import PythonRespSerializer

from notifier.errors import ConfigurationError, StorageUnavailable
from notifier.storage.connection import CommandPacker, connect
from notifier.storage.faults import translate


def options(url: str, **given: Any) -> dict[str, Any]:
    return connect(url, **given).client.connection_pool.connection_kwargs


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://:secret@db.example:6380/3", {"host": "db.example", "port": 6380, "db": 3, "password": "secret"}),
        ("rediss://db.example/0", {"host": "db.example", "ssl_ca_certs": "/etc/ca.pem"}),
        ("unix:///run/redis.sock?db=2", {"path": "/run/redis.sock", "db": 2}),
        ("sentinel://user:p%40ss@h1,h2:26380/orders/4", {"db": 4, "username": "user", "password": "p@ss"}),
    ],
)
def test_every_kind_of_url_is_understood(url: str, expected: dict[str, Any]) -> None:
    found = options(url, ca_file=Path("/etc/ca.pem"))
    assert {name: found.get(name) for name in expected} == expected


def test_sentinels_are_all_asked_for_the_service() -> None:
    pool: Any = connect("sentinels://h1:1,h2:2/orders/0").client.connection_pool
    asked = [client.connection_pool.connection_kwargs for client in pool.sentinel_manager.sentinels]
    assert pool.service_name == "orders"
    assert [(a["host"], a["port"]) for a in asked] == [("h1", 1), ("h2", 2)]


def test_a_reply_is_not_awaited_for_ever() -> None:
    assert options("redis://localhost")["socket_timeout"] == 5


@given(st.lists(st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.integers()), max_size=6))
def test_our_packer_writes_what_redis_py_writes(words: list[str | int]) -> None:
    theirs = PythonRespSerializer(6000, Encoder("utf-8", "surrogatepass", True).encode)  # type: ignore[no-untyped-call]
    for head in ("EVALSHA", "SCRIPT LOAD"):
        expected = b"".join(theirs.pack(head, *words))  # type: ignore[no-untyped-call]
        assert b"".join(CommandPacker().pack(head, *words)) == expected


@pytest.mark.parametrize(
    "error",
    [
        redis_errors.ConnectionError("refused"),
        redis_errors.TimeoutError("slow"),
        redis_errors.AuthenticationError("WRONGPASS"),
        redis_errors.BusyLoadingError("loading"),
        redis_errors.ReadOnlyError("replica"),
        redis_errors.OutOfMemoryError("oom"),
        redis_errors.MasterDownError("gone"),
        redis_errors.ResponseError("MISCONF cannot write"),
        redis_errors.ResponseError("NOREPLICAS not enough"),
        redis_errors.ResponseError("BUSY running a script"),
        OSError("no route"),
    ],
)
def test_a_server_that_cannot_do_it_now_is_unavailable(error: Exception) -> None:
    assert isinstance(translate(error), StorageUnavailable)


def test_a_cluster_is_a_mistake_in_the_settings() -> None:
    assert isinstance(translate(redis_errors.MovedError("1 127.0.0.1:7001")), ConfigurationError)


def test_our_own_mistakes_are_not_hidden_as_outages() -> None:
    assert translate(redis_errors.ResponseError("WRONGTYPE Operation against a key")) is None
