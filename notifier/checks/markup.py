"""The HTML of templates as it is written: pictures, links and elements that readers of a mail cannot use.

Jinja's parts are masked, and what is left is read as HTML, so that each finding has its line and column. What a value
turns into is not known here; rendering the samples shows that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser

from notifier.checks.findings import Code, Severity
from notifier.checks.place import Place

_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+))?""")
#: Stands for what ``{{ … }}`` shows: a letter that is no markup.
_SHOWN = "\ue000"
_THROUGH_URL = re.compile(r"\|\s*url\s*(?:\||-?\}\}$)")
#: A link that leads out of the mail, and anchors and addresses that need not be ours.
_OUTSIDE = ("https:", "mailto:", "tel:", "cid:", "sms:")
#: Elements that no mail program runs or shows, or that spam filters count against a mail → why.
_NOT_IN_MAIL = {
    "script": "mail programs take scripts out, and many take the mail for spam",
    "iframe": "mail programs show no frames",
    "object": "mail programs show no embedded objects",
    "embed": "mail programs show no embedded objects",
    "form": "most mail programs show no forms, or warn of them",
    "video": "few mail programs play videos; show a picture that links to it",
    "audio": "few mail programs play sounds; link to it",
    "base": "mail programs ignore it, so relative links lead nowhere",
}


@dataclass(frozen=True)
class Tag:
    """One start tag."""

    name: str
    line: int
    column: int
    """The first is 1."""
    written: str
    """As it is written, with Jinja's parts."""
    masked: str

    @cached_property
    def attributes(self) -> Mapping[str, str]:
        """Name → value as it is written, without its quotes."""
        found = {}
        start = len(self.name) + 1
        for match in _ATTRIBUTE.finditer(self.masked, start, len(self.masked) - 1):
            value = self.written[match.start(2) : match.end(2)] if match[2] else ""
            quoted = value[:1] in ("'", '"')
            found[match[1].lower()] = value[1:-1] if quoted else value
        return found


def tags_of(source: str) -> Iterator[Tag]:
    """Every start tag of a template."""
    reader = _Reader(source)
    reader.feed(_JINJA.sub(_mask, source))
    reader.close()
    yield from reader.tags


def check_markup(source: str, place: Place) -> None:
    """Tell what is wrong with the tags of one HTML template."""
    for tag in tags_of(source):
        if (why := _NOT_IN_MAIL.get(tag.name)) is not None:
            _tell(place, tag, Code.NOT_IN_MAIL, f"<{tag.name}>: {why}", "leave it out")
        if (look := _LOOKS.get(tag.name)) is not None:
            look(tag, place)


def _mask(match: re.Match[str]) -> str:
    filler = _SHOWN if match[0].startswith("{{") else " "
    return "".join(character if character == "\n" else filler for character in match[0])


class _Reader(HTMLParser):
    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[Tag] = []
        self._source = source
        self._starts = [0, *(match.end() for match in re.finditer("\n", source))]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the library's
        masked = self.get_starttag_text() or ""
        line, column = self.getpos()
        start = self._starts[line - 1] + column
        self.tags.append(Tag(tag, line, column + 1, self._source[start : start + len(masked)], masked))


def _image(tag: Tag, place: Place) -> None:
    given = tag.attributes
    if "alt" not in given:
        what = "the picture has no alt: who does not see it hears its address, and many programs show none at first"
        _tell(place, tag, Code.NO_ALT, what, 'say what it shows, or write alt="" when it only decorates')
    if "width" not in given and not re.search(r"(?<![-\w])width\s*:", given.get("style", "")):
        what = "the picture has no width: Outlook shows it in its own size, and the text jumps when it loads"
        _tell(place, tag, Code.NO_SIZE, what, 'write width="…" in pixels')
    _source_of(tag, given.get("src", ""), place)


def _source_of(tag: Tag, source: str, place: Place) -> None:
    if source.startswith("data:"):
        what = "Gmail and Outlook show no pictures that are written into the HTML"
        _tell(place, tag, Code.LINK, what, "attach it with a cid, or host it")
    elif source and "{" not in source and not source.startswith(_OUTSIDE):
        _tell(place, tag, Code.LINK, _leads_nowhere("the picture", source), "write https://… or cid:…")


def _link(tag: Tag, place: Place) -> None:
    if "href" not in tag.attributes:
        return
    target = tag.attributes["href"].strip()
    if "{%" in target or target.startswith("#"):
        return
    if not target:
        _tell(place, tag, Code.LINK, "the link leads nowhere", "write https://…, or take the link out")
    elif target.startswith("{{"):
        first = _JINJA.match(target)
        if first is None or not _THROUGH_URL.search(first[0]):
            what = "the link is not read by `url`: whoever publishes the event could write javascript: into the mail"
            _tell(place, tag, Code.LINK, what, "write `{{ … | url }}`")
    elif target.startswith("http:"):
        _tell(place, tag, Code.LINK, "the link is not encrypted, and browsers warn of it", "write https://…")
    elif not target.startswith(_OUTSIDE):
        _tell(place, tag, Code.LINK, _leads_nowhere("the link", target), "write https://…")


def _leads_nowhere(what: str, target: str) -> str:
    return f"{what} {target[:60]!r} is relative, and a mail has no address that it could be relative to"


def _page(tag: Tag, place: Place) -> None:
    if not tag.attributes.get("lang"):
        what = "the page does not say its language: screen readers pronounce it as their own"
        _tell(place, tag, Code.NO_LANG, what, "write lang=\"{{ locale or 'en' }}\"")


def _tell(place: Place, tag: Tag, code: Code, what: str, fix: str) -> None:
    place.tell_at(code, tag.line, tag.column, what, fix, severity=_SEVERITIES.get(code, Severity.ERROR))


_SEVERITIES = {Code.NO_SIZE: Severity.WARNING}


_LOOKS: Mapping[str, Callable[[Tag, Place], None]] = {"img": _image, "a": _link, "html": _page}
