"""Who walks a queue: one at a time, because what one walk has taken would look to another as if it were not there."""

from __future__ import annotations

from notifier.storage.commands import Operation, run_script
from notifier.storage.records import milliseconds


def begin_walk(walker: str, token: str, seconds: float) -> Operation[bool]:
    """Whether the queue of this key is ``token``'s to walk, for so long; also when it was before."""
    (mine,) = yield [run_script("begin_walk", [walker], token, milliseconds(seconds))]
    return bool(mine)


def end_walk(walker: str, token: str) -> Operation[None]:
    """Let others walk; somebody else's turn stays."""
    yield [run_script("end_walk", [walker], token)]
