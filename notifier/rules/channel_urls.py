"""Where requests of a channel file go: a URL with holes, a setting that is all of it, or the address of a recipient."""

from __future__ import annotations

import re
from collections.abc import Callable

from notifier.domain.provider import SETTING
from notifier.errors import InvalidDestination
from notifier.rendering.requests import Text
from notifier.rules.channel_texts import ChannelTexts
from notifier.rules.sections import Section, shown

#: Hosts of a file; more are data in the wrong place.
MAX_HOSTS = 50
_QUERY_SECRET = re.compile(r"(?i)[?&]([\w.-]*(?:password|passwd|secret|token|api[_-]?key|apikey))=([^&{]+)(?=&|$)")
#: URLs whose path is a password, written out: Slack's, Discord's, Teams' and Telegram's.
_HOOK = re.compile(
    r"(?i)https?://(hooks\.slack\.com/[a-z]+/[^{?]|([a-z]+\.)?discord(app)?\.com/api/(v[0-9]+/)?webhooks/[^{?]"
    r"|[^/{]+\.webhook\.office\.com/[a-z0-9]+/[^{?]|outlook\.office\.com/webhook/[^{?]|[^?{]+\?([^{]*&)?sig=[^{&]"
    r"|api\.telegram\.org/bot[0-9]+:[^{?])"
)
_BEGINNING = re.compile(r"https?://[^/?#{}\s]+(?=[/?]|$)")
#: What ends host and port; not by a parser, which refuses what `check_url` has words for.
_AUTHORITY = re.compile(r"(?<!:)(?<!/)[/?#]")
_ADDRESS_ALONE = re.compile(r"\{\{\s*address\s*\}\}")
_HOLE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:[0-9]{1,5})?")

CheckUrl = Callable[[str], object]
"""Raises `InvalidDestination` for a URL that requests may not go to."""


class UrlReader:
    """Reads ``url`` and ``hosts``; every mistake is noted."""

    def __init__(self, file: Section, texts: ChannelTexts, check_url: CheckUrl | None) -> None:
        self._file = file
        self._texts = texts
        self._check_url = check_url
        self.is_address = False
        """The whole URL is the recipient's address."""

    def read(self) -> Text:
        """The URL."""
        line = self._file.line_of("url")
        written = self._file.text("url", required="such as `url: https://api.example.com/messages`")
        if SETTING.match(written):
            return self._texts.setting(written, "url", line)
        self.is_address = _ADDRESS_ALONE.fullmatch(written) is not None
        if written and not self.is_address:
            self._check_written(written)
        return self._texts.compile("url", written, self._file.begins("url"), in_url=not self.is_address)

    def _check_written(self, written: str) -> None:
        if not _BEGINNING.match(written):
            fix = "https:// and a host, and what differs behind it; or `{{ address }}` alone, or the name of a setting"
            # Not quoted: a whole address of a chat service is its password.
            self._file.wrong("url", "the file: url names no host to go to", fix)
            return
        if "@" in _AUTHORITY.split(written, 1)[0]:
            self._file.wrong("url", "the file: the URL has a user name or password", "write `auth: {basic: …}`")
            return
        if secret := _QUERY_SECRET.search(written):
            self._file.wrong("url", f"the file: {secret[1]} of the URL holds a secret", self._texts.instead(secret[1]))
        elif _HOOK.match(written):
            what = "the file: whoever knows this URL can post there: it is a secret, and the file must hold none"
            self._file.wrong("url", what, self._texts.instead("URL"))
        if self._check_url is not None:
            try:
                self._check_url(_HOLE.sub("x", written))
            except InvalidDestination as error:
                what, _, fix = str(error).rpartition("; ")
                self._file.wrong("url", f"the file: url: {what or fix}", fix if what else "")

    def hosts(self) -> tuple[str, ...]:
        """Where addresses may lead, when they are the URL."""
        if not self.is_address:
            self._file.refuse("hosts", "has no meaning where the file says the host itself", "remove hosts")
            return ()
        nodes = self._file.entries("hosts")
        if not self._file.has("hosts"):
            fix = 'a list of those that addresses may have: `hosts: [hooks.slack.com, "*.webhook.office.com"]'
            self._file.wrong("url", "the file: the URL is the address, and hosts is missing", fix)
        for node in nodes:
            if not _HOST.fullmatch(node.text.lower()):
                self._texts.report.add(node.line, f"hosts: {shown(node.text)} is no host", "a name, or *. and a domain")
        if len(nodes) > MAX_HOSTS:
            self._file.wrong("hosts", f"the file: {len(nodes)} hosts", f"at most {MAX_HOSTS}")
        return tuple(node.text.lower() for node in nodes)
