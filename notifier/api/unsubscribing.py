"""/unsubscribe/{token}: one-click unsubscribe (RFC 8058). GET shows a page and changes nothing; POST does it.

Mail programs POST without cookies or tokens of ours, and scanners GET every link in a mail: so the POST needs nothing
but the signed link, and the GET must not unsubscribe anybody.
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import HTMLResponse, Response

from notifier import logs
from notifier.channels.email.unsubscribe import UnsubscribeLinks
from notifier.errors import StorageUnavailable
from notifier.storage.suppressions import Suppressions

_KIND = "unsubscribed"
#: Tries to add a category beside others that change the same entry; each failure means somebody else's succeeded.
_TRIES = 5
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title}</title>
<style>:root{{color-scheme:light dark}}body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;
padding:0 1rem}}button{{font:inherit;padding:.6rem 1.2rem}}</style></head>
<body><main><h1>{title}</h1><p>{text}</p>{form}</main></body></html>
"""
_FORM = '<form method="post"><button type="submit">Unsubscribe</button></form>'
_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"}

_log = logs.get("api")


Token = Annotated[str, Path(max_length=2048)]


def router(links: UnsubscribeLinks, suppressions: Suppressions, clock: Callable[[], float] = time.time) -> APIRouter:
    """The two routes; open, because the link itself is the proof. Links of others raise `NotFound`."""
    routes = APIRouter(tags=["unsubscribe"], default_response_class=HTMLResponse)

    @routes.get("/unsubscribe/{token}", summary="Ask before unsubscribing")
    def ask(token: Token) -> Response:
        """A page with one button; changes nothing. Open: the link is the proof."""
        category = html.escape(links.read(token).category)
        return _page("Unsubscribe", f"Stop mails about “{category}” to this address?", _FORM)

    @routes.post("/unsubscribe/{token}", summary="Unsubscribe with one click (RFC 8058)")
    def obey(token: Token) -> Response:
        """What mail programs and the page's button call; doing it twice is the same as once. The body is not read."""
        wish = links.read(token)
        suppress(suppressions, wish.recipient_key, wish.category, clock())
        logs.wide(_log, "recipient.unsubscribed", recipient=wish.recipient_key, category=wish.category)
        return _page("Done", f"You will get no more mails about “{html.escape(wish.category)}”.")

    return routes


def suppress(suppressions: Suppressions, recipient_key: str, category: str, now: float) -> None:
    """Add a category to what a recipient switched off. A bounce stays one: it stops everything anyway."""
    for _ in range(_TRIES):
        if suppressions.add(recipient_key, f"{_KIND}:{category}", now):
            return
        found = suppressions.get(recipient_key)
        if found is None:
            continue
        kind, _separator, known = found.reason.partition(":")
        categories = known.split(",")
        if kind != _KIND or category in categories:
            return
        suppressions.remove(recipient_key)
        suppressions.add(recipient_key, f"{_KIND}:{','.join([*categories, category])}", now)
    raise StorageUnavailable("the suppression list is being changed by too many at once")


def _page(title: str, text: str, form: str = "") -> Response:
    return HTMLResponse(_PAGE.format(title=title, text=text, form=form), headers=_HEADERS)
