"""`Endpoints`: registered webhook URLs. URL, headers and secrets are encrypted (a URL often carries a token too).

Changes are compare-and-swap on the whole record, because a worker disables an endpoint (410) while an operator rotates
its secret. `directory` holds what planning needs of them.

On a Cluster a tenant's endpoints lie in one slot, and have ids that say which: whoever knows one knows where it is.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from notifier.domain.endpoint import Endpoint, EndpointState, OnResume
from notifier.domain.limit import parse_rate
from notifier.errors import NotFound, StorageUnavailable
from notifier.storage import keys
from notifier.storage.breakers import decode_breaker
from notifier.storage.cipher import Cipher
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.order import Order, member, page
from notifier.storage.spread import Spread
from notifier.storage.store import Store

#: How long an old secret signs beside the new one, so that receivers can follow.
ROTATION_OVERLAP_S = 24 * 3600.0
#: Secrets of one endpoint at once: each is one more signature in the header of every request.
MAX_SECRETS = 10
#: Tries of a compare-and-swap. Each failure means somebody else's succeeded.
SWAPS = 10
#: Endpoints of one page: decrypting 500 takes milliseconds, in which no other thread of the process runs.
PAGE = 500
#: What `EndpointPage.next` looks like, as a regular expression.
CURSOR = r"[A-Za-z0-9_-]{1,64}"


def new_secret() -> str:
    """A Standard Webhooks secret: ``whsec_`` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def new_endpoint_id(tenant: str, spread: Spread) -> str:
    """``ep_`` and 26 base32 characters, of those that belong where the tenant does: on a Cluster a hundredth."""
    while True:
        found = "ep_" + base64.b32encode(secrets.token_bytes(16))[:26].decode("ascii").lower()
        if spread.tag(found) == spread.tag(tenant):
            return found


