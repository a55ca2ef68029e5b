"""``notifier templates check``: every mistake of a templates folder, and what was looked at."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from notifier.cli.content import configured_folder, load_content, mail_look
from notifier.cli.exits import EXPLAINED, FAILED, SpeakingGroup, complain
from notifier.cli.printing import print_json, print_table
from notifier.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from notifier.rules.content import Content
    from notifier.rules.explanation import Explanation, Look
    from notifier.rules.samples import Sample

#: Rules and samples named in one line.
MOST_NAMED = 5

templates = typer.Typer(
    cls=SpeakingGroup, help="The folder of rules and templates.", epilog=EXPLAINED, no_args_is_help=True
)


@templates.command()
def check(
    folder: Annotated[Path | None, typer.Argument(help="Default: NOTIFIER_TEMPLATES.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Load every rule, schema and template, render every sample in every language, and list all mistakes.

    Example: notifier templates check templates
    """
    root = folder or configured_folder()
    found = Findings()
    try:
        content = load_content(root)
    except ConfigurationError as error:
        found.problems += error.problems
    else:
        found.look_at(content, root)
    found.warnings += _unset(root)
    if as_json:
        print_json(found.as_dict(root))
    else:
        _print(found, root)
    if found.problems:
        raise typer.Exit(FAILED)


def _print(found: Findings, root: Path) -> None:
    if found.problems:
        rows = ((_reachable(p.where, root), p.what, p.fix) for p in found.problems)
        print_table("", ("Where", "What", "Do"), rows)
    else:
        typer.echo(f"{root}: no mistakes ({found.counted})")
    for warning in found.warnings:
        complain(f"warning: {Problem(_reachable(warning.where, root), warning.what, warning.fix)}")


@dataclass
class Findings:
    """What is wrong, what is only worth a word, and how much was looked at."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    event_types: int = 0
    samples: int = 0
    messages: int = 0
    _wrong: dict[Problem, dict[str, None]] = field(default_factory=dict)
    _worth_a_word: dict[str, tuple[str, dict[str, None]]] = field(default_factory=dict)

    @property
    def counted(self) -> str:
        """For a person."""
        return f"event types: {self.event_types}, samples: {self.samples}, messages made of them: {self.messages}"

    def as_dict(self, root: Path) -> dict[str, object]:
        """For ``--json``."""
        counts = {"event_types": self.event_types, "samples": self.samples, "messages": self.messages}
        problems, warnings = ([_written(one, root) for one in told] for told in (self.problems, self.warnings))
        return {"folder": str(root), "problems": problems, "warnings": warnings, "checked": counts}

    def look_at(self, content: Content, root: Path) -> None:
        """What goes wrong when messages are made of the samples.

        A template may compile and still name what no event has, and an expression may give what no mail can carry.
        """
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


def _written(problem: Problem, root: Path) -> dict[str, str]:
    return {"where": _reachable(problem.where, root), "what": problem.what, "fix": problem.fix}


def _reachable(where: str, root: Path) -> str:
    """Rules name their files from the folder's own name on; from here it may be reached by another path."""
    name, slash, rest = where.partition("/")
    return str(root / rest) if slash and name == root.resolve().name else where


def _named(names: Collection[str]) -> str:
    """Once for all rules and samples it is true of: what is said of a sender is true of all that use it."""
    more = len(names) - MOST_NAMED
    return ", ".join(list(names)[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
