"""`Renderer`: an event's context in, the finished `Message` out. The only class other packages render with."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import orjson
from jinja2 import Template

from notifier.domain.event import Event
from notifier.domain.json_text import exact_decimal, exact_integer, is_exact, may_lose, write_json
from notifier.domain.message import EmailMessage, TextMessage, WebhookMessage
from notifier.errors import RenderError
from notifier.rendering.context import NAMES
from notifier.rendering.faults import rendering_fault
from notifier.rendering.library import Library, TextSet
from notifier.rendering.meter import ExhaustedError, Meter, RefusedError
from notifier.rendering.operators import concat
from notifier.rendering.sandbox import Compiled, Context
from notifier.rendering.styles import StyleInliner
from notifier.rendering.text import text_from_html

Kind = Literal["email", "webhook", "digest"]
#: Bytes of one part of a message: the largest Gmail shows in full is 102 kB, the largest anybody should send is this.
PART_BYTES = 1024 * 1024
#: RFC 5322 §2.1.1: characters of a line. Mail programs show about 70.
SUBJECT_CHARACTERS = 998


class Renderer:
    """Everything below a templates folder, compiled. Rendering touches no disk, network, clock or shared state."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._sandbox = library.sandbox

    @classmethod
    def load(cls, root: Path, before: Renderer | None = None, breathe: Callable[[], None] = lambda: None) -> Renderer:
        """Compile all templates below ``root``; see `Library`. Raises `TemplateError` with every mistake."""
        known = before._library if before is not None else None  # noqa: SLF001 - of its own class
        return cls(Library(root, known, breathe))

    @property
    def codes(self) -> Mapping[str, Compiled]:
        """Every template by name, as it was compiled: once for all versions in which it says the same."""
        return self._library.codes

    def parts(self, folder: str, kind: str, locale: str) -> list[str]:
        """The names of the templates that a message in one language is made of."""
        return [part.name for part in self._library.sets.get((folder, kind, locale), {}).values()]

    def email(self, folder: str, context: Mapping[str, Any], locale: str = "") -> EmailMessage:
        """Subject, text and HTML of one mail, in the language nearest to ``locale``. Raises `RenderError`."""
        return self._mail(folder, "email", context, locale)

    def digest(self, folder: str, context: Mapping[str, Any], locale: str = "") -> EmailMessage:
        """The mail of a closed window; its items are ``digest.items``. Raises `RenderError`."""
        return self._mail(folder, "digest", context, locale)

    def webhook(self, folder: str, event: Event, context: Mapping[str, Any]) -> WebhookMessage:
        """The body of a webhook: what ``webhook.json.j2`` writes, else the CloudEvent itself. Raises `RenderError`."""
        if not self.has(folder, "webhook"):
            body = _sized(event.published, folder)
            return WebhookMessage(body, "application/cloudevents+json", self.hash(folder))
        template = self._library.find(folder, "webhook", "").json
        assert template is not None  # noqa: S101 - a set of this kind has nothing else
        with Meter(NAMES):
            text = self._run(template, self._names(context, ""))
        return WebhookMessage(*_checked_json(text, template.name or folder), self.hash(folder))

    def message(self, folder: str, channel: str, context: Mapping[str, Any], locale: str = "") -> TextMessage:
        """The text, and the subject if there is one, that a channel file's request carries. Raises `RenderError`."""
        texts = self._library.find(folder, channel, locale)
        assert texts.text is not None  # noqa: S101 - `Library` refuses folders without one
        names = self._names(context, texts.locale)
        with Meter(NAMES, locale=texts.locale, timezone=_timezone(context)):
            subject = self._subject(texts, names, folder) if texts.subject is not None else ""
            text = self._run(texts.text, names).strip()
        if not text:
            raise RenderError("the text is empty", texts.text.name or folder, 1)
        return TextMessage(text, subject, self.hash(folder))

    def has(self, folder: str, kind: str) -> bool:
        """Whether the folder has templates of this kind."""
        return (folder, kind, "") in self._library.sets

    @property
    def folders(self) -> Collection[str]:
        """Those that hold templates of messages."""
        return self._library.folders.keys()

    def mistakes(self, folder: str, kind: str, context: Mapping[str, Any], locale: str = "") -> list[RenderError]:
        """What each template of a message fails with; making the message stops at the first."""
        if not self.has(folder, kind):
            return []
        texts = self._library.find(folder, kind, locale)
        names = self._names(context, texts.locale)
        found = []
        for template in filter(None, (texts.subject, texts.text, texts.html, texts.json)):
            with Meter(NAMES, locale=texts.locale, timezone=_timezone(context)):
                try:
                    self._run(template, names)
                except RenderError as error:
                    found.append(error)
        return found

    def locales(self, folder: str, kind: str) -> tuple[str, ...]:
        """Languages the folder is written in; the empty one is the default."""
        return tuple(sorted(locale for name, found, locale in self._library.sets if (name, found) == (folder, kind)))

    def hash(self, folder: str) -> str:
        """12 hex characters that change when any file changes that this folder's messages are made of."""
        found = self._library.folders.get(folder)
        return found.hash if found is not None else ""

    def _mail(self, folder: str, kind: Kind, context: Mapping[str, Any], locale: str) -> EmailMessage:
        texts = self._library.find(folder, kind, locale)
        names = self._names(context, texts.locale)
        with Meter(NAMES, locale=texts.locale, timezone=_timezone(context)):
            subject = self._subject(texts, names, folder)
            html = self._run(texts.html, names) if texts.html is not None else ""
            if html and self._library.folders[folder].inlines:
                html = self._inlined(html, texts)
            text = self._run(texts.text, names) if texts.text is not None else self._text_of(html, texts)
        return EmailMessage(subject, text, html, self.hash(folder))

    def _names(self, context: Mapping[str, Any], locale: str) -> dict[str, Any]:
        return {**self._sandbox.globals, **context, "locale": locale}

    def _run(self, template: Template, names: dict[str, Any]) -> str:
        try:
            text = concat(template.root_render_func(Context(self._sandbox, names, template.name, template.blocks)))
            _check_size(text)
        except Exception as error:
            raise rendering_fault(error, template.name or "") from error
        return text

    def _subject(self, texts: TextSet, names: dict[str, Any], folder: str) -> str:
        assert texts.subject is not None  # noqa: S101 - `Library` refuses folders without one
        subject = " ".join(self._run(texts.subject, names).split())
        if not subject:
            raise RenderError("the subject is empty", texts.subject.name or folder, 1)
        return subject if len(subject) <= SUBJECT_CHARACTERS else subject[: SUBJECT_CHARACTERS - 1] + "…"

    def _inlined(self, html: str, texts: TextSet) -> str:
        return self._after(self._styles.inlined, html, texts)

    def _text_of(self, html: str, texts: TextSet) -> str:
        return self._after(text_from_html, html, texts)

    @cached_property
    def _styles(self) -> StyleInliner:
        return StyleInliner()

    @staticmethod
    def _after(step: Any, html: str, texts: TextSet) -> str:
        try:
            made: str = step(html)
            _check_size(made)
        except Exception as error:
            raise rendering_fault(error, (texts.html and texts.html.name) or "") from error
        return made


