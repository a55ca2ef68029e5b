"""Keys of a rule that are about the headers of its mails: `reply_to`, `thread` and `headers`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from notifier.domain.event import Event
from notifier.rendering.expressions import Expression
from notifier.rules.documents import Located
from notifier.rules.sections import Section, shown

#: Fields a rule may add, besides those that begin with X-. All others are written by us, or say who a mail is from, to
#: whom it goes or how it is built.
HEADERS = (
    *("Importance", "Priority", "Sensitivity", "Precedence", "Organization", "Keywords", "Comments"),
    *("List-Archive", "List-Help", "List-Owner", "List-Post", "Archived-At", "Content-Language"),
)
#: Names that begin with X- and are ours, or that some servers take recipients or instructions from.
_NOT_X = frozenset(
    (
        *("x-auto-response-suppress", "x-envelope-to", "x-envelope-from", "x-original-to", "x-rcpt-to"),
        # SendGrid; SparkPost; Mandrill; Mailgun; IIS.
        *("x-smtpapi", "x-msys-api", "x-mc-bccaddress", "x-mailgun-recipient-variables", "x-receiver", "x-sender"),
    )
)
_X = re.compile(r"X-[A-Za-z0-9][A-Za-z0-9-]{0,60}", re.IGNORECASE)
#: Headers of one rule: more than mails have of their own.
MAX_HEADERS = 20


@dataclass(frozen=True, slots=True)
class MailValues:
    """What the expressions gave for one event; the email channel checks it."""

    reply_to: Any
    thread: Any
    headers: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class CompiledMail:
    """The expressions, ready to run."""

    reply_to: Expression | None
    thread: Expression | None
    headers: tuple[tuple[str, Expression], ...]

    def values(self, event: Event) -> MailValues:
        """Raises `RenderError`."""
        return MailValues(
            self.reply_to.evaluate(event) if self.reply_to else None,
            self.thread.evaluate(event) if self.thread else None,
            tuple((name, expression.evaluate(event)) for name, expression in self.headers),
        )


def read_mail(section: Section, compiled: Callable[[Section, str, str], Expression | None]) -> CompiledMail | None:
    """None for a rule with none of these keys."""
    reply_to, thread = (
        compiled(section, key, source) if (source := section.text(key)) else None for key in ("reply_to", "thread")
    )
    headers = _headers(section, compiled)
    return CompiledMail(reply_to, thread, headers) if reply_to or thread or headers else None


def _headers(
    section: Section, compiled: Callable[[Section, str, str], Expression | None]
) -> tuple[tuple[str, Expression], ...]:
    node = section.get("headers")
    if node is None:
        return ()
    if not isinstance(node.value, dict):
        section.wrong("headers", f"{section.name}: headers is {node.kind}", "`headers: {Importance: \"'high'\"}`")
        return ()
    if len(node.value) > MAX_HEADERS:
        section.wrong("headers", f"{section.name}: {len(node.value)} headers", f"at most {MAX_HEADERS}")
    entries = Section(section.report, node, f"{section.name}: headers", tuple(node.value))
    found: dict[str, tuple[str, Expression]] = {}
    for written, entry in node.value.items():
        name = _allowed(section, written, entry)
        source = entries.text(written, required="an expression, such as \"'high'\"")
        expression = compiled(entries, written, source) if source else None
        if name.lower() in found:
            section.report.add(entry.line, f"{section.name}: the header {shown(written)} is there twice")
        elif name and expression is not None:
            found[name.lower()] = (name, expression)
    return tuple(found.values())


def _allowed(section: Section, written: str, entry: Located) -> str:
    if _X.fullmatch(written) and written.lower() not in _NOT_X:
        return written
    known = {name.lower(): name for name in HEADERS}
    if written.lower() in known:
        return known[written.lower()]
    what = f"{section.name}: a rule cannot write the header {shown(written)}"
    section.report.add(entry.line, what, f"one of {', '.join(HEADERS)}, or a name that begins with X-")
    return ""
