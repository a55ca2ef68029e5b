"""``templates/_channels/<name>.yaml`` → `CompiledProvider`: an HTTP API that a rule's `channel` may name.

Secrets are never written into the file: it names settings, ``NOTIFIER_CHANNEL_SMS_TOKEN``, whose values only workers
need. Every mistake of every file is told at once, with its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from notifier.domain.contacts import KIND, RESERVED
from notifier.domain.provider import NAME, Provider
from notifier.errors import Problem
from notifier.rendering.files import CHANNEL_SUFFIX, CHANNELS, leads_out
from notifier.rendering.requests import RequestTemplate
from notifier.rules.channel_answers import read_answers, read_path
from notifier.rules.channel_requests import REQUEST_KEYS, RequestReader
from notifier.rules.channel_texts import ChannelTexts
from notifier.rules.channel_urls import CheckUrl
from notifier.rules.documents import Located, YamlMistake, read_yaml
from notifier.rules.files import read_text
from notifier.rules.sections import Report, Section, shown
from notifier.rules.tries import read_limit, read_retry

FILE_KEYS = (*REQUEST_KEYS, "to", "answers", "message_id", "limit", "retry")
#: Names of files that would hide a channel of our own, or a word that means something else in rules and queues.
TAKEN = frozenset({"email", "webhook", "digest", "http_api", "intake"})
#: Bytes of one file; a long one has 3 kB.
MAX_FILE_BYTES = 64 * 1024
#: Files of the folder.
MAX_FILES = 100


@dataclass(frozen=True, slots=True)
class CompiledProvider:
    """A channel file, ready to make requests."""

    provider: Provider
    request: RequestTemplate
    settings: Mapping[str, int]
    """All it names, sorted, each with its line."""
    url_is_address: bool = False

    @property
    def file(self) -> str:
        """As people know it: ``templates/_channels/sms.yaml``."""
        return self.request.url.place

    @property
    def name(self) -> str:
        """As rules name it."""
        return self.provider.name


def load_channels(root: Path, check_url: CheckUrl | None = None) -> tuple[dict[str, CompiledProvider], list[Problem]]:
    """Every file that is right, by name, and every mistake."""
    folder = root / CHANNELS
    problems: list[Problem] = []
    found: dict[str, CompiledProvider] = {}
    paths = sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []
    top = root.resolve()
    for path in paths[:MAX_FILES]:
        report = Report(str(PurePosixPath(top.name, CHANNELS, path.name)))
        if (compiled := _load(path, top, report, check_url)) is not None and not report.problems:
            found[compiled.name] = compiled
        problems += report.sorted()
    if len(paths) > MAX_FILES:
        problems.append(Problem(str(folder), f"has {len(paths)} files", f"at most {MAX_FILES}"))
    return found, problems


def _load(path: Path, top: Path, report: Report, check_url: CheckUrl | None) -> CompiledProvider | None:
    name = path.name.removesuffix(CHANNEL_SUFFIX)
    if not path.name.endswith(CHANNEL_SUFFIX):
        report.add(
            1,
            "nothing reads this file",
            f"channel files are called sms{CHANNEL_SUFFIX}, with another name",
        )
    elif name in TAKEN or not NAME.fullmatch(name):
        what = f"{shown(name)} is taken" if name in TAKEN else f"{shown(name)} cannot be the name of a channel"
        report.add(1, what, "lower-case letters, digits and _, beginning with a letter, such as sms or slack_ops")
    elif leads_out(path, top):
        report.add(1, "is a link out of the templates folder", "put a copy there")
    else:
        try:
            node = read_yaml(read_text(path, MAX_FILE_BYTES))
        except YamlMistake as error:
            report.add(error.line, str(error), error.fix)
        except ValueError as error:
            report.add(1, f"the file {error}")
        else:
            return _read(name, report, node, check_url)
    return None


def _read(name: str, report: Report, node: Located, check_url: CheckUrl | None) -> CompiledProvider | None:
    file = Section(report, node, "the file", FILE_KEYS)
    if not isinstance(node.value, dict):
        return None
    reader = RequestReader(name, report, file, check_url)
    request = reader.read()
    kind = _kind(file)
    _check_address(file, report, kind, reader.texts)
    provider = Provider(
        name,
        f"{report.file}:{file.line}",
        kind=kind,
        rows=read_answers(file, report),
        hosts=reader.url.hosts(),
        message_id=read_path(file, "message_id"),
        limit=read_limit(file),
        retry=read_retry(file),
    )
    return CompiledProvider(provider, request, reader.texts.settings, reader.url.is_address)


def _kind(file: Section) -> str:
    kind = file.text("to")
    fix = "phone, or a name of your own that recipients have an address for, such as `to: slack`"
    if kind == "email":
        file.wrong("to", "the file: mails go by `channel: email`", fix)
    elif kind and (kind in RESERVED or not KIND.fullmatch(kind)):
        file.wrong("to", f"the file: to is {shown(kind)}", fix)
    return kind


def _check_address(file: Section, report: Report, kind: str, texts: ChannelTexts) -> None:
    if not kind and texts.names_address:
        fix = "`to: phone`, or a name of your own; or leave {{ address }} out where all goes to one place"
        report.add(file.line, "the file names {{ address }} and does not say whose", fix)
    says_something = any(file.has(key) for key in ("form", "json", "body"))
    if kind and not texts.names_address and says_something and not texts.failed:
        fix = "write {{ address }} where the provider wants to know whom, or leave `to` out"
        file.wrong("to", "nothing in the file names {{ address }}: everybody's would go to one place", fix)
