"""Which files lie below the templates folder, and what they say as text, with sizes capped.

Symbolic links are followed, each folder once: Kubernetes mounts a ConfigMap as links into a hidden ``..data`` folder.
Hidden names are skipped, which also keeps an editor's swap files and that ``..data`` folder out.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

#: Files of one tree; a mistaken NOTIFIER_TEMPLATES=/ stops here instead of reading the machine.
MAX_FILES = 20_000


class TooManyFiles(OSError):
    """The folder cannot be a templates folder."""


def files_below(root: Path) -> Iterator[os.DirEntry[str]]:
    """Every file below ``root``, in no order. Raises ``OSError`` when ``root`` cannot be read."""
    status = root.stat()
    seen = {(status.st_dev, status.st_ino)}
    waiting = [str(root)]
    count = 0
    while waiting:
        for entry in _entries(waiting.pop(), str(root)):
            if _is_folder(entry):
                folder = Path(entry.path).stat()
                if (mark := (folder.st_dev, folder.st_ino)) not in seen:
                    seen.add(mark)
                    waiting.append(entry.path)
                continue
            count += 1
            if count > MAX_FILES:
                raise TooManyFiles(f"{root} holds more than {MAX_FILES} files: is it really the templates folder?")
            yield entry


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        # A link in a circle is a file that cannot be read: the others are there all the same.
        return False


def _entries(folder: str, root: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    except FileNotFoundError:
        # Deleted while we looked: the next look sees the tree whole. The root itself must be there.
        if folder == root:
            raise
        return []


def read_text(path: Path, limit: int) -> str:
    """A file's text. Raises ``ValueError`` saying what is wrong with it: unreadable, too large, not UTF-8."""
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from error
    if len(raw) > limit:
        raise ValueError(f"is larger than {limit // 1024} kB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(f"is not UTF-8 (line {line})") from error
