"""What the API answers and takes, field by field: its public contract, kept apart from our own values on purpose.

Times are unix seconds, as everywhere in the service; addresses appear masked unless the path is the recipient's own.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from notifier.channels.webhook.signing import read_secret
from notifier.domain.contacts import MAX_ADDRESS, MAX_KINDS
from notifier.domain.delivery import Kept, Status
from notifier.domain.endpoint import OnResume as _OnResume
from notifier.domain.event_status import EventStatus
from notifier.domain.limit import RATE_PATTERN, parse_rate
from notifier.domain.outcome import Cause as _Cause
from notifier.domain.rule import WORK_KINDS
from notifier.errors import InvalidDestination
from notifier.storage.endpoints import CURSOR as ENDPOINT_CURSOR
from notifier.storage.endpoints import PAGE
from notifier.storage.parked import CURSOR

_Line = StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$", strip_whitespace=True)
Text = Annotated[str, _Line, Field(max_length=256)]
# Words of ours are texts in JSON.
OnResume = Annotated[_OnResume, Field(strict=False)]
Cause = Annotated[_Cause, Field(strict=False)]
#: Seconds; no entry is a hundred years old, and the clock minus infinity is no time.
Age = Annotated[float | None, Field(ge=0, le=100 * 365 * 86400, allow_inf_nan=False)]
Url = Annotated[
    str, _Line, Field(min_length=8, max_length=2048, json_schema_extra={"pattern": r"^\s*[Hh][Tt][Tt][Pp][Ss]?://"})
]

#: Of a recipient.
ID_PATTERN = r"^[^\x00-\x20\x7f-\x9f]+$"

_ON_RESUME = "What becomes of held deliveries when it recovers: all, the newest of each type and subject, or none."


class _Body(BaseModel):
    model_config = ConfigDict(from_attributes=True, extra="forbid", hide_input_in_errors=True)


class _Wanted(_Body):
    """What a request's JSON says: true is not 1, and no number is a text."""

    model_config = ConfigDict(strict=True)


class AttemptBody(_Body):
    """One try at a delivery."""

    number: int = Field(description="1 for the first.")
    started: float
    duration: float = Field(description="Seconds.")
    outcome: str = Field(description="sent, deferred (tried again) or refused (never).", examples=["deferred"])
    code: str = Field(description="Stable word for grouping.", examples=["smtp_450_4.2.1"])
    reply: str = Field(description="What the other side said, shortened.", examples=["450 4.2.1 try later"])
    worker: str


class DeliveryBody(_Body):
    """One thing to send to one destination, and what became of it."""

    id: str = Field(examples=["dlv_7qk2…"])
    event: str = Field(description="Key of its event.", examples=["evt_3kxq…"])
    rule: str = Field(description="Which rule asked for it.", examples=["order.shipped/customer-email"])
    channel: str = Field(
        description="What delivers it; `digest` of what was collected into one.",
        json_schema_extra={"enum": [kind.value for kind in WORK_KINDS]},
    )
    destination: str = Field(description="Masked address, or the endpoint's id.", examples=["c…@example.org"])
    status: Status
    reason: str = Field(description="Why it is held, skipped, suppressed, refused or exhausted.")
    tries: int
    queued: float
    updated: float
    next_try: float | None = Field(description="When it is tried again.")
    template: str = Field(description="Content hash of the template that rendered the last try.")
    attempts: list[AttemptBody] = Field(description="Every try, oldest first.")
    kept_in: Kept = Field(Kept.LEDGER, description="`ledger` (Redis), or `history` (PostgreSQL) when that was asked.")


class EventBody(_Body):
    """One event and its deliveries."""

    key: str = Field(examples=["evt_3kxq…"])
    id: str
    source: str
    type: str
    tenant: str
    received: float
    status: EventStatus = Field(description="`parked` in `failed-intake`; `waiting` for room in a work queue.")
    reason: str = Field(description="Why it is parked or waits.")
    parked: str = Field(description="Its id in `failed-intake`, for operators.")
    planned: bool = Field(description="Whether every delivery of it was handed to the workers.")
    deliveries: list[DeliveryBody] | None = Field(description="Null for a token that may publish and not read.")
    next_page: int | None = Field(description="`?page=` that follows; null on the last.")
    note: str = Field("", description="For its publisher: what was mended of it, and what else came under its id.")
    kept_in: Kept = Field(Kept.LEDGER, description="Where the event was found.")
    missing: str = Field("", description="Why deliveries may be missing here: the history cannot be asked.")


Headers = Annotated[dict[str, str], Field(max_length=20, description="Extra request headers: x-… or Authorization.")]


_RATE = "How fast it wants to be sent to, such as `10/s` or `100/m burst 5`."


def _written_rate(text: str) -> str:
    return parse_rate(text).written if text else ""


