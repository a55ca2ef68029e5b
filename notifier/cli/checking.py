"""``notifier templates check``: every mistake of a templates folder, and what was looked at."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from notifier.cli.content import configured_folder, load_content, mail_look
from notifier.cli.exits import EXPLAINED, FAILED, SpeakingGroup, complain
from notifier.cli.printing import print_json, print_table
from notifier.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from notifier.checks.findings import Finding
    from notifier.rules.content import Content
    from notifier.rules.explanation import Explanation, Look
    from notifier.rules.samples import Sample

#: Rules and samples named in one line.
MOST_NAMED = 5

templates = typer.Typer(
    cls=SpeakingGroup, help="The folder of rules and templates.", epilog=EXPLAINED, no_args_is_help=True
)


class Format(StrEnum):
    """How it is printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


@templates.command()
def check(
    folder: Annotated[Path | None, typer.Argument(help="Default: NOTIFIER_TEMPLATES.")] = None,
    form: Annotated[
        Format, typer.Option("--format", help="github: beside the lines of a pull request; sarif: for code scanning.")
    ] = Format.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Check every rule, schema and template against the types of its events, render every sample, list all mistakes.

    Example: notifier templates check templates
    """
    root = folder or configured_folder()
    found = Checked()
    try:
        content = load_content(root)
    except ConfigurationError as error:
        found.problems += error.problems
    else:
        found.look_at(content, root)
    found.warnings += _unset(root)
    _PRINTERS[Format.JSON if as_json else form](found, root)
    if found.has_failed:
        raise typer.Exit(FAILED)


def _print_text(found: Checked, root: Path) -> None:
    from notifier.cli.findings import as_text

    for line in as_text(found.findings, root):
        typer.echo(line)
    if found.problems:
        rows = ((_reachable(p.where, root), p.what, p.fix) for p in found.problems)
        print_table("", ("Where", "What", "Do"), rows)
    if not found.has_failed:
        typer.echo(f"{root}: no mistakes ({found.counted})")
    for warning in found.warnings:
        complain(f"warning: {Problem(_reachable(warning.where, root), warning.what, warning.fix)}")


def _print_json(found: Checked, root: Path) -> None:
    print_json(found.as_dict(root))


def _print_github(found: Checked, root: Path) -> None:
    from notifier.cli.findings import as_github

    for line in as_github(found.all(root), root):
        typer.echo(line)


def _print_sarif(found: Checked, root: Path) -> None:
    from notifier.cli.findings import as_sarif

    print_json(as_sarif(found.all(root), root))


_PRINTERS = {
    Format.TEXT: _print_text,
    Format.JSON: _print_json,
    Format.GITHUB: _print_github,
    Format.SARIF: _print_sarif,
}


@dataclass
class Checked:
    """What is wrong, what is only worth a word, and how much was looked at."""

    findings: list[Finding] = field(default_factory=list)
    """What the types of events and expressions tell, whichever event comes."""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    event_types: int = 0
    samples: int = 0
    messages: int = 0
    _wrong: dict[Problem, dict[str, None]] = field(default_factory=dict)
    _worth_a_word: dict[str, tuple[str, dict[str, None]]] = field(default_factory=dict)

    @property
    def has_failed(self) -> bool:
        """Whether something is wrong that must not be merged."""
        return bool(self.problems) or any(one.severity == "error" for one in self.findings)

    def all(self, root: Path) -> list[Finding]:
        """What was found in either way, as findings."""
        from notifier.checks.findings import Code, Finding, Severity

        def made(problem: Problem, severity: Severity) -> Finding:
            file, _, line = problem.where.rpartition(":")
            file, line = (file, line) if line.isdigit() else (problem.where, "1")
            below = _reachable(file, root).removeprefix(f"{root}/")
            return Finding(below, int(line), 0, Code.FAILS, problem.what, problem.fix, severity)

        return [
            *self.findings,
            *(made(one, Severity.ERROR) for one in self.problems),
            *(made(one, Severity.WARNING) for one in self.warnings),
        ]

    @property
    def counted(self) -> str:
        """For a person."""
        return f"event types: {self.event_types}, samples: {self.samples}, messages made of them: {self.messages}"

    def as_dict(self, root: Path) -> dict[str, object]:
        """For ``--json``."""
        counts = {"event_types": self.event_types, "samples": self.samples, "messages": self.messages}
        from notifier.cli.findings import as_dict

        problems, warnings = ([_written(one, root) for one in told] for told in (self.problems, self.warnings))
        for one in self.findings:
            (problems if one.severity == "error" else warnings).append(as_dict(one, root))
        return {"folder": str(root), "problems": problems, "warnings": warnings, "checked": counts}

    def look_at(self, content: Content, root: Path) -> None:
        """What goes wrong when messages are made of the samples.

        A template may compile and still name what no event has, and an expression may give what no mail can carry.
        """
        from notifier.checks.content import check as check_types
        from notifier.checks.severities import read_severities

        severities, wrong = read_severities(root)
        self.problems += wrong
        self.findings = check_types(content, severities)
        told = {f"{one.file}:{one.line}" for one in self.findings}
        look = None
        try:
            look = mail_look()
        except ConfigurationError as error:
            self.problems += error.problems
        self.event_types = len(set(content.catalog.patterns.values()))
        for samples in content.catalog.samples.values():
            for sample in samples:
                self._try(sample, content, look)
        for problem, who in self._wrong.items():
            if _reachable(problem.where, root).removeprefix(f"{root}/") in told:
                continue  # said of every event, not of this one alone
            self.problems.append(Problem(problem.where, f"{problem.what} ({_named(who)})", problem.fix))
        for word, (file, rules) in self._worth_a_word.items():
            self.warnings.append(Problem(file, f"{_named(rules)}: {word}"))
        self.warnings += _untried(content, root)

    def _try(self, sample: Sample, content: Content, look: Look | None) -> None:
        from notifier.rules.explanation import explain as explained

        found: Explanation = explained(
            sample.event, content.catalog, _Anybody(), content.renderer, time.time(), look=look, thorough=True
        )
        self.samples += 1
        if not found.valid:
            self.problems.append(Problem(sample.file, found.schema, "correct the sample or schema"))
        for rule in found.rules:
            self.messages += len(rule.deliveries)
            for wrong in (*rule.mistakes, *(one for delivery in rule.deliveries for one in delivery.mistakes)):
                self._wrong.setdefault(wrong, {})[f"{rule.rule} with {PurePosixPath(sample.file).name}"] = None
            for word in (word for delivery in rule.deliveries for word in delivery.warnings):
                self._worth_a_word.setdefault(word, (sample.file, {}))[1][rule.rule] = None


class _Anybody:
    """A directory with one endpoint for everything, so that the bodies of webhooks are tried too."""

    def endpoints(self, tenant: str, event_type: str) -> Sequence[str]:  # noqa: ARG002 - the port's signature
        return ("ep_sample",)


def _untried(content: Content, root: Path) -> Iterator[Problem]:
    """Folders of which nothing was rendered, or which nobody hears of: each would be found out by the first event."""
    catalog = content.catalog
    used = {rule.template for rule in catalog.rules}
    for folder in sorted({*catalog.patterns, *catalog.samples, *content.renderer.folders} - used - {*catalog.patterns}):
        fix = "add rules.yaml, or delete the folder"
        yield Problem(str(root / folder), "there are no rules for it: nobody will hear of such events", fix)
    for folder in sorted(catalog.patterns.keys() - catalog.samples.keys()):
        fix = "add sample.json, an event as its service publishes it"
        yield Problem(str(root / folder), "there is no sample: none of its messages was tried", fix)


def _unset(root: Path) -> list[Problem]:
    """Settings that channel files name and this process has not: no mistake, because secrets are where workers run."""
    from notifier.process import settings
    from notifier.wiring.advice import advice_below

    _, advice = advice_below(root, settings(), os.environ)
    return advice


def _written(problem: Problem, root: Path) -> dict[str, object]:
    return {"where": _reachable(problem.where, root), "what": problem.what, "fix": problem.fix}


def _reachable(where: str, root: Path) -> str:
    """Rules name their files from the folder's own name on; from here it may be reached by another path."""
    name, slash, rest = where.partition("/")
    return str(root / rest) if slash and name == root.resolve().name else where


def _named(names: Collection[str]) -> str:
    """Once for all rules and samples it is true of: what is said of a sender is true of all that use it."""
    more = len(names) - MOST_NAMED
    return ", ".join(list(names)[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