@dataclass(frozen=True, slots=True)
class EndpointPage:
    """Some endpoints."""

    endpoints: tuple[Endpoint, ...]
    next: str
    """Pass it as ``after`` to get the next page; empty on the last."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """An endpoint with the time each secret stops signing; None for the current one."""

    endpoint: Endpoint
    until: tuple[float | None, ...]

    def at(self, now: float) -> Endpoint:
        """With the secrets that sign now."""
        if len(self.until) == 1:  # as nearly always: a copy of every endpoint is 3 % of what webhooks cost
            return self.endpoint
        live = tuple(s for s, u in zip(self.endpoint.secrets, self.until, strict=True) if u is None or u > now)
        return replace(self.endpoint, secrets=live)


Change = Callable[[_Stored], _Stored]


class Endpoints:
    """The registry of webhook endpoints. Adding one without NOTIFIER_SECRET_KEY raises `ConfigurationError`."""

    def __init__(self, store: Store, cipher: Cipher, clock: Callable[[], float] = time.time) -> None:
        self._run = store.run
        self._spread = store.spread
        self._cipher = cipher
        self._clock = clock

    def add(
        self,
        tenant: str,
        url: str,
        *,
        event_types: Sequence[str] = ("*",),
        headers: Sequence[tuple[str, str]] = (),
        description: str = "",
        secret: str = "",
        rate: str = "",
        on_resume: OnResume = OnResume.DELIVER,
    ) -> Endpoint:
        """Register a URL, with a new secret unless one is given. Raises `ValueError` for a ``rate`` that is none."""
        endpoint = Endpoint(
            id=new_endpoint_id(tenant, self._spread),
            tenant=tenant,
            url=url,
            secrets=(secret or new_secret(),),
            event_types=tuple(event_types),
            headers=tuple(headers),
            description=description,
            rate=parse_rate(rate) if rate else None,
            created=self._clock(),
            on_resume=on_resume,
        )
        self._run(_add(_Stored(endpoint, (None,)), self._cipher, self._spread))
        return endpoint

    def get(self, endpoint_id: str) -> Endpoint:
        """Raises `NotFound`."""
        return self.get_many([endpoint_id]).get(endpoint_id) or _missing(endpoint_id)

    def get_many(self, ids: Sequence[str]) -> dict[str, Endpoint]:
        """Those that exist, in one round trip, with the secrets that sign now."""
        now = self._clock()
        return {stored.endpoint.id: stored.at(now) for stored in self._run(_get_many(ids, self._cipher, self._spread))}

    def page(self, tenant: str | None = None, *, limit: int = PAGE, after: str = "") -> EndpointPage:
        """Some endpoints of one tenant, or of all, by their ids; ``after`` is `next` of the page before."""
        now = self._clock()
        found, following = self._run(_page(tenant, limit, after, self._cipher, self._spread))
        return EndpointPage(tuple(stored.at(now) for stored in found), following)

    def list(self, tenant: str | None = None) -> list[Endpoint]:
        """All endpoints of one tenant, or of all, oldest first; page by page, so that others get a turn."""
        found: list[Endpoint] = []
        page = self.page(tenant)
        found += page.endpoints
        while page.next:
            page = self.page(tenant, after=page.next)
            found += page.endpoints
        return sorted(found, key=lambda endpoint: (endpoint.created, endpoint.id))

    def set_state(self, endpoint_id: str, state: EndpointState, reason: str = "") -> Endpoint:
        """Switch it on or off, because a person wants it so. Raises `NotFound`."""
        return self._change(endpoint_id, lambda s: _with(s, state=state, reason=reason, automatic=False))

    def disable_failing(self, endpoint_id: str, reason: str) -> Endpoint:
        """Switch it off for what it answered, unless it is off: what a person decided stays. Raises `NotFound`."""

        def change(stored: _Stored) -> _Stored:
            if stored.endpoint.state is EndpointState.DISABLED:
                return stored
            return _with(stored, state=EndpointState.DISABLED, reason=reason, automatic=True)

        return self._change(endpoint_id, change)

    def update(
        self,
        endpoint_id: str,
        *,
        url: str | None = None,
        event_types: Sequence[str] | None = None,
        headers: Sequence[tuple[str, str]] | None = None,
        description: str | None = None,
        rate: str | None = None,
        on_resume: OnResume | None = None,
    ) -> Endpoint:
        """Change what is given; an empty ``rate`` takes its limit away. Raises `NotFound`, `ValueError` for a rate."""
        fields: dict[str, Any] = {
            "url": url,
            "event_types": None if event_types is None else tuple(event_types),
            "headers": None if headers is None else tuple(headers),
            "description": description,
            "on_resume": on_resume,
        }
        given = {name: value for name, value in fields.items() if value is not None}
        if rate is not None:
            given["rate"] = parse_rate(rate) if rate else None
        return self._change(endpoint_id, lambda s: _with(s, **given))

    def rotate(self, endpoint_id: str, *, overlap: float = ROTATION_OVERLAP_S, secret: str = "") -> Endpoint:
        """A new secret; the ones before sign beside it for ``overlap`` seconds. Raises `NotFound`."""
        now, fresh = self._clock(), secret or new_secret()
        return self._change(endpoint_id, lambda s: _rotated(s, fresh, now, overlap))

    def remove(self, endpoint_id: str) -> None:
        """Raises `NotFound`."""
        if not self._run(_remove(endpoint_id, self._cipher, self._spread)):
            _missing(endpoint_id)

    def _change(self, endpoint_id: str, change: Change) -> Endpoint:
        changed = self._run(_swap(endpoint_id, change, self._cipher, self._spread))
        return changed.at(self._clock()) if changed else _missing(endpoint_id)


def _missing(endpoint_id: str) -> Endpoint:
    raise NotFound(f"no endpoint {endpoint_id!r}")


def _with(stored: _Stored, **fields: Any) -> _Stored:
    return replace(stored, endpoint=replace(stored.endpoint, **fields))


def _rotated(stored: _Stored, fresh: str, now: float, overlap: float) -> _Stored:
    if fresh in stored.endpoint.secrets:
        return stored  # our own swap whose reply was lost
    older = zip(stored.endpoint.secrets, stored.until, strict=True)
    ends = [(secret, now + overlap if until is None else until) for secret, until in older]
    kept = [(secret, until) for secret, until in ends if until > now][: MAX_SECRETS - 1]
    endpoint = replace(stored.endpoint, secrets=(fresh, *(secret for secret, _ in kept)), rotated=now)
    return _Stored(endpoint, (None, *(until for _, until in kept)))


def _add(stored: _Stored, cipher: Cipher, spread: Spread) -> Operation[None]:
    yield [_swap_call("", _encode(stored, cipher), stored.endpoint, spread)]
    yield from _tell(spread)


def _tell(spread: Spread) -> Operation[None]:
    """Behind a change, so that whoever sees this version finds it; on one server the script has done so."""
    if not spread.is_whole:
        yield [command("INCR", keys.endpoints_version())]


def _get_many(ids: Sequence[str], cipher: Cipher, spread: Spread) -> Operation[list[_Stored]]:
    parts = spread.parts(ids)
    if not parts:
        return []
    # One round trip: whether an endpoint may be sent to now costs none of its own.
    replies = yield [
        command("HMGET", place(tag), *some) for tag, some in parts for place in (keys.endpoints, keys.endpoint_breakers)
    ]
    found = [
        _troubled(text, breaker, cipher) if breaker else _read(text, cipher)
        for texts, breakers in zip(replies[::2], replies[1::2], strict=True)
        for text, breaker in zip(texts, breakers, strict=True)
        if text
    ]
    if len(parts) == 1:
        return found
    places = {i: place for place, i in enumerate(ids)}
    return sorted(found, key=lambda stored: places[stored.endpoint.id])


def _page(
    tenant: str | None, limit: int, after: str, cipher: Cipher, spread: Spread
) -> Operation[tuple[list[_Stored], str]]:
    order = Order(keys.endpoints, keys.endpoints_order, _members_of, each=2)
    part = spread if tenant is None else spread.at(tenant)
    records, following = yield from page(order, _group(tenant), after, limit, part)
    # With their breakers, which may be of a later moment; who went meanwhile is left out.
    found = yield from _get_many(list(records), cipher, part)
    return found, following


def _group(tenant: str | None) -> str:
    """Where the order has all endpoints, or those of a tenant."""
    return "*" if tenant is None else f"={tenant}"


def _members(endpoint_id: str, tenant: str) -> list[str]:
    return [member(_group(one), endpoint_id) for one in (None, tenant)]


def _members_of(endpoint_id: str, record: str) -> list[str]:
    return _members(endpoint_id, json.loads(record)["tenant"])


def _swap(endpoint_id: str, change: Change, cipher: Cipher, spread: Spread) -> Operation[_Stored | None]:
    (text,) = yield [command("HGET", keys.endpoints(spread.tag(endpoint_id)), endpoint_id)]
    for _ in range(SWAPS):
        if text is None or text == "-":
            return None
        changed = change(_read(text, cipher))
        (text,) = yield [_swap_call(text, _encode(changed, cipher), changed.endpoint, spread)]
        if text == "":
            yield from _tell(spread)
            return changed
    raise StorageUnavailable(f"endpoint {endpoint_id} is being changed by too many at once")


def _remove(endpoint_id: str, cipher: Cipher, spread: Spread) -> Operation[bool]:
    (text,) = yield [command("HGET", keys.endpoints(spread.tag(endpoint_id)), endpoint_id)]
    for _ in range(SWAPS):
        if text is None or text == "-":
            return False
        (text, _) = yield [
            _swap_call(text, "", _read(text, cipher).endpoint, spread),
            command("HDEL", keys.endpoint_breakers(spread.tag(endpoint_id)), endpoint_id),
        ]
        if text == "":
            yield from _tell(spread)
            return True
    raise StorageUnavailable(f"endpoint {endpoint_id} is being changed by too many at once")


def _swap_call(expected: str, record: str, endpoint: Endpoint, spread: Spread) -> Call:
    known = json.dumps([endpoint.state, *endpoint.event_types], separators=(",", ":"))
    tenant, tag = endpoint.tenant, spread.tag(endpoint.id)
    place = [
        *(keys.endpoints(tag), keys.endpoints_of(tenant, tag), keys.endpoints_version(tag)),
        *(keys.endpoints_versions(tag), keys.endpoints_order(tag)),
    ]
    members = _members(endpoint.id, tenant)
    return run_script("swap_endpoint", place, endpoint.id, expected, record, known, tenant, *members)


def _encode(stored: _Stored, cipher: Cipher) -> str:
    endpoint = stored.endpoint
    hidden = {"url": endpoint.url, "secrets": endpoint.secrets, "until": stored.until, "headers": endpoint.headers}
    plain = {
        "id": endpoint.id,
        "tenant": endpoint.tenant,
        "event_types": endpoint.event_types,
        "state": endpoint.state,
        "reason": endpoint.reason,
        "description": endpoint.description,
        "rate": endpoint.rate.written if endpoint.rate else "",
        "created": endpoint.created,
        "rotated": endpoint.rotated,
        "on_resume": endpoint.on_resume,
        **({"automatic": True} if endpoint.automatic else {}),
    }
    return json.dumps({**plain, "hidden": cipher.encrypt(hidden)}, separators=(",", ":"))


_PLAIN = {field.name for field in fields(Endpoint)} - {"rate", "url", "secrets", "headers", "breaker"}


@lru_cache(maxsize=1024)
def _read(text: str, cipher: Cipher) -> _Stored:
    """Remembered by what is stored, so a change is seen at once; decrypting alone is 12 µs for each batch."""
    plain = json.loads(text)
    rate = plain.get("rate", "")
    hidden = cipher.decrypt(plain["hidden"])
    # A newer release may keep more than this one knows: during an upgrade both read the same record.
    known = {name: value for name, value in plain.items() if name in _PLAIN}
    endpoint = Endpoint(
        **{**known, "event_types": tuple(plain["event_types"]), "state": EndpointState(plain["state"])}
        | {"on_resume": OnResume(plain.get("on_resume", OnResume.DELIVER))},
        rate=parse_rate(rate) if rate else None,
        url=hidden["url"],
        secrets=tuple(hidden["secrets"]),
        headers=tuple((name, value) for name, value in hidden["headers"]),
    )
    return _Stored(endpoint, tuple(hidden["until"]))


@lru_cache(maxsize=1024)
def _troubled(text: str, breaker: str, cipher: Cipher) -> _Stored:
    """One that fails, remembered too: every batch of a fan-out meets it, and its breaker changes once in seconds."""
    stored = _read(text, cipher)
    return replace(stored, endpoint=replace(stored.endpoint, breaker=decode_breaker(breaker)))
