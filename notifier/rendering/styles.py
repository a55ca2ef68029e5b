"""Writes the rules of ``<style>`` into ``style`` attributes, because some mail programs read nothing else.

Done per message, and only in folders whose templates have a ``<style>`` without ``data-css-inline="ignore"``: 55 µs
for a small mail, nothing for the others. Rejected: once per template source. An HTML parser moves ``{% for %}`` out of
tables, and what a rule matches is only known when layout and page are together. The shop's layouts style inline and
keep only ``@media`` rules, which are ignored here.
"""

from __future__ import annotations

from notifier.rendering.markup import VOID, tokens
from notifier.rendering.meter import ExhaustedError, RefusedError

#: The inliner recurses per level and crashes the process at some 10,000; no real mail is nested 200 deep.
_DEPTH = 200
#: Rules times elements: what the inliner compares at most, 0.1 s.
_COMPARISONS = 2_000_000
_IGNORE = 'data-css-inline="ignore"'


def wants_inlining(source: str) -> bool:
    """Whether a template has a ``<style>`` that is to be inlined."""
    written = "".join(part.split("#}", 1)[-1] for part in source.split("{#"))
    return any(_IGNORE not in tag.split(">", 1)[0] for tag in written.split("<style")[1:])


class StyleInliner:
    """One configured inliner; it reads no files and no network."""

    def __init__(self) -> None:
        # Imported by those who have such templates: it is 2 MiB of a process.
        from css_inline import CSSInliner, InlineError  # noqa: PLC0415

        self._inliner = CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
        self._error = InlineError

    def inlined(self, html: str) -> str:
        """``html`` with its styles inline; ``@media`` rules stay where they are."""
        if html.count("{") * html.count("<") > _COMPARISONS:
            raise ExhaustedError("has too many style rules for so many elements")
        _check_depth(html)
        try:
            return str(self._inliner.inline(html))
        except (self._error, ValueError) as error:
            raise RefusedError(f"the style rules cannot be read: {error}") from error


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
