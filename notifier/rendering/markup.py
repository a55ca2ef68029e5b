"""Reads HTML as a run of tags and texts in one pass, for `text` and `styles`.

Not `html.parser`: on CPython before 3.12.11 and 3.13.4 unfinished tags and comments take it quadratic time
(CVE-2025-6069), and a template may write them. Every search here starts where the last one ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

from notifier.rendering.meter import spend

#: Elements without an end tag.
VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])
#: Elements whose content is not markup.
_RAW = frozenset({"script", "style", "title", "textarea"})
#: Characters of a tag whose attributes are read; a tag of 1 MB must not become a regex problem.
_ATTRIBUTES = 4096
#: Steps of one ``<``: 3 to 7 µs each with all that follows, so 50,000 of them end the render.
_TAG = 20
_TAG_STOP = re.compile(r"[\"'>]")
_NAME = re.compile(r"/?[A-Za-z][A-Za-z0-9:-]{0,30}")
_ATTRIBUTE = re.compile(r"""([a-zA-Z-]{1,40})\s{0,8}=\s{0,8}("[^"]*"|'[^']*'|[^\s>"']+)""")


@dataclass(frozen=True, slots=True)
class Token:
    """A text (``name`` is empty), the start of an element, or its end (``/name``)."""

    name: str
    text: str
    """The text as it stands in the source, or the inside of the tag after its name."""

    def attributes(self) -> dict[str, str]:
        """Attributes of a start tag, entities resolved."""
        found = _ATTRIBUTE.findall(self.text[:_ATTRIBUTES])
        return {name.lower(): unescape(value.strip("\"'")) for name, value in found}


def tokens(source: str) -> Iterator[Token]:
    """Everything but comments, declarations and whatever stands after an unfinished tag."""
    lowered = source.lower() if len(source.lower()) == len(source) else source
    position = search = 0
    while (start := source.find("<", search)) >= 0:
        spend(_TAG)
        matched = _NAME.match(source, start + 1)
        if matched is None:
            search = _after_other(source, start)
            if search > start + 1:
                yield from _text(source[position:start])
                position = search
            continue
        yield from _text(source[position:start])
        end = _tag_end(source, matched.end())
        if end < 0:
            return
        name = matched.group().lower()
        yield Token(name, source[matched.end() : end])
        position = search = end + 1
        if name in _RAW:
            position = search = lowered.find(f"</{name}", position)
            if position < 0:
                return
    yield from _text(source[position:])


def _text(source: str) -> Iterator[Token]:
    if source:
        yield Token("", source)


def _after_other(source: str, start: int) -> int:
    """Where a comment or declaration at ``start`` ends; one further when it is a plain ``<``."""
    if source.startswith("<!--", start):
        end, size = source.find("-->", start + 4), 3
    elif source.startswith(("<!", "<?", "</"), start):
        end, size = source.find(">", start), 1
    else:
        return start + 1
    return len(source) if end < 0 else end + size


def _tag_end(source: str, position: int) -> int:
    while stop := _TAG_STOP.search(source, position):
        if stop.group() == ">":
            return stop.start()
        position = source.find(stop.group(), stop.end()) + 1
        if not position:
            return -1
    return -1