WrittenRate = Annotated[
    Text, AfterValidator(_written_rate), Field(json_schema_extra={"pattern": rf"^\s*(?:{RATE_PATTERN})?\s*$"})
]


def _readable_secret(secret: str) -> str:
    if secret:
        try:
            read_secret(secret)
        except InvalidDestination as error:
            raise ValueError(str(error)) from error
    return secret


GivenSecret = Annotated[
    Text,
    AfterValidator(_readable_secret),
    Field(
        description="A `whsec_…` secret that its receiver has already; left out, a new one is made.",
        json_schema_extra={"pattern": r"^\s*(?:whsec_[A-Za-z0-9+/]{32,88}={0,2})?\s*$"},
    ),
]


class NewEndpoint(_Wanted):
    """A webhook endpoint to register."""

    url: Url = Field(description="https:// address that is not internal.", examples=["https://example.org/hooks"])
    tenant: Text = Field("default", min_length=1, description="Whose events it gets.")
    event_types: list[Text] = Field(["*"], min_length=1, max_length=100, description="Types or patterns with `*`.")
    headers: Headers = {}
    description: Text = ""
    rate: WrittenRate = Field("", description=_RATE, examples=["10/s"])
    on_resume: OnResume = Field(_OnResume.DELIVER, description=_ON_RESUME)
    secret: GivenSecret = ""


class EndpointChange(_Wanted):
    """What to change; what is left out stays."""

    url: Url | None = None
    event_types: list[Text] | None = Field(None, min_length=1, max_length=100)
    headers: Headers | None = None
    description: Text | None = None
    rate: WrittenRate | None = Field(None, description=f"{_RATE} Empty takes the limit away.")
    on_resume: OnResume | None = Field(None, description=_ON_RESUME)


class EndpointBody(_Body):
    """A registered webhook endpoint, without its secret."""

    id: str = Field(examples=["ep_5t2v…"])
    tenant: str
    url: str
    event_types: list[str]
    header_names: list[str] = Field(description="Extra request headers; their values are kept secret.")
    state: str = Field(description="enabled, paused (its deliveries are held) or disabled.")
    automatic: bool = Field(description="Disabled by what it answered, not by a person: its deliveries are held.")
    reason: str = Field(description="Why it is paused or disabled.")
    health: str = Field(description="What is remembered of its failures, in words; empty when it is well.")
    held: int = Field(description="Deliveries put aside until it is sent to again.")
    on_resume: OnResume = Field(description=_ON_RESUME)
    description: str
    rate: str = Field(description=f"{_RATE} Empty: no limit of its own.")
    created: float
    rotated: float = Field(description="Last rotation of its secret; 0 is never.")


class EndpointPageBody(_Body):
    """Some endpoints, in the order of their ids."""

    endpoints: list[EndpointBody]
    next: str = Field(description="`?after=` of the next page; empty on the last.")


class BrowsingEndpoints(_Body):
    """A page of endpoints."""

    tenant: Text | None = Field(None, description="Only this tenant's.")
    limit: int = Field(50, ge=1, le=PAGE)
    after: str = Field("", pattern=f"^({ENDPOINT_CURSOR})?$", description="`next` of the page before.")


class EndpointWithSecret(EndpointBody):
    """An endpoint with its new signing secret, which is shown this once."""

    secret: str = Field(description="Keep it: it is not shown again.", examples=["whsec_…"])


class Disabling(_Wanted):
    """Why an endpoint is switched off."""

    reason: Text = Field("disabled by an operator", examples=["customer asked to pause"])


class Rotating(_Wanted):
    """Which secret an endpoint gets."""

    secret: GivenSecret = ""


class Pausing(_Wanted):
    """Why an endpoint is paused."""

    reason: Text = Field("paused by an operator", examples=["customer migrates until Monday"])


class Resuming(_Wanted):
    """How an endpoint is resumed."""

    held: OnResume | None = Field(None, description="What becomes of held deliveries; as it is set to, if left out.")


class ResumedBody(EndpointBody):
    """An endpoint that is sent to again."""

    delivered: int = Field(description="Held deliveries that were queued.")
    dropped: int = Field(description="Held deliveries that were not wanted; they end as `skipped`.")


class RecipientChange(_Wanted):
    """A person, as events may name them by id."""

    email: Annotated[str, _Line, Field(max_length=320)] = Field("", examples=["kim@example.org"])
    name: Text = ""
    locale: Annotated[Text, Field(max_length=35)] = Field("", examples=["de-AT"])
    timezone: Annotated[Text, Field(max_length=64)] = Field("", examples=["Europe/Vienna"])
    phone: Annotated[str, _Line, Field(max_length=40)] = Field(
        "", description="With + and the country code (E.164).", examples=["+491701234567"]
    )
    addresses: dict[str, Annotated[str, _Line, Field(max_length=MAX_ADDRESS)]] = Field(
        default_factory=dict,
        max_length=MAX_KINDS,
        description="What providers know the person by, each under the name that the channel's file has after `to:`.",
        examples=[{"push": "ExponentPushToken[xxxxxxxxxxxxxxxxxxxxxx]"}],
    )


