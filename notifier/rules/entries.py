"""One entry of a rules file → a `Rule` and its compiled expressions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from notifier.domain.addresses import parse_sender
from notifier.domain.channels import DIGEST_KEYS, TRAITS
from notifier.domain.media_type import read_media_type
from notifier.domain.provider import NAME, Provider
from notifier.domain.rule import WORK_KINDS, Attachment, Channel, Collecting, Priority, Rule, Window, WorkKind
from notifier.errors import InvalidAddress
from notifier.rendering.expressions import Expression, ExpressionError, Expressions
from notifier.rules.constants import wrong_constants
from notifier.rules.documents import Located
from notifier.rules.mailkeys import read_mail
from notifier.rules.matching import CompiledAttachment, CompiledRule
from notifier.rules.sections import Report, Section, shown, suggestion
from notifier.rules.throttling import read_throttle
from notifier.rules.tries import read_limit, read_retry

RULE_KEYS = (
    *("id", "channel", "priority", "to", "when", "expires", "key", "window", "template", "category", "transactional"),
    *("uncertain", "retry", "from", "attachments", "throttle", "limit", "omit"),
    *("cc", "reply_to", "thread", "headers", "auto_submitted"),
)
#: Keys that only some channels read. A key without effect is a mistake somebody should hear of.
_ONLY = {
    "to": "webhooks go to the endpoints the tenant registered",
    "key": "only digests collect by key",
    "window": "only digests have a window",
    "from": "only mails have a sender",
    "attachments": "only emails carry files",
    "cc": "only emails have copies",
    "reply_to": "only mails are answered by mail",
    "thread": "only mails have threads",
    "headers": "only mails have such headers",
    "auto_submitted": "only mails say so",
    "priority": "digests have one queue",
    "throttle": "a digest's window is its throttle",
}
_KEYS: Mapping[WorkKind, frozenset[str]] = {
    **{channel: traits.rule_keys for channel, traits in TRAITS.items()},
    Collecting.DIGEST: DIGEST_KEYS,
}
#: What `channel` may say besides the names of channel files.
_WORDS = {kind.value: kind for kind in WORK_KINDS if kind is not Channel.HTTP_API}
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
CATEGORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
CATEGORY_FIX = "one word of letters, digits and . _ -, such as `category: invoices`; links to unsubscribe name it"
#: As RFC 2392 wants it with an @ and a domain, or a name alone, which all mail programs take.
_CID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}(@[A-Za-z0-9][A-Za-z0-9.-]{0,100})?")
#: What can only be meant as a media type: as an expression it would be a division, or nothing.
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w!#$&^.+-]*/[A-Za-z0-9][\w!#$&^.+-]*\s*(;.*)?")
_DATA_PATH = re.compile(r"data(?:\.[A-Za-z_][A-Za-z0-9_]{0,63}){1,16}")
#: Keys whose expressions name people.
_PEOPLE = frozenset({"to", "cc", "reply_to"})
MAX_ATTACHMENTS = 20


class _Uncertain(StrEnum):
    RESEND = "resend"
    PARK = "park"


@dataclass(frozen=True, slots=True)
class FileDefaults:
    """What the top of a rules file says for all its rules."""

    folder: str
    event: str
    category: str
    transactional: bool | None
    auto_submitted: bool | None = None


@dataclass(slots=True)
class EntryReader:
    """Reads the rules of one file; remembers their ids, so that a second one is refused."""

    report: Report
    expressions: Expressions
    defaults: FileDefaults
    providers: Mapping[str, Provider | None]
    """What the files of `_channels` describe, by name; None for a file that has mistakes."""
    misnamed: set[int] = field(default_factory=set)
    """Lines of rules whose channel nobody knows: what they would need is not known either."""
    _seen: dict[str, int] = field(default_factory=dict)
    _kind: str = ""
    """Which addresses the channel of the rule at hand wants, if not mailboxes."""

    def read(self, node: Located, number: int) -> CompiledRule | None:
        """The ``number``-th rule (from 1); None when it is not even a mapping."""
        if not isinstance(node.value, dict):
            self.report.add(node.line, f"rule {number} is {node.kind}, expected keys and values", "- id: …")
            return None
        named = node.value.get("id")
        section = Section(self.report, node, f"rule {shown(named.text) if named else number}", RULE_KEYS)
        kind, provider = self._channel(section)
        # A digest is delivered as a mail.
        channel = kind if isinstance(kind, Channel) else Channel.EMAIL
        collects = isinstance(kind, Collecting)
        entry = section.get("channel")
        written = entry.text if entry is not None else ""
        if is_known := written in _WORDS or self.providers.get(written) is not None:
            self._check_channel(section, kind, provider)
        self._kind = provider.kind if provider else ""
        to, when, key, cc = (self._expression(section, name) for name in ("to", "when", "key", "cc"))
        attachments = self._attachments(section)
        throttle = read_throttle(section, kind)
        if throttle is not None and throttle.key:
            key = self._compiled(section, "throttle", throttle.key)
        transactional = self._transactional(section)
        # Nobody can switch off a webhook, or what is transactional, so neither needs a name for it.
        to_people = TRAITS[channel].to_people if provider is None else provider.kind != ""
        needs_category = is_known and to_people and not transactional
        rule = Rule(
            id=f"{self.defaults.folder}/{self._id(section)}",
            event=self.defaults.event,
            channel=channel,
            template=self._template(section),
            category=self._category(section, required=needs_category),
            transactional=transactional,
            priority=self._priority(section, kind),
            to=to.source if to else "",
            when=when.source if when else "",
            expires=section.duration("expires"),
            key=key.source if key and collects else "",
            window=self._window(section) or (Window() if collects else None),
            uncertain=self._uncertain(section),
            retry=read_retry(section) or (provider.retry if provider else None),
            attachments=tuple(compiled.attachment for compiled in attachments),
            throttle=throttle,
            limit=read_limit(section),
            omit=self._omit(section),
            sender=self._sender(section),
            cc=cc.source if cc else "",
            auto_submitted=self._auto_submitted(section),
            provider=provider,
            source=f"{self.report.file}:{section.line}",
        )
        mail = read_mail(section, self._compiled)
        lines = {name: section.begins(name) or section.line_of(name) for name in RULE_KEYS if section.has(name)}
        lines.setdefault("key", section.line_of("throttle"))
        return CompiledRule(rule, to=to, when=when, key=key, attachments=attachments, cc=cc, mail=mail, lines=lines)

    def _channel(self, section: Section) -> tuple[WorkKind, Provider | None]:
        words = [*_WORDS, *self.providers]
        written = section.text("channel", required=f"one of {', '.join(words)}")
        if written in self.providers:
            # Of a file with mistakes nothing more is known, and they are told.
            return Channel.HTTP_API, self.providers[written] or Provider(written, "")
        if written not in _WORDS:
            self.misnamed.add(section.line)
        if written and written not in _WORDS:
            fix = suggestion(written, words, among="one of")
            if NAME.fullmatch(written) and not fix.startswith("did you"):
                fix += f"; or describe it in _channels/{written}.yaml"
            section.wrong("channel", f"{section.name}: channel is {shown(written)}", fix)
        return _WORDS.get(written, Channel.EMAIL), None

    def _check_channel(self, section: Section, kind: WorkKind, provider: Provider | None) -> None:
        known, word, reasons = _KEYS[kind], kind.value, _ONLY
        if provider is not None:
            word = provider.name
            if not provider.kind:
                known, reasons = known - {"to"}, {**_ONLY, "to": "it goes to the one place that its file names"}
        for name in reasons.keys() - known:
            section.refuse(name, f"has no meaning for {word}: {reasons[name]}", f"remove {name}")
        if "to" in known and not section.has("to"):
            fix = "an expression naming whom, such as `to: data.customer`"
            section.wrong("to", f"{section.name} has no to: nobody would get this {word}", fix)
        if kind is Collecting.DIGEST:
            if not section.has("key"):
                fix = "an expression that says what belongs together, such as `key: data.account.id`"
                section.wrong("key", f"{section.name} has no key", fix)
            if not section.has("window"):
                section.wrong("window", f"{section.name} has no window", "such as `window: {every: 1h}`")

    def _id(self, section: Section) -> str:
        name = section.text("id", required="a short name that stays, such as `id: customer-email`")
        if not name:
            return "?"
        if not _ID.fullmatch(name):
            fix = "lower-case letters, digits, - and _, at most 64"
            section.wrong("id", f"{section.name}: the id cannot be used in addresses and keys", fix)
        if name in self._seen:
            section.wrong("id", f"{section.name} is here already, in line {self._seen[name]}", "give it another id")
        self._seen.setdefault(name, section.line_of("id"))
        return name

    def _priority(self, section: Section, kind: WorkKind) -> Priority:
        default = Priority.NORMAL
        return default if isinstance(kind, Collecting) else section.choice("priority", Priority, default)

    def _template(self, section: Section) -> str:
        return section.text("template").strip("/") or self.defaults.folder

    def _transactional(self, section: Section) -> bool:
        own = section.flag("transactional")
        return bool(self.defaults.transactional) if own is None else own

    def _auto_submitted(self, section: Section) -> bool:
        own = section.flag("auto_submitted")
        return self.defaults.auto_submitted is not False if own is None else own

    def _category(self, section: Section, *, required: bool) -> str:
        category = section.text("category") or self.defaults.category
        if section.has("category") and not CATEGORY.fullmatch(category):
            section.wrong("category", f"{section.name}: {shown(category)} is no category", CATEGORY_FIX)
        if required and not category:
            fix = "`category: orders` lets recipients switch it off; `transactional: true` cannot be switched off"
            section.wrong("category", f"{section.name} has no category", fix)
        return category

    def _expression(self, section: Section, key: str) -> Expression | None:
        source = section.text(key)
        return self._compiled(section, key, source) if source else None

    def _compiled(self, section: Section, key: str, source: str) -> Expression | None:
        try:
            expression = self.expressions.compile(source)
        except ExpressionError as error:
            section.wrong(key, f"{section.name}: {key}: {error}", error.fix)
            return None
        if key in _PEOPLE:
            for why in wrong_constants(source, self._kind):
                section.wrong(key, f"{section.name}: {key}: {why}")
        return expression

    def _window(self, section: Section) -> Window | None:
        node = section.get("window")
        if node is None:
            return None
        window = Section(self.report, node, "window", ("every", "after_first", "at_most", "cron", "timezone"))
        kinds = "`{every: 1h}` or `{after_first: 15m, at_most: 50}`"
        if window.has("cron") or window.has("timezone"):
            key = "cron" if window.has("cron") else "timezone"
            window.wrong(key, f"{section.name}: windows by {key} come in a later release", f"use {kinds}")
            return None
        if window.has("every") == window.has("after_first"):
            window.wrong("every", f"{section.name}: a window has one of every and after_first", f"use {kinds}")
            return None
        if window.has("every"):
            window.refuse("at_most", "goes with after_first only", f"use {kinds}")
            return Window(every=window.duration("every"))
        return Window(after_first=window.duration("after_first"), at_most=window.number("at_most", 1, 10_000, "items"))

    def _uncertain(self, section: Section) -> Literal["resend", "park"]:
        return "park" if section.choice("uncertain", _Uncertain, _Uncertain.RESEND) is _Uncertain.PARK else "resend"

    def _omit(self, section: Section) -> tuple[str, ...]:
        listed = section.is_list("omit")
        paths = [node.text for node in section.entries("omit")] if listed else [section.text("omit")]
        for path in paths:
            if (path or listed) and not _DATA_PATH.fullmatch(path):
                fix = "plain names below data, such as `omit: data.people` or `omit: [data.people, data.debug]`"
                section.wrong("omit", f"{section.name}: {shown(path)} is no part of the data", fix)
        return tuple(filter(None, paths))

    def _sender(self, section: Section) -> str:
        sender = section.text("from")
        fix = "`from: orders@example.org` or `from: Example Shop <orders@example.org>`"
        try:
            if sender:
                parse_sender(sender)
        except InvalidAddress as error:
            section.wrong("from", f"{section.name}: {shown(sender)} is no sender: {error}", fix)
        return sender

    def _attachments(self, section: Section) -> tuple[CompiledAttachment, ...]:
        nodes = section.entries("attachments")
        if len(nodes) > MAX_ATTACHMENTS:
            section.wrong("attachments", f"{section.name}: {len(nodes)} attachments", f"at most {MAX_ATTACHMENTS}")
        compiled = [self._attachment(node, section.name) for node in nodes]
        found = tuple(attachment for attachment in compiled if attachment is not None)
        cids = [one.attachment.cid for one in found if one.attachment.cid]
        for cid in {cid for cid in cids if cids.count(cid) > 1}:
            section.wrong("attachments", f"{section.name}: two attachments have the cid {shown(cid)}")
        return found

    def _attachment(self, node: Located, rule: str) -> CompiledAttachment | None:
        section = Section(self.report, node, f"{rule}: an attachment", ("name", "content", "media_type", "cid"))
        for key in ("name", "content"):
            section.text(key, required=f"an expression, such as `{key}: data.invoice.{key}`")
        name, content = self._expression(section, "name"), self._expression(section, "content")
        written = section.text("media_type") or "application/octet-stream"
        media_type = None if self._is_media_type(section, written) else self._expression(section, "media_type")
        if name is None or content is None:
            return None
        attachment = Attachment(name.source, content.source, written, self._cid(section))
        return CompiledAttachment(attachment, name, content, media_type)

    def _is_media_type(self, section: Section, written: str) -> bool:
        """Whether it is written out, and not an expression; one written wrongly is told here."""
        if not _MEDIA_TYPE.fullmatch(written):
            return False
        try:
            read_media_type(written)
        except ValueError as error:
            section.wrong("media_type", f"{section.name}: media_type: {error}")
        return True

    def _cid(self, section: Section) -> str:
        cid = section.text("cid")
        if cid and not _CID.fullmatch(cid):
            fix = "a name of letters, digits, . _ + -, such as `cid: logo`; the HTML shows it by `cid:logo`"
            section.wrong("cid", f"{section.name}: {shown(cid)} is no cid", fix)
        return cid
