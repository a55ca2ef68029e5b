"""`Catalog`: every rule, schema and sample of one version of the rule files, found by event type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from notifier.domain.event import Event
from notifier.domain.rule import Rule
from notifier.errors import RulesError
from notifier.rendering.expressions import Expressions
from notifier.rendering.files import channel_names
from notifier.rules.channel_files import CompiledProvider, load_channels
from notifier.rules.channel_urls import CheckUrl
from notifier.rules.loading import Folder, Templates, load_folders
from notifier.rules.matching import CompiledRule
from notifier.rules.patterns import matches
from notifier.rules.samples import Sample
from notifier.rules.schemas import Schema

#: Event types whose rules are remembered. Publishers name them, so a million made-up types must not fill memory.
MAX_CACHED_TYPES = 4096
_NONE: Mapping[str, CompiledProvider] = {}


class Catalog:
    """Immutable but for its cache; a changed file makes a new one (`live.Live`)."""

    def __init__(self, folders: Iterable[Folder], providers: Mapping[str, CompiledProvider] = _NONE) -> None:
        self.providers = providers
        """What the files of `_channels` describe, by name."""
        self._folders = {folder.name: folder for folder in folders}
        self._compiled = tuple(compiled for folder in self._folders.values() for compiled in folder.rules)
        self.rules: tuple[Rule, ...] = tuple(compiled.rule for compiled in self._compiled)
        """Every rule, in the order of folders and of their files."""
        self._by_id = {compiled.rule.id: compiled for compiled in self._compiled}
        self._cache: dict[str, tuple[tuple[CompiledRule, ...], tuple[Schema, ...]]] = {}

    @classmethod
    def load(
        cls,
        root: Path,
        renderer: Templates,
        expressions: Expressions,
        *,
        rules_only: bool = False,
        check_url: CheckUrl | None = None,
        before: Catalog | None = None,
        breathe: Callable[[], None] = lambda: None,
    ) -> Catalog:
        """Read everything below ``root``. Raises `RulesError` with every mistake of every file.

        ``rules_only`` leaves schemas and samples alone; `validate` finds nothing wrong then. ``check_url`` says which
        URLs of channel files may be sent to. ``before`` and ``breathe``: see `Content.load`.
        """
        found, wrong = load_channels(root, check_url)
        named = {name: found[name].provider if name in found else None for name in channel_names(root)}
        known = before._folders if before is not None else {}  # noqa: SLF001 - of its own class
        folders, problems = load_folders(
            root, renderer, expressions, named, rules_only=rules_only, before=known, breathe=breathe
        )
        if wrong or problems:
            raise RulesError([*wrong, *problems])
        return cls(folders, found)

    def rule(self, rule_id: str) -> Rule | None:
        """A rule by its catalog-wide id, ``<folder>/<id>``."""
        compiled = self._by_id.get(rule_id)
        return None if compiled is None else compiled.rule

    def compiled(self, rule_id: str) -> CompiledRule | None:
        """The same rule with its expressions ready to run, for attachments."""
        return self._by_id.get(rule_id)

    def matching(self, event_type: str) -> tuple[CompiledRule, ...]:
        """The rules that concern an event type; empty when nobody wants to hear of it."""
        return self._lookup(event_type)[0]

    def validate(self, event: Event) -> None:
        """Check ``data`` against every schema.json whose folder concerns this type. Raises `SchemaMismatch`."""
        for schema in self._lookup(event.type)[1]:
            schema.check(event.data)

    def schemas(self, event_type: str) -> tuple[Schema, ...]:
        """The schemas `validate` checks for an event type."""
        return self._lookup(event_type)[1]

    def folder_rules(self, folder: str) -> tuple[CompiledRule, ...]:
        """The rules that one folder's file holds."""
        return self._folders[folder].rules

    def folder_text(self, folder: str, file: str) -> str:
        """What a file of one folder says; empty when there is none."""
        return self._folders[folder].sources.texts.get(file, "")

    def schema_of(self, folder: str) -> Schema | None:
        """The schema that lies in a folder."""
        return self._folders[folder].schema

    def folder_schemas(self, folder: str) -> tuple[Schema, ...]:
        """The schemas that all events of one folder's rules are checked against."""
        found = self._folders[folder]
        if "*" in found.event:
            return (found.schema,) if found.schema is not None else ()
        return self._lookup(found.event)[1]

    @property
    def samples(self) -> Mapping[str, tuple[Sample, ...]]:
        """Folder → its sample events; `sample.json` first, then `sample.<name>.json` by name."""
        return {name: folder.samples for name, folder in self._folders.items() if folder.samples}

    @property
    def patterns(self) -> Mapping[str, str]:
        """Folder → the event type or pattern its rules are for."""
        return {name: folder.event for name, folder in self._folders.items() if folder.event}

    def _lookup(self, event_type: str) -> tuple[tuple[CompiledRule, ...], tuple[Schema, ...]]:
        found = self._cache.get(event_type)
        if found is None:
            folders = [f for f in self._folders.values() if f.event and matches(f.event, event_type)]
            rules = tuple(compiled for folder in folders for compiled in folder.rules)
            found = rules, tuple(folder.schema for folder in folders if folder.schema is not None)
            if len(self._cache) >= MAX_CACHED_TYPES:
                self._cache.clear()
            self._cache[event_type] = found
        return found
