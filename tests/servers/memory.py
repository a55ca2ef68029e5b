"""Where a server of the tests keeps its data while they run: in memory where there is room.

A broker writes every declaration of a quorum queue to its disk, and our topology is seventy of them: on a file system
in memory a fresh one takes a third of the time. What a test stops or kills and starts again finds its data either way;
only benches, whose figures have to hold for a disk, give their servers folders of their own.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 4 << 30
"""A container's is 64 MB unless it was asked for more; a run of the whole suite leaves some hundred MB in each."""
_PREFIX = "notifier-tests-"


@contextmanager
def kept_in_memory(folder: Path) -> Iterator[None]:
    """Makes ``folder``, which must not be there yet, a link into memory if there is room, until the block ends."""
    _remove_orphans()
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM_BYTES:
        yield
        return
    with tempfile.TemporaryDirectory(
        prefix=f"{_PREFIX}{os.getpid()}-", dir=_MEMORY, ignore_cleanup_errors=True
    ) as room:
        folder.symlink_to(room, target_is_directory=True)
        yield


def _remove_orphans() -> None:
    """Takes away what a run left that was killed; who owns a folder is in its name."""
    for left in _MEMORY.glob(f"{_PREFIX}*"):
        pid = left.name.removeprefix(_PREFIX).split("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(left, ignore_errors=True)
