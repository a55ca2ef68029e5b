"""`Spread`: among how many slots of a Cluster the large families of keys are divided, and where something belongs.

On one server they are not divided, and have the keys that they always had. On a Cluster each name has one of 96 tags,
which lie in the middles of equal parts of the slots: divided among 3, 4, 6, 8 or 12 primaries each has as many, among
others up to ten the fullest has 5 % more than the mean.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Collection, Sequence

#: Fixed for ever: a name whose tag changes is not found again.
_LETTERS = (
    "8f6ucz7vbylj4n254b36f94s980nzujqdb1mypo2fdn1ggit158c6p8v06e95u4gni5d4vayl2edkw0zm1dghrfa3ngb2mxv"
    "rwk4bbj7camry64h5znwx55kdy630d70ez0uo82so43pykhlltz67hcd6k8xh4aboqpti7x01sc9jozk0pm753gy2vfz40yn"
)
#: Hash tags, by the part of the slots in which they lie.
TAGS = tuple(f"{{{_LETTERS[place : place + 2]}}}" for place in range(0, len(_LETTERS), 2))


class Spread:
    """The tags of a deployment; one empty tag where nothing is divided."""

    __slots__ = ("is_whole", "tags")

    def __init__(self, tags: tuple[str, ...]) -> None:
        self.tags = tags
        self.is_whole = len(tags) == 1

    def tag(self, name: str) -> str:
        """Where a name belongs: the same for everybody, always."""
        if self.is_whole:
            return self.tags[0]
        return self.tags[crc_hqx(name.encode("utf-8", "surrogatepass"), 0) % len(self.tags)]

    def at(self, name: str) -> Spread:
        """The part alone where a name belongs."""
        return Spread((self.tag(name),))

    def parts(self, names: Sequence[str]) -> Collection[tuple[str, Sequence[str]]]:
        """Names by the tag where they belong; none where there are none."""
        if self.is_whole:
            return [(self.tags[0], names)] if names else []
        found: dict[str, list[str]] = {}
        for name in names:
            found.setdefault(self.tag(name), []).append(name)
        return found.items()


WHOLE = Spread(("",))
DIVIDED = Spread(TAGS)
