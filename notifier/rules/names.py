"""Files beside the rules and templates that nothing reads: which of them are misspelt, and which people keep there.

A misspelt rules.yaml is an event of which nobody ever hears, and a misspelt schema.json checks nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches

from notifier.errors import Problem

#: What people keep beside templates: pictures that mails show, notes, and what editors and merges leave behind.
_KEPT = (
    *(".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".ico", ".pdf", ".md", ".rst"),
    *("~", "#", ".bak", ".orig", ".rej", ".old", ".tmp", ".swp"),
)
#: Ends of files that are read as a whole or not at all.
_READ = (".yaml", ".yml", ".json")
#: How alike a name is to a known one so that it is meant as that, whatever lies beside it.
_ALIKE = 0.8


@dataclass(slots=True)
class Strays:
    """Files that nothing reads, gathered while the folders are listed."""

    known: Collection[str]
    """Names that are read in an event's folder."""
    _events: set[str] = field(default_factory=set)
    """Folders in which something is read."""
    _found: list[str] = field(default_factory=list)

    def take(self, path: str) -> None:
        """A file by its path below the templates folder: ``order.placed/de/email.html``."""
        if path.rpartition("/")[2] in self.known:
            self._events.add(path.partition("/")[0])
        elif path.count("/") in (1, 2) and not path.endswith(".j2"):  # templates are looked at by `rendering`
            self._found.append(path)

    def problems(self, root: str) -> Iterator[Problem]:
        """A mistake for each that can only be meant to be read."""
        for path in self._found:
            if self._is_mistake(path):
                close = get_close_matches(path.rpartition("/")[2].lower(), self.known, 1, 0.5)
                fix = f"did you mean {close[0]}?" if close else f"names are {', '.join(self.known)}"
                what = "nothing reads a file of this name"
                yield Problem(f"{root}/{path}", what, f"{fix} (a name that begins with _ is left alone)")

    def _is_mistake(self, path: str) -> bool:
        name = path.rpartition("/")[2].lower()
        if name.endswith(_KEPT):
            return False
        if get_close_matches(name, self.known, 1, _ALIKE):
            return True
        kinds = {one.partition(".")[0] for one in self.known if one.endswith(".j2")}
        return path.partition("/")[0] in self._events and (name.endswith(_READ) or name.partition(".")[0] in kinds)
