"""/unsubscribe/{token}: one-click unsubscribe (RFC 8058). GET shows a page and changes nothing; POST does it.

Mail programs POST without cookies or tokens of ours, and scanners GET every link in a mail: so the POST needs nothing
but the signed link, and the GET must not unsubscribe anybody.
"""

from __future__ import annotations

import html
import logging
import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import HTMLResponse, Response

from notifier import logs
from notifier.api.problems import content
from notifier.channels.email.unsubscribe import UnsubscribeLinks, Unsubscription
from notifier.errors import NotFound, StorageUnavailable
from notifier.storage.suppressions import Suppressions

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title}</title>
<style>:root{{color-scheme:light dark}}body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;
padding:0 1rem}}button{{font:inherit;padding:.6rem 1.2rem}}</style></head>
<body><main><h1>{title}</h1><p>{text}</p>{form}</main></body></html>
"""
_UNREADABLE = "Nothing has been changed. Perhaps it was cut; otherwise answer the mail, or write to its sender."
_LATER = "Please try again in a minute."
_FORM = '<form method="post"><button type="submit">Unsubscribe</button></form>'
_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"}

#: Seconds after which trying again is worth it.
_AGAIN_S = 30

_log = logs.get("api")


def _described(text: str, *, with_problem: bool = False) -> dict[str, Any]:
    """A page as an answer, for the OpenAPI description; ``with_problem`` if there are answers to programs as well."""
    page: dict[str, Any] = {"text/html": {"schema": {"type": "string"}}}
    return {"description": text, "content": page | content() if with_problem else page}


_PAGES: dict[int | str, dict[str, Any]] = {
    200: _described("A page for people."),
    404: _described("The link is not one of ours, or was cut.", with_problem=True),
}

Token = Annotated[str, Path(max_length=2048)]
Person = Annotated[str, Query(max_length=2048, description="Whom the mail was for, when they are known by an id.")]


def router(links: UnsubscribeLinks, suppressions: Suppressions, clock: Callable[[], float] = time.time) -> APIRouter:
    """The two routes; open, because the link itself is the proof. Links of others are 404."""
    routes = APIRouter(tags=["unsubscribe"], default_response_class=HTMLResponse)

    @routes.get("/unsubscribe/{token}", summary="Ask before unsubscribing", responses=_PAGES)
    def ask(token: Token, person: Person = "") -> Response:
        """A page with one button; changes nothing. Open: the link is the proof."""
        wish = _read(links, token, person)
        if wish is None:
            return _page("This link does not work", _UNREADABLE, status=404)
        category = html.escape(wish.category)
        return _page("Unsubscribe", f"Stop mails about “{category}” to this address?", form=_FORM)

    # Programs that check links ask so, and must not take one that works for a dead one.
    routes.add_api_route("/unsubscribe/{token}", ask, methods=["HEAD"], include_in_schema=False)

    @routes.post(
        "/unsubscribe/{token}",
        summary="Unsubscribe with one click (RFC 8058)",
        responses=_PAGES | {503: _described("It could not be stored, and nothing has changed.", with_problem=True)},
    )
    def obey(token: Token, person: Person = "") -> Response:
        """What mail programs and the page's button call; doing it twice is the same as once. The body is not read.

        200 means that it is stored. 503: it could not be, and nothing has changed.
        """
        wish = _read(links, token, person)
        if wish is None:
            return _page("This link does not work", _UNREADABLE, status=404)
        category = html.escape(wish.category)
        try:
            suppressions.unsubscribe(wish.recipient_key, wish.category, clock(), wish.person)
        except StorageUnavailable as error:
            # Not the problem document of other routes: a person pressed a button.
            facts = {"recipient": wish.recipient_key, "error": str(error)}
            logs.wide(_log, "unsubscribe.not_stored", level=logging.WARNING, **facts)
            text = f"Mails about “{category}” have not been stopped: we cannot store it right now. {_LATER}"
            return _page("Not yet", text, status=503, form=_FORM)
        logs.wide(_log, "recipient.unsubscribed", recipient=wish.recipient_key, category=wish.category)
        return _page("Done", f"You will get no more mails about “{category}”.")

    return routes


def _read(links: UnsubscribeLinks, token: str, person: str) -> Unsubscription | None:
    try:
        return links.read(token, person)
    except NotFound:
        # Many of these: a secret key was taken away that mails in people's inboxes are signed with.
        logs.wide(_log, "unsubscribe.unreadable")
        return None


def _page(title: str, text: str, *, status: int = 200, form: str = "") -> Response:
    headers = _HEADERS | {"Retry-After": str(_AGAIN_S)} if status == 503 else _HEADERS
    return HTMLResponse(_PAGE.format(title=title, text=text, form=form), status, headers)