class RecipientBody(RecipientChange):
    """A stored person."""

    id: str


class StoredBody(_Body):
    """How many people were stored."""

    added: int
    changed: int
    same: int = Field(description="They were stored like this before.")


class MistakeBody(_Body):
    """Why a line was left out."""

    line: int = Field(description="1 for the first.")
    where: str = Field(description="The field; empty where it is the whole line.")
    why: str


class ImportedBody(_Body):
    """What became of the lines of an import."""

    lines: int = Field(description="Lines that were read.")
    people: int = Field(description="Of these, people that could be stored.")
    stored: StoredBody
    mistakes: int = Field(description="Lines that were left out.")
    told: list[MistakeBody] = Field(description="The first hundred of these.")


class PayloadBody(_Body):
    """What was published: the message as it came, or the events of a delivery."""

    content_type: str
    headers: dict[str, str]
    text: str | None = Field(description="The body; null when it is no UTF-8.")
    base64: str | None = Field(description="The body, when it is no UTF-8.")


class ParkedBody(_Body):
    """One entry of a failure queue."""

    id: str = Field(description="Delivery id, or event key in failed-intake.")
    queue: str = Field(examples=["failed-email"])
    cause: Cause
    reason: str
    parked_at: float
    event: str
    event_type: str
    tenant: str
    rule: str
    destination: str
    code: str
    attempts: int
    template: str
    event_id: str = Field(description="The CloudEvent's own id, as far as it could be read.")
    event_source: str
    event_time: str = Field(description="As it was published.")
    payload: PayloadBody | None = Field(None, description="With `?payload=true` only.")


class ShownBody(ParkedBody):
    """One entry, and how far its payload was looked for."""

    remaining: int = Field(
        0, description="Messages that were not looked at for the payload in 20 seconds; the same request goes on."
    )


class UnmatchedBody(_Body):
    """Events no rule wanted."""

    type: str
    count: int


class ParkedPageBody(_Body):
    """Parked entries, newest first."""

    entries: list[ParkedBody]
    next: str = Field(description="`?after=` of the next page; empty on the last.")
    counts: dict[str, dict[str, int]] = Field(description="Queue → cause → how many lie there in all.")


#: Seconds that a request may take to replay, to discard, to resume or to look for a payload: proxies wait for a minute,
#: and a stop for no longer.
ACTING_S = 20.0
#: Entries a second: no entry of a request may have to wait for longer than the request may take.
_SLOWEST = 1 / ACTING_S


def _bearable(rate: float) -> float:
    if 0 < rate < _SLOWEST:
        raise ValueError(
            f"at least {_SLOWEST:g} entries a second, or 0 for no limit; `notifier failures replay` may be slower"
        )
    return rate


class Filter(_Body):
    """Which parked entries; all that is given must match."""

    queue: Text = Field("", examples=["failed-email"])
    cause: Cause | None = None
    rule: Text = ""
    tenant: Text = ""
    event_type: Text = ""
    older_than: Age = Field(None, description="Parked at least this many seconds ago.")
    newer_than: Age = Field(None, description="Parked at most this many seconds ago.")


class Browsing(Filter):
    """A page of parked entries."""

    limit: int = Field(50, ge=1, le=500)
    after: str = Field("", pattern=f"^({CURSOR})?$", description="`next` of the page before.")


class Chosen(Filter, _Wanted):
    """Which parked entries to act on. At least one condition must be given."""

    ids: list[Text] = Field([], max_length=10_000)
    dry_run: bool = Field(False, description="Only count.")


class Replaying(Chosen):
    """A replay, which may be slowed down so that it cannot flood what has just recovered."""

    rate: Annotated[float, AfterValidator(_bearable)] = Field(
        0,
        ge=0,
        le=100_000,
        description="Entries a second, at least one in 20 seconds; 0 is no limit.",
        json_schema_extra={"anyOf": [{"maximum": 0}, {"minimum": _SLOWEST}]},
    )


class SummaryBody(_Body):
    """What was done, or would be."""

    chosen: int = Field(description="Entries that matched.")
    done: int = 0
    already_sent: int = Field(0, description="Sent meanwhile: dropped from the queue, not sent again.")
    missing: int = Field(0, description="Taken by somebody else meanwhile.")
    remaining: int | None = Field(default=None, description="Not reached in 20 seconds; left out when there are none.")
    again_after: float | None = Field(
        default=None, description="Seconds after which to send the same request for these."
    )
