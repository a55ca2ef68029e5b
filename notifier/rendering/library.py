"""The compiled templates of a folder tree: everything compiled and checked once, all mistakes reported together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Template

from notifier.errors import Problem, RenderError, TemplateError
from notifier.rendering.compiler import Reference, kind_of
from notifier.rendering.faults import rendering_fault
from notifier.rendering.files import (
    Part,
    candidates,
    channel_names,
    is_partial,
    misnamed,
    part_names,
    read_channel_files,
    read_part,
    read_sources,
)
from notifier.rendering.meter import Meter
from notifier.rendering.sandbox import Compiled, CompileError, Sandbox
from notifier.rendering.styles import wants_inlining


@dataclass(frozen=True, slots=True)
class TextSet:
    """The templates of one message in one language."""

    locale: str
    subject: Template | None = None
    text: Template | None = None
    html: Template | None = None
    json: Template | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """What is known of one folder besides its templates."""

    hash: str
    inlines: bool
    """Whether a ``<style>`` of its HTML has to be written into the elements."""


class Library:
    """All templates below one root."""

    def __init__(self, root: Path, before: Library | None = None, breathe: Callable[[], None] = lambda: None) -> None:
        """Raises `TemplateError` with the mistakes of all files.

        ``before``: an earlier version, of which is used again what was compiled from the same name and source.
        ``breathe``: called between files, so that whoever loads beside other work can let it go on.
        """
        self._root = root
        self._before: Mapping[str, Compiled] = before.codes if before is not None else {}
        self._breathe = breathe
        self.sandbox: Sandbox = Sandbox()
        self._channels = read_channel_files(root)
        self._known = part_names(channel_names(root))
        self._sources, problems = read_sources(root, {name: one.source for name, one in self._before.items()}, breathe)
        self._below = _by_folder(self._sources)
        self._references = self._compile(problems)
        self._check_references(problems)
        parts = self._parts(problems)
        sets = _with_fallbacks(parts)
        problems.extend(self._incomplete({key: frozenset(found) for key, found in sets.items()}))
        if not problems:
            problems.extend(self._fill_caches())
        if problems:
            raise TemplateError(problems)
        self.sets = sets
        """(folder, kind, locale) → its parts by role."""
        self._text_sets: dict[tuple[str, str, str], TextSet] = {}
        self.folders = {folder: self._folder(folder, kinds) for folder, kinds in _kinds(parts).items()}
        # The one before that one would stay in memory too, and so on to the first.
        self._before = {}

    @property
    def codes(self) -> Mapping[str, Compiled]:
        """Every template by name, as it was compiled."""
        return self.sandbox.codes

    def find(self, folder: str, kind: str, locale: str) -> TextSet:
        """The texts nearest to ``locale``. Raises `RenderError` when the folder has none of this kind."""
        if found := self._text_sets.get((folder, kind, locale)):  # the others are not even listed
            return found
        for candidate in (locale, *candidates(locale)):
            if parts := self.sets.get((folder, kind, candidate)):
                return self._text_set((folder, kind, candidate), parts)
        raise RenderError(f"there is no {kind} template; add {folder}/{kind}.{_FIRST.get(kind, 'text')}.j2", folder)

    def _compile(self, problems: list[Problem]) -> dict[str, list[Reference]]:
        references = {}
        for name, source in self._sources.items():
            self._breathe()
            known = self._before.get(name)
            if known is not None and known.source == source:
                self.sandbox.codes[name] = known
                references[name] = known.references
                continue
            try:
                references[name] = self.sandbox.define(name, source)
            except CompileError as error:
                problems.extend(Problem(f"{self._root / name}:{line}", what, fix) for line, what, fix in error.mistakes)
        return references

    def _check_references(self, problems: list[Problem]) -> None:
        for name, references in self._references.items():
            self._breathe()
            for reference in references:
                where = f"{self._root / name}:{reference.line}"
                if reference.name not in self._sources:
                    problems.append(Problem(where, f"there is no {reference.name!r}", "names start at the root"))
                elif reference.written and kind_of(reference.name) != kind_of(name):
                    what = f"{reference.name!r} is {kind_of(reference.name)}, this file is {kind_of(name)}"
                    problems.append(Problem(where, what, "include the same kind: another one is escaped differently"))
                elif name in self._closure([reference.name]):
                    problems.append(Problem(where, f"{reference.name!r} refers back to this file", "break the circle"))

    def _closure(self, names: Iterable[str]) -> set[str]:
        """These templates and all they refer to, directly or not."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(reference.name for reference in self._references.get(name, ()))
        return found

    def _parts(self, problems: list[Problem]) -> list[Part]:
        parts = []
        for name in self._sources:
            self._breathe()
            part = read_part(name, self._known)
            if part is not None:
                parts.append(part)
            elif not is_partial(name):
                problems.append(misnamed(self._root, name, self._known))
        return parts

    def _text_set(self, key: tuple[str, str, str], parts: dict[str, Part]) -> TextSet:
        found = self._text_sets.get(key)
        if found is None:
            templates = {role: self.sandbox.compiled[part.name] for role, part in parts.items()}
            found = self._text_sets[key] = TextSet(key[2], **templates)
        return found

    def _incomplete(self, sets: dict[tuple[str, str, str], frozenset[str]]) -> Iterator[Problem]:
        for (folder, kind, locale), roles in sets.items():
            for what, fix in _lacking(folder, kind, roles, has_default=(folder, kind, "") in sets):
                yield Problem(str(self._root / folder / locale), what, fix)

    def _fill_caches(self) -> Iterator[Problem]:
        """Run what Jinja renders once and keeps, so that no message pays for it or meets its mistakes."""
        for name in sorted({r.name for references in self._references.values() for r in references if r.cached}):
            with Meter():
                try:
                    _ = self.sandbox.compiled[name].module
                except Exception as error:
                    fault = rendering_fault(error, name)
                    yield Problem(f"{self._root / fault.template}:{fault.line}", fault.what, fault.fix)

    def _folder(self, folder: str, kinds: Collection[str]) -> Folder:
        self._breathe()
        names = sorted(self._closure(self._below.get(folder, ())))
        digest = hashlib.sha256()
        for name in names:
            digest.update(f"{name}\0{self._sources[name]}\0".encode())
        # What a provider is told is as much made of its file as of the folder's text.
        for channel in sorted(self._channels.keys() & kinds):
            digest.update(f"{channel}\0".encode() + self._channels[channel] + b"\0")
        inlines = any(wants_inlining(self._sources[name]) for name in names if name.endswith(".html.j2"))
        return Folder(digest.hexdigest()[:12], inlines)