def _timezone(context: Mapping[str, Any]) -> str:
    zone = (context.get("recipient") or {}).get("timezone")
    return zone if isinstance(zone, str) else ""


def _check_size(text: str) -> None:
    if len(text) > PART_BYTES or (not text.isascii() and len(text.encode()) > PART_BYTES):
        raise ExhaustedError(f"made more than {PART_BYTES:,} bytes of output")


def _checked_json(text: str, template: str) -> tuple[bytes, str]:
    """The body, and its media type: a template may write a CloudEvent of its own."""
    if (fast := _read_fast(text)) is not None:
        return fast[0], _media_type(fast[1])
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        # The line is one of the output, not of the template; what the output says there may be private.
        place = f"line {error.lineno} of the output"
        raise RenderError(f"does not make valid JSON: {error.msg} at {place}", template) from error
    except (ValueError, RecursionError, RefusedError) as error:
        raise RenderError(f"does not make valid JSON: {error}", template) from error
    return _compact(value, template), _media_type(value)


def _media_type(value: Any) -> str:
    cloud = isinstance(value, dict) and value.get("specversion") == "1.0"
    return "application/cloudevents+json" if cloud else "application/json"


def _read_fast(text: str) -> tuple[bytes, Any] | None:
    """Body and value by orjson, a tenth of the standard library's time; None for what the two could read differently.

    Those are numbers that a double may not hold, what is no JSON and what nests deeply.
    """
    try:
        source = text.encode()
        if may_lose(source):
            return None
        value = orjson.loads(source)
        # orjson's bytes keep the 4 KiB they were written into; a copy of what a webhook says is a fifth of that.
        body = bytes(memoryview(orjson.dumps(value)))
    except (ValueError, TypeError):  # orjson's errors of reading and of writing
        return None
    return (body, value) if len(body) <= PART_BYTES else None


def _refuse(constant: str) -> Any:
    raise RefusedError(f"{constant} is not JSON")


#: Made once: `json.loads` and `json.dumps` with options make a new one for each call.
_DECODER = json.JSONDecoder(parse_float=exact_decimal, parse_int=exact_integer, parse_constant=_refuse)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _compact(value: Any, template: str) -> bytes:
    try:
        text = write_json(value).decode() if is_exact(value) else _ENCODER.encode(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise RenderError(f"the event cannot be written as JSON: {error}", template) from error
    try:
        body = text.encode()
    except UnicodeEncodeError:
        # Half an emoji, cut by a publisher: no receiver's parser takes it, so it becomes U+FFFD.
        body = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    return _sized(body, template)


def _sized(body: bytes, template: str) -> bytes:
    if len(body) > PART_BYTES:
        raise rendering_fault(ExhaustedError(f"made more than {PART_BYTES:,} bytes of output"), template)
    return body
