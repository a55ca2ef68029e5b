"""Writes the rules of ``<style>`` into ``style`` attributes, because some mail programs read nothing else.

Done per message, and only in folders whose templates have a ``<style>`` without ``data-css-inline="ignore"``; nothing
for the others. Rejected: once per template source. An HTML parser moves ``{% for %}`` out of
tables, and what a rule matches is only known when layout and page are together. The shop's layouts style inline and
keep only ``@media`` rules, which are ignored here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from html import escape, unescape
from typing import NamedTuple

from notifier.rendering.markup import VOID, Token, tokens
from notifier.rendering.meter import ExhaustedError, RefusedError
from notifier.rendering.stylesheets import MARK, read_sheet, style

#: The inliner recurses per level and crashes the process at some 10,000; no real mail is nested 200 deep.
_DEPTH = 200
#: Rules times elements: what the inliner compares at most, 0.1 s.
_COMPARISONS = 2_000_000
_IGNORE = 'data-css-inline="ignore"'
#: Marks a ``<style>`` that holds what could not be written into elements; `templates check` tells of it.
STAYS = ' class="stays"'
_BEGIN = re.compile(r"<!--|<style\b", re.IGNORECASE)
_END = re.compile(r"</style\s*>", re.IGNORECASE)
_MARKED = re.compile(rf' style="([^"]*{MARK}[^"]*)"')
_MARK = re.compile(rf"{MARK}(\d+): ?0;?")


def wants_inlining(source: str) -> bool:
    """Whether a template has a ``<style>`` that is to be inlined."""
    written = "".join(part.split("#}", 1)[-1] for part in source.split("{#"))
    return any(_IGNORE not in tag.split(">", 1)[0] for tag in written.split("<style")[1:])


class StyleInliner:
    """One configured inliner; it reads no files and no network."""

    def __init__(self) -> None:
        # Imported by those who have such templates: it is 2 MiB of a process.
        from css_inline import CSSInliner, InlineError  # noqa: PLC0415

        self._inliner = CSSInliner(keep_style_tags=True, load_remote_stylesheets=False)
        self._error = InlineError

    def inlined(self, html: str) -> str:
        """``html`` with its styles inline; ``<style media>`` and rules that no attribute can say stay."""
        if html.count("{") * html.count("<") > _COMPARISONS:
            raise ExhaustedError("has too many style rules for so many elements")
        _check_depth(html)
        marked, source = _marked(html)
        sheet = read_sheet(source)
        try:
            found = str(self._inliner.inline(marked))
        except (self._error, ValueError) as error:
            raise RefusedError(f"the style rules cannot be read: {error}") from error
        if not sheet.marks:
            return found
        attribute = _attribute_of(source)
        return _MARKED.sub(lambda match: attribute(match[1]), found.replace(f"<style>{sheet.marks}</style>", "", 1))


def _marked(html: str) -> tuple[str, str]:
    """The page with all its rules in one ``<style>`` of marks, and the rules as they were written."""
    elements = list(_elements(html))
    mine = [one for one in elements if _is_inlined(one.attributes)]
    source = "\n".join(one.content for one in mine)
    sheet = read_sheet(source)
    parts, position = [], 0
    for one in elements:
        parts.append(html[position : one.start])
        position = one.end
        if one not in mine:
            parts.append(_ignored(one.attributes, one.content))
        elif one is mine[0]:
            parts.append(f"<style>{sheet.marks}</style>" if sheet.marks else "")
            parts.append(_ignored(STAYS, sheet.stays) if sheet.stays else "")
    return "".join([*parts, html[position:]]), source


@lru_cache(maxsize=128)
def _attribute_of(source: str) -> Callable[[str], str]:
    """Marks of an element → the ``style`` they stand for, in one sheet; elements with equal ones are many."""
    sheet = read_sheet(source)

    @lru_cache(maxsize=2048)
    def attribute(marked: str) -> str:
        own = _MARK.sub("", marked).strip()
        found = [sheet.declarations[int(number)] for number in _MARK.findall(marked)]
        text = escape(style(found, unescape(own)), quote=False).replace('"', "&quot;")
        return f' style="{text}"'

    return attribute


class _Element(NamedTuple):
    start: int
    end: int
    attributes: str
    content: str


def _elements(html: str) -> Iterator[_Element]:
    """Every ``<style>`` outside comments: what Outlook's conditional comments hold is Outlook's alone."""
    position = 0
    while begin := _BEGIN.search(html, position):
        if begin.group() == "<!--":
            end = html.find("-->", begin.end())
            if end < 0:
                return
            position = end + 3
            continue
        opened = html.find(">", begin.end())
        closed = _END.search(html, opened) if opened >= 0 else None
        if closed is None:
            return
        position = closed.end()
        yield _Element(begin.start(), position, html[begin.end() : opened], html[opened + 1 : closed.start()])


def _is_inlined(attributes: str) -> bool:
    said = Token("style", attributes).attributes()
    return _IGNORE not in attributes and said.get("media", "all").strip().lower() in {"", "all"}


def _ignored(attributes: str, content: str) -> str:
    """A ``<style>`` that the inliner leaves alone."""
    ignore = "" if _IGNORE in attributes else " " + _IGNORE
    return f"<style{attributes}{ignore}>{content}</style>"


def staying_rules(html: str) -> tuple[str, ...]:
    """Selectors of an inlined page whose rules stayed in ``<style>``, but for those of at-rules."""
    mine = (one for one in _elements(html) if STAYS in one.attributes)
    return tuple(selector for one in mine for selector in read_sheet(one.content).staying)


def _check_depth(html: str) -> None:
    """Counts unclosed elements as nested, so it never counts less than the parser will build."""
    opened: list[str] = []
    for token in tokens(html):
        if token.name.startswith("/"):
            if opened and opened[-1] == token.name[1:]:
                opened.pop()
        elif token.name and token.name not in VOID:
            opened.append(token.name)
            if len(opened) > _DEPTH:
                raise ExhaustedError(f"has more than {_DEPTH} elements inside each other; close every element")
