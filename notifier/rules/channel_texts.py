"""`ChannelTexts`: the texts of one channel file, compiled, and the settings that they name.

A secret is never quoted, and never read either: what should be a setting's name and is none is the secret itself.
"""

from __future__ import annotations

import re

from notifier.domain.provider import SETTING, SETTING_PREFIX
from notifier.rendering.requests import TEXT_NAMES, RequestTexts, Text
from notifier.rendering.sandbox import CompileError, Sandbox
from notifier.rules.documents import Located
from notifier.rules.sections import Report, Section, shown

#: Names of fields and headers that hold secrets.
_SECRET = re.compile(r"(?i)(^|[_.-])(authori[sz]ation|auth|password|passwd|secret|token|api[_-]?key|apikey)s?$")


class ChannelTexts:
    """Compiles what a file says, and remembers what it names; every mistake is noted."""

    def __init__(self, name: str, report: Report) -> None:
        """``name`` is the channel's, which its settings begin with."""
        self.report = report
        self._own = f"{SETTING_PREFIX}{name.upper()}_"
        self._texts = RequestTexts(report.file)
        self._all: list[Text] = []
        """Every text of the request, for what they name together."""
        self.failed = False
        """Whether one of them cannot be read: what it would name is not known."""

    @property
    def sandbox(self) -> Sandbox:
        """Where they are run."""
        return self._texts.sandbox

    @property
    def settings(self) -> dict[str, int]:
        """All that its texts name, sorted, each with the line that names it first."""
        found: dict[str, int] = {}
        for text in self._all:
            for name in text.reads:
                if name.startswith(SETTING_PREFIX):
                    before = text.source.partition(name)[0]
                    line = text.line + before.count("\n")
                    found[name] = min(line, found.get(name, line))
        return dict(sorted(found.items()))

    @property
    def names_address(self) -> bool:
        """Whether any of its texts does."""
        return any("address" in text.reads for text in self._all)

    def compile(self, place: str, source: str, line: int, *, in_url: bool = False) -> Text:
        """A text; ``place`` is how errors call it, ``line`` where it begins."""
        try:
            text = self._texts.compile(source, line, in_url=in_url)
        except CompileError as error:
            self.failed = True
            for at, what, fix in error.mistakes:
                self.report.add(at, f"{place}: {what}", fix)
            text = Text(self.report.file, line, source)
        for name in sorted(text.reads.difference(TEXT_NAMES)):
            if not (SETTING.fullmatch(name) and self._is_own(name)):
                what = f"{place}: {shown(name)} is no setting of this file"
                self.report.add(line, what, f"its settings begin with {self._own}")
        self._all.append(text)
        return text

    def secret(self, section: Section, key: str, example: str, before: str = "") -> Text:
        """What a setting is, whose name stands at ``key``; ``example`` ends one that would do."""
        name = section.text(key, required=f"the name of a setting, such as {self.example(example)}")
        if not name or SETTING.match(name):
            return self.setting(name or self.example(example), key, section.line_of(key), before)
        # Never quoted: it is the secret itself.
        section.wrong(
            key,
            f"{section.name}: the file must hold no secret, and {key} is no name of a setting",
            self.instead(example),
        )
        return self._texts.setting(self.example(example), section.line_of(key), before)

    def setting(self, name: str, key: str, line: int, before: str = "") -> Text:
        """The value of a setting, behind a word such as ``Bearer``."""
        if not SETTING.fullmatch(name) or not self._is_own(name):
            what = f"{key}: {shown(name)} is no setting of this file"
            self.report.add(line, what, f"its settings begin with {self._own}, such as {self.example('TOKEN')}")
            name = self.example("TOKEN")
        text = self._texts.setting(name, line, before)
        self._all.append(text)
        return text

    def _is_own(self, name: str) -> bool:
        return name.startswith(self._own) and len(name) > len(self._own)

    def example(self, word: str) -> str:
        """A setting that this file may name."""
        return self._own + re.sub(r"\W+", "_", word).strip("_").upper()

    def instead(self, word: str) -> str:
        """What to do about a secret that stands in the file."""
        example = self.example(word)
        return f"set {example} where workers run, and write its name here; in a text {{{{ settings.{example} }}}}"

    def check_secret(self, place: str, name: str, entry: Located) -> None:
        """Note a value that is a secret by the name of its field."""
        if _SECRET.search(name) and isinstance(entry.value, str) and entry.value and "{" not in entry.value:
            self.report.add(entry.line, f"{place} holds a secret", self.instead(name))
