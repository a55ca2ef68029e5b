"""Who may do what: bearer tokens with roles, closed by default."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request

from notifier.api.problems import HttpProblem
from notifier.settings import split_list


class Role(StrEnum):
    """What a token may be used for."""

    PUBLISH = "publish"
    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"


_INCLUDED: dict[Role, frozenset[Role]] = {
    Role.PUBLISH: frozenset({Role.PUBLISH}),
    Role.READ: frozenset({Role.READ}),
    Role.OPERATE: frozenset({Role.OPERATE, Role.READ}),
    Role.ADMIN: frozenset(Role),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a token belongs to, as the audit log names them: its role and its place among that role's tokens."""

    name: str
    roles: frozenset[Role]


def needs_a_token(path: str) -> bool:
    """Whether nobody is answered here without one; health checks and unsubscribe links are for everybody."""
    return path.startswith("/v1/")


class Tokens:
    """The tokens of ``NOTIFIER_API_TOKENS``; only their hashes are kept."""

    def __init__(self, entries: Iterable[tuple[Role, str]]) -> None:
        counts: dict[Role, int] = {}
        self._known: list[tuple[bytes, Caller]] = []
        for role, token in entries:
            counts[role] = counts.get(role, 0) + 1
            self._known.append((_hash(token), Caller(f"{role}-{counts[role]}", _INCLUDED[role])))

    @classmethod
    def parse(cls, text: str) -> Tokens:
        """``publish:TOKEN admin:TOKEN2``, as `settings` has checked it."""
        pairs = (entry.partition(":") for entry in split_list(text))
        return cls((Role(role), token) for role, _, token in pairs)

    def caller(self, token: str) -> Caller | None:
        """Who holds this token. Every known hash is compared in full, so the time tells nothing about any of them."""
        given = _hash(token)
        found: Caller | None = None
        for known, caller in self._known:
            if hmac.compare_digest(known, given):
                found = caller
        return found


def needs(tokens: Tokens, role: Role, *others: Role) -> Callable[[Request], None]:
    """A FastAPI dependency: lets callers with one of these roles pass, and remembers them in the request's state."""

    # FastAPI calls this one with the request; async, because a sync one would cost a thread of the pool.
    async def check(request: Request) -> None:
        caller = identify(tokens, request.headers.get("authorization", ""))
        if caller.roles.isdisjoint((role, *others)):
            raise _forbidden(role, caller)
        request.state.caller = caller

    return check  # type: ignore[return-value]


def identify(tokens: Tokens, authorization: str) -> Caller:
    """Who sent this ``Authorization`` header. Raises a 401 problem for nobody we know."""
    scheme, _, token = authorization.partition(" ")
    caller = tokens.caller(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
    if caller is None:
        raise _unknown(given=bool(token))
    return caller


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _unknown(*, given: bool) -> HttpProblem:
    return HttpProblem(
        401,
        "unauthenticated",
        "Who are you?",
        "the token is not known here" if given else "there is no bearer token",
        where="header Authorization",
        do="send 'Authorization: Bearer TOKEN' with a token from NOTIFIER_API_TOKENS",
        headers={"WWW-Authenticate": 'Bearer realm="notifier"' + (', error="invalid_token"' if given else "")},
    )


def _forbidden(role: Role, caller: Caller) -> HttpProblem:
    has = ", ".join(sorted(caller.roles))
    return HttpProblem(
        403,
        "forbidden",
        "This token may not do that",
        f"it needs the role {role.value!r}; the token has: {has}",
        where="header Authorization",
        do=f"use a token of the role {role.value!r} or 'admin'",
        headers={"WWW-Authenticate": f'Bearer realm="notifier", error="insufficient_scope", scope="{role.value}"'},
    )
