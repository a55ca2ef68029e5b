"""What a channel file says of its request: method, headers and body, as a `RequestTemplate`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from notifier.rendering.requests import RequestTemplate, Shape, Text
from notifier.rules.channel_headers import HeaderReader
from notifier.rules.channel_texts import ChannelTexts
from notifier.rules.channel_urls import CheckUrl, UrlReader
from notifier.rules.documents import Located
from notifier.rules.sections import Report, Section, shown

REQUEST_KEYS = ("url", "method", "hosts", "auth", "headers", "form", "json", "body")
METHODS = ("POST", "PUT", "PATCH")
#: Entries of a file; more are data in the wrong place.
MAX_HEADERS, MAX_FIELDS = 20, 100


class RequestReader:
    """Reads one file; every mistake is noted."""

    def __init__(self, name: str, report: Report, file: Section, check_url: CheckUrl | None) -> None:
        self._report = report
        self._file = file
        self.texts = ChannelTexts(name, report)
        self.url = UrlReader(file, self.texts, check_url)
        self._headers = HeaderReader(file, self.texts)

    def read(self) -> RequestTemplate:
        """Something usable whatever is wrong; the file is refused at the end."""
        url = self.url.read()
        headers, basic = self._headers.read(self._fields("headers", MAX_HEADERS))
        form, json, body = self._form(), self._json(), self._body()
        self._check_bodies()
        return RequestTemplate(self.texts.sandbox, url, self._method(), headers, basic, form=form, json=json, body=body)

    def _method(self) -> str:
        method = self._file.text("method").upper() or METHODS[0]
        if method not in METHODS:
            self._file.wrong("method", f"the file: method is {shown(method)}", f"one of {', '.join(METHODS)}")
        return method

    def _form(self) -> tuple[tuple[str, Text], ...] | None:
        return tuple(self._fields("form", MAX_FIELDS)) if self._file.get("form") is not None else None

    def _fields(self, key: str, most: int) -> Iterable[tuple[str, Text]]:
        node = self._file.get(key)
        if node is None:
            return []
        section = Section(self._report, node, key, tuple(node.value) if isinstance(node.value, dict) else ())
        if not isinstance(node.value, dict):
            return []
        if len(node.value) > most:
            self._file.wrong(key, f"the file: {key} has {len(node.value)} entries", f"at most {most}")
        found = []
        for name, entry in node.value.items():
            self.texts.check_secret(f"{key}: {name}", name, entry)
            found.append((name, self.texts.compile(f"{key}: {name}", section.text(name), section.begins(name))))
        return found

    def _json(self) -> Shape:
        node = self._file.get("json")
        if node is None:
            return None
        if not isinstance(node.value, dict | list):
            self._file.wrong("json", f"the file: json is {node.kind}, expected keys and values, or a list")
            return None
        return self._shape("json", node)

    def _shape(self, place: str, node: Located) -> Shape:
        value: Any = node.value
        if isinstance(value, dict):
            for name, entry in value.items():
                self.texts.check_secret(f"{place}: {name}", name, entry)
            return {name: self._shape(f"{place}: {name}", entry) for name, entry in value.items()}
        if isinstance(value, list):
            return [self._shape(place, entry) for entry in value]
        return self.texts.compile(place, value, node.begins) if isinstance(value, str) else value

    def _body(self) -> Text | None:
        node = self._file.get("body")
        return self.texts.compile("body", self._file.text("body"), node.begins) if node is not None else None

    def _check_bodies(self) -> None:
        bodies = [key for key in ("form", "json", "body") if self._file.get(key) is not None]
        if len(bodies) > 1:
            self._file.wrong(bodies[1], f"the file has {' and '.join(bodies)}: a request has one of them")
        elif not bodies:
            fix = "`form:` (fields), `json:` (keys and values) or `body:` (a text), with {{ text }} in it"
            self._report.add(self._file.line, "the file has none of form, json and body: nothing would be said", fix)
