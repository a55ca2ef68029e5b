"""What a channel file says of headers and, in ``auth``, of the login: names of settings, never a secret itself."""

from __future__ import annotations

import re
from collections.abc import Iterable

from notifier.domain.provider import SETTING
from notifier.rendering.requests import Basic, Text
from notifier.rules.channel_texts import ChannelTexts
from notifier.rules.sections import Section, shown

#: Headers that are the connection's to write, or ours.
_NOT_HEADERS = frozenset(
    (
        *("accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie", "expect"),
        *("host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "user-agent"),
    )
)
_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_LOGINS = ("basic", "bearer", "header")


class HeaderReader:
    """Reads ``headers`` and ``auth``; every mistake is noted."""

    def __init__(self, file: Section, texts: ChannelTexts) -> None:
        self._file = file
        self._texts = texts

    def read(self, written: Iterable[tuple[str, Text]]) -> tuple[tuple[tuple[str, Text], ...], Basic | None]:
        """The headers, of which ``written`` are those below ``headers``, and a login by name and password."""
        found = dict[str, Text]()
        for name, text in written:
            line = text.line
            if not _HEADER.fullmatch(name) or name.lower() in _NOT_HEADERS:
                self._texts.report.add(line, f"headers: {shown(name)} cannot be written by a file", "another name")
            elif name.lower() in found:
                self._texts.report.add(line, f"headers: {shown(name)} is there twice")
            elif "{" not in text.source and text.template is None and not _HEADER_VALUE.fullmatch(text.source):
                self._texts.report.add(line, f"headers: the value of {shown(name)} is not visible ASCII on one line")
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
        auth = Section(self._texts.report, node, "auth", _LOGINS)
        kinds = [key for key in _LOGINS if auth.has(key)]
        # Another way to log in is told as an unknown key already.
        if isinstance(node.value, dict) and len(kinds) != 1 and (kinds or not node.value):
            fix = "such as `auth: {bearer: " + self._texts.example("TOKEN") + "}`"
            auth.report.add(node.line, "auth has one of basic, bearer and header", fix)
        basic = self._basic(auth)
        if auth.has("bearer"):
            return ("authorization", self._texts.secret(auth, "bearer", "TOKEN", "Bearer ")), basic
        return self._own_header(auth), basic

    def _basic(self, auth: Section) -> Basic | None:
        entry = auth.get("basic")
        if entry is None:
            return None
        section = Section(self._texts.report, entry, "auth: basic", ("user", "password"))
        user = section.text("user", required="the user's name, or a setting")
        line = section.begins("user")
        named = SETTING.match(user) is not None
        text = self._texts.setting(user, "user", line) if named else self._texts.compile("auth", user, line)
        return Basic(text, self._texts.secret(section, "password", "PASSWORD"))

    def _own_header(self, auth: Section) -> tuple[str, Text] | None:
        entry = auth.get("header")
        if entry is None:
            return None
        section = Section(self._texts.report, entry, "auth: header", ("name", "value"))
        name = section.text("name", required="the header's name, such as X-Api-Key")
        if name and (not _HEADER.fullmatch(name) or name.lower() in _NOT_HEADERS):
            section.wrong("name", f"{section.name}: {shown(name)} is no header for it")
        return name.lower(), self._texts.secret(section, "value", "KEY")
