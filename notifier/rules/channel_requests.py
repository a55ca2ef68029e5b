"""What a channel file says of its request: URL, login, headers and body, as a `RequestTemplate`.

A secret is never quoted, and never read either: what should be a setting's name and is none is the secret itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from notifier.domain.provider import SETTING, SETTING_PREFIX
from notifier.errors import InvalidDestination
from notifier.rendering.requests import TEXT_NAMES, Basic, RequestTemplate, RequestTexts, Shape, Text
from notifier.rendering.sandbox import CompileError
from notifier.rules.documents import Located
from notifier.rules.sections import Report, Section, shown

REQUEST_KEYS = ("url", "method", "hosts", "auth", "headers", "form", "json", "body")
METHODS = ("POST", "PUT", "PATCH")
#: Entries of a file; more are data in the wrong place.
MAX_HEADERS, MAX_FIELDS, MAX_HOSTS = 20, 100, 50
#: Headers that are the connection's to write, or ours.
_NOT_HEADERS = frozenset(
    (
        *("accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie", "expect"),
        *("host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "user-agent"),
    )
)
_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
#: Names of fields and headers that hold secrets.
_SECRET = re.compile(r"(?i)(^|[_.-])(authori[sz]ation|auth|password|passwd|secret|token|api[_-]?key|apikey)s?$")
_QUERY_SECRET = re.compile(r"(?i)[?&]([\w.-]*(?:password|passwd|secret|token|api[_-]?key|apikey))=([^&{]+)(?=&|$)")
_BEGINNING = re.compile(r"https?://[^/?#{}\s]+(?=[/?]|$)")
_ADDRESS_ALONE = re.compile(r"\{\{\s*address\s*\}\}")
_HOLE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:[0-9]{1,5})?")

CheckUrl = Callable[[str], object]
"""Raises `InvalidDestination` for a URL that requests may not go to."""


class RequestReader:
    """Reads one file; every mistake is noted."""

    def __init__(self, name: str, report: Report, file: Section, check_url: CheckUrl | None) -> None:
        self._name = name
        self._report = report
        self._file = file
        self.url_is_address = False
        """The whole URL is the recipient's address."""
        self._check_url = check_url
        self._texts = RequestTexts(report.file)
        self._all: list[Text] = []
        """Every text of the request, for what they name together."""

    def read(self) -> RequestTemplate:
        """Something usable whatever is wrong; the file is refused at the end."""
        url = self._url()
        headers, basic = self._headers()
        form, json, body = self._form(), self._json(), self._body()
        self._check_bodies()
        return RequestTemplate(
            self._texts.sandbox, url, self._method(), headers, basic, form=form, json=json, body=body
        )

    @property
    def settings(self) -> dict[str, int]:
        """All that its texts name, sorted, each with the line that names it first."""
        found: dict[str, int] = {}
        for text in self._all:
            for name in text.reads:
                if name.startswith(SETTING_PREFIX):
                    before = text.source.partition(name)[0]
                    line = text.line + before.count("\n")
                    found[name] = min(line, found.get(name, line))
        return dict(sorted(found.items()))

    @property
    def names_address(self) -> bool:
        """Whether any of its texts does."""
        return any("address" in text.reads for text in self._all)

    def _url(self) -> Text:
        line = self._file.line_of("url")
        written = self._file.text("url", required="such as `url: https://api.example.com/messages`")
        if SETTING.match(written):
            return self._setting(written, "url", line)
        self.url_is_address = _ADDRESS_ALONE.fullmatch(written) is not None
        if written and not self.url_is_address:
            self._check_written_url(written)
        return self._compiled("url", written, self._file.begins("url"), in_url=not self.url_is_address)

    def _check_written_url(self, written: str) -> None:
        if not _BEGINNING.match(written):
            fix = "https:// and a host, and what differs behind it; or `{{ address }}` alone, or the name of a setting"
            # Not quoted: a whole address of a chat service is its password.
            self._file.wrong("url", "the file: url names no host to go to", fix)
            return
        if "@" in urlsplit(_HOLE.sub("x", written)).netloc:
            self._file.wrong("url", "the file: the URL has a user name or password", "write `auth: {basic: …}`")
            return
        if secret := _QUERY_SECRET.search(written):
            self._file.wrong("url", f"the file: {secret[1]} of the URL holds a secret", self._instead(secret[1]))
        if self._check_url is not None:
            try:
                self._check_url(_HOLE.sub("x", written))
            except InvalidDestination as error:
                self._file.wrong("url", f"the file: url: {error}")

    def hosts(self) -> tuple[str, ...]:
        """Where addresses may lead, when they are the URL."""
        if not self.url_is_address:
            self._file.refuse("hosts", "has no meaning where the file says the host itself", "remove hosts")
            return ()
        nodes = self._file.entries("hosts")
        if not self._file.has("hosts"):
            fix = 'a list of those that addresses may have: `hosts: [hooks.slack.com, "*.webhook.office.com"]'
            self._file.wrong("url", "the file: the URL is the address, and hosts is missing", fix)
        for node in nodes:
            if not _HOST.fullmatch(node.text.lower()):
                self._report.add(node.line, f"hosts: {shown(node.text)} is no host", "a name, or *. and a domain")
        if len(nodes) > MAX_HOSTS:
            self._file.wrong("hosts", f"the file: {len(nodes)} hosts", f"at most {MAX_HOSTS}")
        return tuple(node.text.lower() for node in nodes)

    def _method(self) -> str:
        method = self._file.text("method").upper() or METHODS[0]
        if method not in METHODS:
            self._file.wrong("method", f"the file: method is {shown(method)}", f"one of {', '.join(METHODS)}")
        return method

    def _headers(self) -> tuple[tuple[tuple[str, Text], ...], Basic | None]:
        found = dict[str, Text]()
        for name, text in self._fields("headers", MAX_HEADERS):
            line = text.line
            if not _HEADER.fullmatch(name) or name.lower() in _NOT_HEADERS:
                self._report.add(line, f"headers: {shown(name)} cannot be written by a file", "another name")
            elif name.lower() in found:
                self._report.add(line, f"headers: {shown(name)} is there twice")
            elif "{" not in text.source and text.template is None and not _HEADER_VALUE.fullmatch(text.source):
                self._report.add(line, f"headers: the value of {shown(name)} is not visible ASCII on one line")
            found[name.lower()] = text
        header, basic = self._auth()
        if header is not None:
            if header[0] in found:
                self._file.wrong("auth", f"the file: auth and headers both write {header[0]}", "leave one out")
            found[header[0]] = header[1]
        if basic is not None and "authorization" in found:
            self._file.wrong("auth", "the file: auth and headers both write authorization", "leave one out")
        return tuple(found.items()), basic

    def _auth(self) -> tuple[tuple[str, Text] | None, Basic | None]:
        node = self._file.get("auth")
        if node is None:
            return None, None
        auth = Section(self._report, node, "auth", ("basic", "bearer", "header"))
        kinds = [key for key in ("basic", "bearer", "header") if auth.has(key)]
        if isinstance(node.value, dict) and len(kinds) != 1:
            fix = "such as `auth: {bearer: " + self._example("TOKEN") + "}`"
            auth.report.add(node.line, "auth has one of basic, bearer and header", fix)
        basic = self._basic(auth)
        if auth.has("bearer"):
            return ("authorization", self._secret(auth, "bearer", "TOKEN", "Bearer ")), basic
        return self._own_header(auth), basic

    def _basic(self, auth: Section) -> Basic | None:
        entry = auth.get("basic")
        if entry is None:
            return None
        section = Section(self._report, entry, "auth: basic", ("user", "password"))
        user = section.text("user", required="the user's name, or a setting")
        line = section.begins("user")
        named = SETTING.match(user) is not None
        text = self._setting(user, "user", line) if named else self._compiled("auth", user, line)
        return Basic(text, self._secret(section, "password", "PASSWORD"))

    def _own_header(self, auth: Section) -> tuple[str, Text] | None:
        entry = auth.get("header")
        if entry is None:
            return None
        section = Section(self._report, entry, "auth: header", ("name", "value"))
        name = section.text("name", required="the header's name, such as X-Api-Key")
        if name and (not _HEADER.fullmatch(name) or name.lower() in _NOT_HEADERS):
            section.wrong("name", f"{section.name}: {shown(name)} is no header for it")
        return name.lower(), self._secret(section, "value", "KEY")

    def _secret(self, section: Section, key: str, example: str, before: str = "") -> Text:
        name = section.text(key, required=f"the name of a setting, such as {self._example(example)}")
        if not name or SETTING.match(name):
            return self._setting(name or self._example(example), key, section.line_of(key), before)
        # Never quoted: it is the secret itself.
        section.wrong(key, f"{section.name}: {key} is no name of a setting", self._instead(example))
        return self._texts.setting(self._example(example), section.line_of(key), before)

    def _setting(self, name: str, key: str, line: int, before: str = "") -> Text:
        if not SETTING.fullmatch(name) or not self._is_own(name):
            what = f"{key}: {shown(name)} is no setting of this file"
            self._report.add(line, what, f"its settings begin with {self._own}, such as {self._example('TOKEN')}")
            name = self._example("TOKEN")
        text = self._texts.setting(name, line, before)
        self._all.append(text)
        return text

    @property
    def _own(self) -> str:
        return f"{SETTING_PREFIX}{self._name.upper()}_"

    def _is_own(self, name: str) -> bool:
        return name.startswith(self._own) and len(name) > len(self._own)

    def _example(self, word: str) -> str:
        return self._own + re.sub(r"\W+", "_", word).strip("_").upper()

    def _instead(self, word: str) -> str:
        example = self._example(word)
        return f"set {example} where workers run, and write its name here; in a text {{{{ settings.{example} }}}}"

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
            self._check_secret(f"{key}: {name}", name, entry)
            found.append((name, self._compiled(f"{key}: {name}", section.text(name), section.begins(name))))
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
                self._check_secret(f"{place}: {name}", name, entry)
            return {name: self._shape(f"{place}: {name}", entry) for name, entry in value.items()}
        if isinstance(value, list):
            return [self._shape(place, entry) for entry in value]
        return self._compiled(place, value, node.begins) if isinstance(value, str) else value

    def _check_secret(self, place: str, name: str, entry: Located) -> None:
        if _SECRET.search(name) and isinstance(entry.value, str) and entry.value and "{" not in entry.value:
            self._report.add(entry.line, f"{place} holds a secret", self._instead(name))

    def _body(self) -> Text | None:
        node = self._file.get("body")
        return self._compiled("body", self._file.text("body"), node.begins) if node is not None else None

    def _check_bodies(self) -> None:
        bodies = [key for key in ("form", "json", "body") if self._file.get(key) is not None]
        if len(bodies) > 1:
            self._file.wrong(bodies[1], f"the file has {' and '.join(bodies)}: a request has one of them")
        elif not bodies:
            fix = "`form:` (fields), `json:` (keys and values) or `body:` (a text), with {{ text }} in it"
            self._report.add(self._file.line, "the file has none of form, json and body: nothing would be said", fix)

    def _compiled(self, place: str, source: str, line: int, *, in_url: bool = False) -> Text:
        try:
            text = self._texts.compile(source, line, in_url=in_url)
        except CompileError as error:
            for at, what in error.mistakes:
                self._report.add(at, f"{place}: {what}")
            text = Text(self._report.file, line, source)
        for name in sorted(text.reads.difference(TEXT_NAMES)):
            if not (SETTING.fullmatch(name) and self._is_own(name)):
                what = f"{place}: {shown(name)} is no setting of this file"
                self._report.add(line, what, f"its settings begin with {self._own}")
        self._all.append(text)
        return text
