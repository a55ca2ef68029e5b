"""What Jinja says of a source it cannot read, as a person can use it: where the mistake is made, and what to do.

Jinja reports an unclosed tag at the end of the file; it is told at the tag.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import TemplateSyntaxError

if TYPE_CHECKING:
    from jinja2 import Environment

#: Tags that have an end, and those they may hold besides.
_PAIRED = ("block", "call", "filter", "for", "if", "macro", "set", "with")
_TAGS = (*_PAIRED, *(f"end{tag}" for tag in _PAIRED), "elif", "else", "extends", "from", "import", "include", "raw")
_INNERMOST = re.compile(r"The innermost block that needs to be closed is '(\w+)'")
_UNKNOWN = re.compile(r"Encountered unknown tag '(\w+)'")
#: What Jinja's words begin with or hold → what to do; the first that fits.
_FIXES = (
    (r"unexpected '}', expected '\)'", "close the bracket ( with )"),
    (r"unexpected '[}%]'", "a value ends with }} and a tag with %}"),
    (r"end of template, expected 'end of print", "end the value with }}"),
    (r"end of template, expected 'end of statement", "end the tag with %}"),
    (r"end of statement block', got '='", "compare with =="),
    (r"expected token 'end of print statement'", "join texts with ~, and end the value with }}"),
    (r"expected token 'end of statement block'", "end the tag with %}"),
    (r"expected token 'in'", "write `for one in many`"),
    (r"expected token 'name'", "a name is missing"),
    (r"end of comment", "end the comment with #}"),
    (r"end of raw", "end it with {% endraw %}"),
    (r"end of (template|print statement|statement block)'", "something is missing before the end"),
    (r"unexpected char '[\"']'", "close the text with the same quote"),
    (r"unexpected char '&'|unexpected char '\|'", "write `and` or `or`"),
)


class Mistake(NamedTuple):
    """One mistake in a source."""

    line: int
    what: str
    fix: str = ""


def explained(error: TemplateSyntaxError, source: str, environment: Environment) -> Mistake:
    """Jinja's error, at the place that has to be changed."""
    message = error.message or "cannot be read"
    if innermost := _INNERMOST.search(message):
        return _unclosed(innermost[1], message, error.lineno, source, environment)
    if unknown := _UNKNOWN.search(message):
        return _misplaced(unknown[1], error.lineno)
    fix = next((fix for pattern, fix in _FIXES if re.search(pattern, message)), "correct what stands in this line")
    return Mistake(error.lineno, message, fix)


def near(word: str, known: Iterable[str], among: str) -> str:
    """The known word that was probably meant, else all."""
    words = sorted(known)
    close = get_close_matches(word, words, 1)
    return f"did you mean {close[0]}?" if close else f"{among} {', '.join(words)}"


def _misplaced(tag: str, line: int) -> Mistake:
    if tag in _TAGS:
        return Mistake(line, f"{{% {tag} %}} belongs to no tag that is open here", "remove it, or open its tag before")
    return Mistake(line, f"there is no tag {tag!r}", near(tag, _TAGS, "tags are"))


def _unclosed(tag: str, message: str, line: int, source: str, environment: Environment) -> Mistake:
    opened = _open_tags(source, environment, line)
    where = next((at for at, name in reversed(opened) if name == tag), line)
    if unknown := _UNKNOWN.search(message):
        what = f"{{% {unknown[1]} %}} stands where {{% {tag} %}} of line {where} is still open"
        spelt = [name for name in (f"end{tag}", "else", "elif") if get_close_matches(unknown[1], [name], 1, 0.8)]
        return Mistake(line, what, f"did you mean {spelt[0]}?" if spelt else f"write {{% end{tag} %}} before it")
    return Mistake(where, f"{{% {tag} %}} is never closed", f"write {{% end{tag} %}}")


def _open_tags(source: str, environment: Environment, until: int) -> list[tuple[int, str]]:
    """Line and name of the tags that are open at the end of a line."""
    found: list[tuple[int, str]] = []
    words: list[tuple[int, str, str]] = []
    try:
        for line, kind, text in environment.lex(source):
            if line > until:
                break
            if kind == "block_begin":
                words = []
            elif kind == "block_end":
                _take(words, found)
            elif kind != "whitespace":
                words.append((line, kind, text))
    except TemplateSyntaxError:
        return found
    return found


def _take(words: Collection[tuple[int, str, str]], found: list[tuple[int, str]]) -> None:
    if not words:
        return
    line, _, tag = next(iter(words))
    if tag.startswith("end") and found and found[-1][1] == tag.removeprefix("end"):
        found.pop()
    elif tag in _PAIRED and not (tag == "set" and any(text == "=" for _, _, text in words)):
        found.append((line, tag))
