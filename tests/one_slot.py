"""Every command that a test sends has all its keys in one slot, whatever server it runs on: a Cluster takes no others.

A command that is new has to be added to the table below: where its keys stand is not in its words.
"""

from collections.abc import Iterator, Sequence

import pytest

from notifier.storage import cluster, wire
from notifier.storage.commands import Call
from notifier.storage.slot_map import KEYLESS, slot_of

#: All their words are keys.
KEYS_ONLY = frozenset({"DEL", "EXISTS", "MGET", "UNLINK"})
#: The first of their words is one, and no other.
ONE_KEY = frozenset(
    """APPEND GET GETRANGE INCR PEXPIRE PTTL SET SETRANGE STRLEN TTL TYPE SADD SCARD SMEMBERS SREM
    HDEL HEXISTS HGET HGETALL HKEYS HLEN HMGET HSCAN HSET HSETNX HVALS LINDEX LLEN LPOS LRANGE LREM RPUSH
    ZADD ZCARD ZCOUNT ZINCRBY ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZREM ZREMRANGEBYRANK ZREVRANGE ZREVRANGEBYSCORE
    ZSCAN ZSCORE XADD XLEN XRANGE XTRIM""".split()  # noqa: SIM905 - a table of words
)
#: Scripts over many records: on one server over any, on a Cluster, which sees to it itself, over those of one slot.
GROUPED = frozenset({"claim", "planned", "record", "register", "register_event", "unpack", "unplanned"})
#: Of the executor itself, and of its tests.
_OURS = frozenset({"ASKING", "CLUSTER", "ECHO"})


class CrossSlot(AssertionError):
    """A command over keys of two slots, or one of which nobody knows where its keys are."""


def keys_in(call: Call) -> Sequence[str]:
    """The keys of a command."""
    name, *words = call.words
    if call.script is not None:
        return [str(word) for word in words[2 : 2 + int(words[1])]]
    if name in KEYS_ONLY:
        return [str(word) for word in words]
    if name in ONE_KEY:
        return [str(words[0])]
    if name in KEYLESS or name in _OURS:
        return []
    raise CrossSlot(f"say in {__name__} where the keys of {name} are")


def check(calls: Sequence[Call]) -> None:
    """Raises `CrossSlot`."""
    for call in calls:
        slots = {key: slot_of(key) for key in keys_in(call)}
        if len(set(slots.values())) > 1 and not (call.script and call.script.name in GROUPED):
            name = call.script.name if call.script else call.words[0]
            raise CrossSlot(f"{name} is given keys of several slots, which a Cluster refuses: {slots}")


@pytest.fixture(scope="session", autouse=True)
def one_slot_each() -> Iterator[None]:
    """Looks at every round trip of both executors."""
    pack = wire.pack

    def checked(calls: Sequence[Call]) -> bytes:
        check(calls)
        return pack(calls)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wire, "pack", checked)
        patched.setattr(cluster, "pack", checked)
        yield
