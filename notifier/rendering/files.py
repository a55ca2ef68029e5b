"""Template files on disk: which there are, what their names mean, and what is wrong before they are compiled."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from notifier.errors import Problem
from notifier.rendering.operators import clean

SUFFIX = ".j2"
#: What a folder may hold. Files and folders beginning with ``_`` are layouts and partials, read by other templates.
PARTS = (
    "email.subject.j2",
    "email.text.j2",
    "email.html.j2",
    "digest.subject.j2",
    "digest.text.j2",
    "digest.html.j2",
    "webhook.json.j2",
)
#: The same of a channel that a file describes, behind its name: ``sms.text.j2``, ``push.subject.j2``.
PROVIDER_ROLES = ("text", "subject")
#: Where these files are.
CHANNELS, CHANNEL_SUFFIX = "_channels", ".yaml"


@dataclass(frozen=True, slots=True)
class Part:
    """One template file that makes a part of a message."""

    name: str
    """Its path below the root, which is also its name in Jinja: ``order.placed/de/email.html.j2``."""
    folder: str
    locale: str
    """``de``, ``de-AT``, or empty for the default."""
    kind: str
    """``email``, ``digest``, ``webhook``, or the name of a channel file."""
    role: str
    """``subject``, ``text``, ``html`` or ``json``."""


_NONE: Mapping[str, str] = {}


def read_sources(
    root: Path, checked: Mapping[str, str] = _NONE, breathe: Callable[[], None] = lambda: None
) -> tuple[dict[str, str], list[Problem]]:
    """Every template's name and source. Links that lead out of ``root`` are mistakes, not templates.

    ``checked``: sources that are known to be right. ``breathe``: called before each file.
    """
    sources: dict[str, str] = {}
    problems: list[Problem] = []
    if not root.is_dir():
        return {}, [Problem(str(root), "is not a folder", "set NOTIFIER_TEMPLATES to the folder of templates")]
    inside = root.resolve()
    for name in _template_names(str(root)):
        breathe()
        path = f"{root}/{name}"
        # Folders that are links are not entered, so only the file itself can lead out.
        if os.path.islink(path) and leads_out(path, inside):  # noqa: PTH114 - as below
            problems.append(Problem(path, "is a link out of the templates folder", "put a copy there"))
            continue
        try:
            sources[name] = _text(path)
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(path, f"cannot be read: {error}", "save it as UTF-8 text"))
            continue
        if sources[name] != checked.get(name) and clean(sources[name]) != sources[name]:
            problems.append(Problem(path, "has control characters", "only line ends and tabs may be used"))
    return sources, problems


def _template_names(root: str) -> Iterator[str]:
    """Paths below the root. Of strings: `pathlib` was four fifths of what a look at a thousand folders took."""
    for folder, folders, files in os.walk(root):
        # Kubernetes mounts a ConfigMap as links into hidden folders: the links are read, the folders are not.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = folder[len(root) :].lstrip("/")
        for name in sorted(files):
            if name.endswith(SUFFIX) and not name.startswith("."):
                yield f"{below}/{name}" if below else name


def _text(path: str) -> str:
    """With line ends as Python reads them everywhere."""
    with open(path, "rb") as file:  # noqa: PTH123 - a `Path` costs more than the reading
        text = file.read().decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def leads_out(path: str | Path, top: Path) -> bool:
    """Whether a file is a link out of ``top``. One in a circle leads nowhere: reading it says so."""
    return not os.path.realpath(path).startswith(str(top).rstrip("/") + "/")


def channel_names(root: Path) -> tuple[str, ...]:
    """The names of all channel files, whatever they say."""
    folder = root / CHANNELS
    found = folder.glob("*" + CHANNEL_SUFFIX) if folder.is_dir() else ()
    return tuple(sorted(path.name.removesuffix(CHANNEL_SUFFIX) for path in found))


def read_channel_files(root: Path) -> dict[str, bytes]:
    """Name → what its file says. Those that cannot be read are left out: `rules.channel_files` says why."""
    inside = root.resolve()
    found = {}
    for name in channel_names(root):
        path = root / CHANNELS / (name + CHANNEL_SUFFIX)
        try:
            if not leads_out(path, inside):
                found[name] = path.read_bytes()
        except OSError:
            continue
    return found


def part_names(channels: Collection[str]) -> tuple[str, ...]:
    """Every name that a folder's templates may have."""
    return (*PARTS, *(f"{channel}.{role}{SUFFIX}" for channel in channels for role in PROVIDER_ROLES))


def read_part(name: str, known: Collection[str] = PARTS) -> Part | None:
    """What a template's name says; None for layouts, partials and names nothing reads."""
    folder, *between, file = name.split("/") if "/" in name else ("", name)
    if file not in known or not folder or len(between) > 1 or is_partial(name):
        return None
    kind, role, _ = file.split(".")
    return Part(name, folder, canonical(between[0]) if between else "", kind, role)


def is_partial(name: str) -> bool:
    """Whether a file or one of its folders begins with ``_``."""
    return any(part.startswith("_") for part in name.split("/"))


def misnamed(root: Path, name: str, known: Collection[str] = PARTS) -> Problem:
    """What to say about a template nothing would ever read."""
    file = name.rsplit("/", 1)[-1]
    close = get_close_matches(file, known, 1)
    fix = f"did you mean {close[0]}?" if close else f"names are {', '.join(known)}; partials begin with _"
    channel, _, role = file.removesuffix(SUFFIX).partition(".")
    if role in PROVIDER_ROLES:
        fix += f"; for a channel of its own {CHANNELS}/{channel}{CHANNEL_SUFFIX} is missing"
    return Problem(str(root / name), "nothing reads this file", fix)


def canonical(locale: str) -> str:
    """``de_at`` and ``DE-at`` are ``de-AT``."""
    language, *rest = locale.replace("_", "-").split("-")
    return "-".join([language.lower(), *(part.upper() if len(part) == 2 else part.title() for part in rest)])


def candidates(locale: str) -> tuple[str, ...]:
    """Where a text for ``locale`` is looked for: ``de-AT``, ``de``, then the default."""
    tag = canonical(locale)
    language = tag.split("-")[0]
    return tuple(dict.fromkeys((tag, language, "")))
