"""The templates folder → `Folder` values, with every mistake of every file told at once.

A folder concerns an event type when it holds a rules.yaml; schema.json and sample*.json may lie beside it. A folder
whose name starts with ``_`` (layouts, partials) is not read, and neither is anything below it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from notifier.domain.channels import DIGEST_NEEDS, TRAITS
from notifier.domain.provider import Provider
from notifier.domain.rule import Collecting, Rule, WorkKind
from notifier.errors import Problem
from notifier.rendering.expressions import Expressions
from notifier.rendering.files import channel_names, leads_out, part_names
from notifier.rules.documents import Located, YamlMistake, read_yaml
from notifier.rules.entries import CATEGORY, CATEGORY_FIX, EntryReader, FileDefaults
from notifier.rules.files import files_below, read_text
from notifier.rules.jsonfiles import JsonMistake, line_of, read_json
from notifier.rules.matching import CompiledRule
from notifier.rules.names import Strays
from notifier.rules.patterns import matches, mistake_in
from notifier.rules.samples import Sample, SampleMistake, read_sample, sample_name
from notifier.rules.schemas import Schema, SchemaMistake
from notifier.rules.sections import Report, Section, shown

RULES_FILE = "rules.yaml"
SCHEMA_FILE = "schema.json"
FILE_KEYS = ("event", "category", "transactional", "auto_submitted", "rules")
#: Bytes of one rules, schema or sample file; a sample is an event, and those are at most 256 kB by default.
MAX_FILE_BYTES = 256 * 1024
MAX_RULES = 500
#: What a rule of each channel needs in its template folder, for the error that says so.
_NEEDED: dict[WorkKind, str] = {
    **{channel: traits.needs for channel, traits in TRAITS.items() if traits.needs},
    Collecting.DIGEST: DIGEST_NEEDS,
}


_NONE: Mapping[str, Provider | None] = {}


@dataclass(frozen=True, slots=True)
class Sources:
    """All that a folder was made of. Made of the same again, it is the same again (`_same`)."""

    texts: Mapping[str, str]
    """What each of its files says, by name."""
    has: Mapping[tuple[str, str], bool]
    """What was asked of templates: (folder, kind) → whether there are any."""
    is_folder: Mapping[str, bool]
    """Which other template folders were looked for, and whether they were there."""
    providers: Mapping[str, Provider | None]
    """All that channel files describe: a rule may name any of them."""


_NOTHING = Sources({}, {}, {}, {})


@dataclass(frozen=True, slots=True)
class Folder:
    """What one folder says."""

    name: str
    """Its name below the templates folder."""
    event: str
    """Event type or pattern; empty when it holds no rules.yaml."""
    rules: tuple[CompiledRule, ...]
    schema: Schema | None
    samples: tuple[Sample, ...]
    sources: Sources = _NOTHING


_NO_FOLDERS: Mapping[str, Folder] = {}


def load_folders(
    root: Path,
    renderer: Templates,
    expressions: Expressions,
    providers: Mapping[str, Provider | None] = _NONE,
    *,
    rules_only: bool = False,
    before: Mapping[str, Folder] = _NO_FOLDERS,
    breathe: Callable[[], None] = lambda: None,
) -> tuple[list[Folder], list[Problem]]:
    """Every folder that says something, by name, and every mistake, by file and line.

    ``providers``: what channel files describe, None for those with mistakes. ``before``: folders that were read
    without a mistake, used again where all they were made of is the same. ``breathe``: called between folders.
    """
    try:
        found, problems = _folders(root, breathe)
    except OSError as error:
        what = f"the templates folder cannot be read: {error.strerror or error}"
        return [], [Problem(str(root), what, "set NOTIFIER_TEMPLATES to a folder that this process may read")]
    folders = []
    for name in sorted(found):
        breathe()
        reader = _FolderReader(root, name, renderer, expressions, providers, before=before.get(name))
        folders.append(reader.read([file for file in found[name] if file == RULES_FILE or not rules_only]))
        problems.extend(reader.problems())
    return folders, problems


def _folders(root: Path, breathe: Callable[[], None]) -> tuple[dict[str, list[str]], list[Problem]]:
    """Folder → the names of its files that we read; files that lie where they mean nothing are mistakes."""
    found: dict[str, list[str]] = {}
    problems = []
    top = root.resolve()
    above = len(str(root))
    strays = Strays((RULES_FILE, SCHEMA_FILE, "sample.json", *part_names(channel_names(root))))
    for entry in files_below(root):
        breathe()
        path = entry.path[above:].lstrip("/")
        where = f"{top.name}/{path}"
        if path.startswith("_") or "/_" in path:
            continue
        if entry.name not in (RULES_FILE, SCHEMA_FILE) and sample_name(entry.name) is None:
            strays.take(path)
            continue
        strays.take(f"{path.removesuffix(entry.name)}sample.json")
        # Folders inside an event type's folder hold its templates in other languages.
        if path.count("/") != 1:
            fix = "move it into a folder directly below, one for each event type; folders in those are languages"
            problems.append(Problem(where, "is not read here", fix))
        elif leads_out(entry.path, top):
            problems.append(Problem(where, "is a link out of the templates folder", "put a copy there"))
        else:
            found.setdefault(path.partition("/")[0], []).append(entry.name)
    problems.extend(strays.problems(top.name))
    return found, sorted(problems, key=lambda problem: problem.where)


class Templates(Protocol):
    """What rules need of templates to be looked at."""

    def has(self, folder: str, kind: str) -> bool:
        """Whether the folder has templates of this kind."""


class _FolderReader:
    def __init__(
        self,
        root: Path,
        name: str,
        renderer: Templates,
        expressions: Expressions,
        providers: Mapping[str, Provider | None],
        *,
        before: Folder | None,
    ) -> None:
        self._root = root
        self._name = name
        self._renderer = renderer
        self._expressions = expressions
        self._providers = providers
        self._reports: list[Report] = []
        self._event_line = 1
        self._schema_text = ""
        self._before = before
        self._texts: dict[str, str | ValueError] = {}
        self._has: dict[tuple[str, str], bool] = {}
        self._is_folder: dict[str, bool] = {}

    def problems(self) -> list[Problem]:
        return [problem for report in self._reports for problem in report.sorted()]

    def read(self, names: list[str]) -> Folder:
        self._texts = {name: self._read(name) for name in names}
        if self._before is not None and self._same(self._before.sources):
            return self._before
        texts = {name: text for name, text in self._texts.items() if isinstance(text, str)}
        return replace(self._made(names), sources=Sources(texts, self._has, self._is_folder, self._providers))

    def _same(self, sources: Sources) -> bool:
        return (
            self._texts == sources.texts
            and self._providers == sources.providers
            and all(self._renderer.has(*asked) == answer for asked, answer in sources.has.items())
            and all(_is_folder(self._root, name) == answer for name, answer in sources.is_folder.items())
        )

    def _made(self, names: list[str]) -> Folder:
        event, rules = self._rules() if RULES_FILE in names else ("", ())
        schema = self._schema() if SCHEMA_FILE in names else None
        samples = sorted((sample_name(n) or "", n) for n in names if sample_name(n) is not None)
        read = (self._sample(file, name, event, schema) for name, file in samples)
        return Folder(self._name, event, rules, schema, tuple(sample for sample in read if sample is not None))

    def _report(self, file: str) -> Report:
        """Paths start with the folder's own name, so that a rule's source is the same on every machine."""
        report = Report(str(PurePosixPath(self._root.resolve().name, self._name, file)))
        self._reports.append(report)
        return report

    def _read(self, file: str) -> str | ValueError:
        try:
            return read_text(self._root / self._name / file, MAX_FILE_BYTES)
        except ValueError as error:
            return error

    def _text(self, file: str, report: Report) -> str | None:
        text = self._texts[file]
        if isinstance(text, str):
            return text
        report.add(1, f"the file {text}")
        return None

    def _has_templates(self, folder: str, kind: str) -> bool:
        answer = self._has[folder, kind] = self._renderer.has(folder, kind)
        return answer

    def _is_there(self, folder: str) -> bool:
        answer = self._is_folder[folder] = _is_folder(self._root, folder)
        return answer

    def _rules(self) -> tuple[str, tuple[CompiledRule, ...]]:
        report = self._report(RULES_FILE)
        text = self._text(RULES_FILE, report)
        if text is None:
            return "", ()
        try:
            node = read_yaml(text)
        except YamlMistake as error:
            report.add(error.line, str(error), error.fix)
            return "", ()
        return self._from_document(node, report)

    def _from_document(self, node: Located, report: Report) -> tuple[str, tuple[CompiledRule, ...]]:
        section = Section(report, node, "the file", FILE_KEYS)
        if not isinstance(node.value, dict):
            return "", ()
        event = section.text("event", required=f"`event: {self._name}`, or a pattern with *")
        self._event_line = section.line_of("event")
        if event and (mistake := mistake_in(event)):
            section.wrong("event", f"event is {shown(event)}", mistake)
        category = section.text("category")
        if category and not CATEGORY.fullmatch(category):
            # Links name it, and what a reader switched off is looked up by it.
            section.wrong("category", f"{shown(category)} is no category", CATEGORY_FIX)
        flags = (section.flag(name) for name in ("transactional", "auto_submitted"))
        defaults = FileDefaults(self._name, event, category, *flags)
        entries = section.entries("rules")
        if not entries and (section.is_list("rules") or not section.has("rules")):
            section.wrong("rules", "the file has no rules", "a list: `rules: [{id: …, channel: email, to: …}]`")
        if len(entries) > MAX_RULES:
            section.wrong("rules", f"{len(entries)} rules", f"at most {MAX_RULES} in one file")
        reader = EntryReader(report, self._expressions, defaults, self._providers)
        rules = [reader.read(entry, number) for number, entry in enumerate(entries[:MAX_RULES], start=1)]
        compiled = tuple(rule for rule in rules if rule is not None)
        self._check_templates(compiled, report, reader.misnamed)
        return event, compiled

    def _check_templates(self, rules: Iterable[CompiledRule], report: Report, misnamed: Collection[int]) -> None:
        for rule in (compiled.rule for compiled in rules):
            line = int(rule.source.rpartition(":")[2])
            if line in misnamed:
                continue
            own = rule.template == self._name
            if not own and not self._is_there(rule.template):
                report.add(line, f"rule {shown(rule.id)}: there is no template folder {shown(rule.template)}")
            elif rule.provider is not None and not self._has_templates(rule.template, rule.provider.name):
                name = rule.provider.name
                what = f"rule {shown(rule.id)}: {rule.template} has no {name} template"
                report.add(line, what, f"it needs {name}.text.j2")
            elif rule.kind in _NEEDED and not self._has_templates(rule.template, rule.kind.value):
                what = f"rule {shown(rule.id)}: {rule.template} has no {rule.kind} template"
                report.add(line, what, f"it needs {_NEEDED[rule.kind]}")
            elif _collects(rule) and not self._has_templates(rule.template, Collecting.DIGEST.value):
                what = f"rule {shown(rule.id)} throttles into a digest, and {rule.template} has no digest template"
                report.add(line, what, f"it needs {_NEEDED[Collecting.DIGEST]}")

    def _schema(self) -> Schema | None:
        report = self._report(SCHEMA_FILE)
        text, source = self._json(SCHEMA_FILE, report)
        if text is None:
            return None
        self._schema_text = text
        try:
            return Schema(source, report.file)
        except SchemaMistake as error:
            report.add(line_of(text, error.path), str(error), error.fix)
            return None

    def _sample(self, file: str, name: str, event: str, schema: Schema | None) -> Sample | None:
        report = self._report(file)
        text, source = self._json(file, report)
        if text is None:
            return None
        try:
            sample = Sample(self._name, name, report.file, read_sample(source))
        except SampleMistake as error:
            report.add(line_of(text, error.path), str(error))
            return None
        if event and not matches(event, sample.event.type):
            line = line_of(text, ("type",))
            rules = self._place(RULES_FILE, self._event_line)
            what = f"the sample's type is {shown(sample.event.type)}, the rules are for {shown(event)} ({rules})"
            report.add(line, what, "write the same type in both")
        for mistake in schema.mistakes(sample.event.data) if schema else ():
            asked = self._place(SCHEMA_FILE, line_of(self._schema_text, mistake.rule))
            what = f"the sample breaks its own schema: {mistake} (asked for in {asked})"
            report.add(line_of(text, ("data", *mistake.path)), what, "correct the sample or the schema")
        return sample

    def _place(self, file: str, line: int) -> str:
        return f"{PurePosixPath(self._root.resolve().name, self._name, file)}:{line}"

    def _json(self, file: str, report: Report) -> tuple[str | None, Any]:
        text = self._text(file, report)
        if text is None:
            return None, None
        try:
            return text, read_json(text)
        except JsonMistake as error:
            report.add(error.line, str(error), error.fix)
            return None, None


def _collects(rule: Rule) -> bool:
    return rule.throttle is not None and rule.throttle.overflow == "digest" and TRAITS[rule.channel].digests


def _is_folder(root: Path, name: str) -> bool:
    """Whether a template folder exists below the root; names that leave it are not looked up."""
    parts = PurePosixPath(name).parts
    inside = bool(parts) and not any(part.startswith((".", "_", "/")) for part in parts)
    return inside and (root / name).is_dir()
