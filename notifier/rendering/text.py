"""A readable plain text made from HTML, for mails whose folder has no text template."""

from __future__ import annotations

from html import unescape

from notifier.rendering.markup import VOID, Token, tokens

_BLOCKS = (
    frozenset({"address", "article", "aside", "blockquote", "div", "dl", "dt", "dd", "figure", "footer", "form"})
    | {"fieldset", "header", "main", "nav", "section", "li", "tr", "ul", "ol"}
)  # fmt: skip
_SPACED = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "pre"})
_LISTS = frozenset({"ul", "ol"})
_HIDDEN = frozenset(["head", "script", "style", "title", "template", "textarea", "select", "svg", "noscript"])
_ADDRESSES = ("http://", "https://", "mailto:", "tel:")
_CELLS = frozenset({"td", "th"})


def text_from_html(html: str) -> str:
    """What a reader of the HTML sees: links as ``text (url)``, lists with dashes or numbers, table rows as lines."""
    writer = _Writer()
    for token in tokens(html):
        if not token.name:
            writer.write(token.text)
        elif token.name.startswith("/"):
            writer.end(token.name[1:])
        else:
            writer.start(token)
    return writer.finished()


class _Writer:
    """Collects lines while elements open and close. Everything here is linear: lines are joined once."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._gap = ""
        """What separates the next word from the line so far: nothing, a space, or the two spaces between cells."""
        self._hider = ""
        """The element that hides what is inside it, and how many of its name are open."""
        self._hiders = 0
        self._lists: list[int] = []
        """One entry per open list: the next number, or -1 for dashes."""
        self._link = ""
        self._shown: list[str] = []
        """Address and words of the open link; links do not nest in HTML."""
        self._pre = False

    def write(self, source: str) -> None:
        if self._hider:
            return
        text = unescape(source)
        if self._pre:
            self._write_lines(text)
            return
        words = text.split()
        if text[:1].isspace() or not words:
            self._gap = self._gap or " "
        if words:
            self._add(" ".join(words))
            self._gap = " " if text[-1].isspace() else ""

    def _add(self, words: str) -> None:
        if self._line:
            self._line.append(self._gap)
        self._line.append(words)
        if self._link:
            self._shown.append(words)

    def _write_lines(self, text: str) -> None:
        for number, line in enumerate(text.split("\n")):
            if number:
                self._newline()
            self._line.append(line)

    def start(self, token: Token) -> None:
        name = token.name
        if self._hider or _hides(token):
            self._hide(name)
            return
        self._break(name)
        if name == "br":
            self._newline()
        elif name == "hr":
            self._newline_if_any()
            self._lines.extend(["", "-" * 20, ""])
        elif name == "pre":
            self._pre = True
        elif name in _LISTS:
            self._lists.append(1 if name == "ol" else -1)
        elif name == "li":
            self._line, self._gap = [self._bullet()], ""
        elif name in ("img", "a"):
            self._start_link_or_image(name, token.attributes())

    def _start_link_or_image(self, name: str, attributes: dict[str, str]) -> None:
        if name == "img":
            self.write(attributes.get("alt", ""))
        else:
            self._link, self._shown = attributes.get("href", ""), []

    def _hide(self, name: str) -> None:
        if not self._hider and name not in VOID:
            self._hider = name
        if name == self._hider:
            self._hiders += 1

    def end(self, name: str) -> None:
        if self._hider:
            if name == self._hider:
                self._hiders -= 1
                self._hider = self._hider if self._hiders else ""
            return
        if name == "a":
            self._end_link()
        elif name in _LISTS and self._lists:
            self._lists.pop()
        elif name == "pre":
            self._pre = False
        elif name in _CELLS and self._line:
            self._gap = "  "
        self._break(name)

    def _break(self, name: str) -> None:
        if name in _SPACED or (name in _LISTS and not self._lists):
            self._newline_if_any()
            if self._lines and self._lines[-1]:
                self._lines.append("")
        elif name in _BLOCKS:
            self._newline_if_any()

    def _newline_if_any(self) -> None:
        if self._line:
            self._newline()

    def _newline(self) -> None:
        self._lines.append("".join(self._line).rstrip())
        self._line, self._gap = [], ""

    def _bullet(self) -> str:
        indent = "  " * max(min(len(self._lists), 10) - 1, 0)
        if not self._lists or self._lists[-1] < 0:
            return f"{indent}- "
        self._lists[-1] += 1
        return f"{indent}{self._lists[-1] - 1}. "

    def _end_link(self) -> None:
        url, self._link = self._link, ""
        bare = url.removeprefix("mailto:").removeprefix("tel:")
        shown = " ".join(self._shown)
        if url.startswith(_ADDRESSES) and bare.rstrip("/") != shown.rstrip("/"):
            self._gap = self._gap or " "
            self._add(f"({bare})" if shown else bare)
            self._gap = ""

    def finished(self) -> str:
        """Never two empty lines in a row, and one newline at the end."""
        self._newline()
        kept = [line for at, line in enumerate(self._lines) if line or (at and self._lines[at - 1])]
        return "\n".join(kept).strip("\n") + "\n"


def _hides(token: Token) -> bool:
    if token.name in _HIDDEN:
        return True
    if "hidden" not in token.text and "none" not in token.text:
        return False
    attributes = token.attributes()
    return "display:none" in attributes.get("style", "").replace(" ", "").lower()
