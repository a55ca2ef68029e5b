"""Which node of a Redis Cluster has which key: slots of keys and calls, and the map from slots to primaries.

Redis Cluster specification, "Key distribution model": CRC16 of the key, or of what stands between its first braces,
modulo 16,384.
"""

from __future__ import annotations

from array import array
from binascii import crc_hqx
from collections.abc import Sequence
from typing import Any

from notifier.storage.commands import Call

#: Of every Cluster.
SLOTS = 16384

#: Host and port.
Address = tuple[str, int]

#: Commands of ours that name no key; where it matters they say near which one they are to run (`Call.near`).
KEYLESS = frozenset({"TIME", "SCAN", "SCRIPT", "INFO", "PING"})
#: Of a node that the map does not know.
_NOBODY = 0xFFFF


def slot_of(key: str) -> int:
    """The slot of a key."""
    data = key.encode("utf-8", "surrogatepass")
    if (start := data.find(b"{")) >= 0 and (end := data.find(b"}", start)) > start + 1:
        data = data[start + 1 : end]
    # The standard library's CRC of BinHex is the specification's: polynomial 0x1021, nothing reflected, 0 at first.
    return crc_hqx(data, 0) & (SLOTS - 1)


def key_of(call: Call) -> str:
    """The key by which a call finds its node; empty where any node will do."""
    if call.near:
        return call.near
    words = call.words
    if call.script is not None:
        return str(words[3]) if words[2] else ""
    return "" if words[0] in KEYLESS else str(words[1])


class SlotMap:
    """Primaries by slot, as one node told it."""

    __slots__ = ("_nodes", "_owners")

    def __init__(self) -> None:
        self._nodes: list[Address] = []
        self._owners = array("H", [_NOBODY]) * SLOTS

    @classmethod
    def read(cls, reply: Sequence[Any], asked: str) -> SlotMap:
        """From CLUSTER SLOTS; ``asked`` is the host that told it, which leaves its own name out if it knows none."""
        found = cls()
        for first, last, primary, *_ in reply:
            number = found._number((primary[0] or asked, int(primary[1])))
            found._owners[first : last + 1] = array("H", [number]) * (last + 1 - first)
        return found

    @property
    def primaries(self) -> tuple[Address, ...]:
        """All that have slots, in the order of their first one."""
        return tuple(self._nodes)

    def of(self, slot: int) -> Address | None:
        """The primary of a slot; None where nobody serves it."""
        owner = self._owners[slot]
        return None if owner == _NOBODY else self._nodes[owner]

    def _number(self, node: Address) -> int:
        if node not in self._nodes:
            self._nodes.append(node)
        return self._nodes.index(node)