_MAILS = frozenset({"email", "digest"})
#: What is asked for first where there is nothing; of a channel file's templates the text.
_FIRST = {"email": "subject", "digest": "subject", "webhook": "json"}


def _lacking(folder: str, kind: str, roles: frozenset[str], *, has_default: bool) -> Iterator[tuple[str, str]]:
    """What a message of one kind and language has not, and what to do."""
    if kind in _MAILS and "subject" not in roles:
        yield f"has no {kind}.subject.j2", "every language needs its own subject"
    if kind not in _FIRST and "text" not in roles:
        yield f"has no {kind}.text.j2", "a message needs a text"
    if kind in _MAILS and not roles & {"text", "html"}:
        yield f"has neither {kind}.text.j2 nor {kind}.html.j2", "a message needs one of them"
    if not has_default:
        yield f"has {kind} templates but {folder} itself has none", "add the default language"


def _by_folder(names: Iterable[str]) -> dict[str, list[str]]:
    """Folder → the templates below it."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.partition("/")[0], []).append(name)
    return found


def _kinds(parts: Iterable[Part]) -> dict[str, set[str]]:
    """Folder → what its parts are for."""
    found: dict[str, set[str]] = {}
    for part in parts:
        found.setdefault(part.folder, set()).add(part.kind)
    return found


def _with_fallbacks(parts: Iterable[Part]) -> dict[tuple[str, str, str], dict[str, Part]]:
    """(folder, kind, locale) → parts by role. ``de-AT`` takes from ``de`` what it lacks; no language takes English."""
    sets: dict[tuple[str, str, str], dict[str, Part]] = {}
    for part in parts:
        sets.setdefault((part.folder, part.kind, part.locale), {})[part.role] = part
    for (folder, kind, locale), found in sets.items():
        language = locale.split("-")[0]
        if language != locale:
            for role, part in sets.get((folder, kind, language), {}).items():
                found.setdefault(role, part)
    return sets
