"""What would stop or delay the deliveries that ``notifier explain`` shows, as far as Redis can be asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from notifier.domain.contacts import contact_identity
from notifier.domain.delivery import Contact, Delivery, Destination, EndpointRef, Mailbox, RecipientRef
from notifier.domain.endpoint import Endpoint
from notifier.domain.event import Event
from notifier.domain.ids import person_key, recipient_key, suppression_keys
from notifier.domain.limit import Rates, Scope, ScopeKind
from notifier.domain.outcome import Cause
from notifier.domain.provider import Provider
from notifier.domain.rule import Rule, Throttle
from notifier.errors import ConfigurationError, NotFound, Unavailable
from notifier.limits.places import Place, of_mail, of_provider, of_webhook
from notifier.limits.table import LimitTable
from notifier.rules.durations import written
from notifier.rules.explanation import Prospect
from notifier.storage.endpoints import Endpoints
from notifier.storage.held import HeldIndex
from notifier.storage.limits import Adapted, Limits, Usage
from notifier.storage.parked import ParkedIndex
from notifier.storage.recipients import Recipients
from notifier.storage.suppressions import Suppressions
from notifier.storage.throttles import Question, Throttles

#: Where copies of what is skipped for disabled endpoints lie, and why.
_KEPT = ("failed-webhook", Cause.ENDPOINT_DISABLED)


class Offline:
    """Asks nobody: what settings and rules say is told, and nothing of what was done with it."""

    unknown = ""

    def __init__(self, configured: Rates, relay: str) -> None:
        self._table = LimitTable(configured)
        self._relay = relay

    def __call__(self, delivery: Delivery, rule: Rule, event: Event) -> Prospect:
        """The limits it falls under; the rest nobody knows."""
        if isinstance(delivery.to, Mailbox):
            places = of_mail(
                delivery.to.address,
                self._relay,
                event.tenant,
                rule,
                by_recipient=ScopeKind.RECIPIENT in self._table.kinds,
            )
            return Prospect(limits=tuple(_limits(self._table, places)))
        return Prospect()


class Foresight:
    """Looks up one delivery after the other; the first failure is the last question."""

    def __init__(
        self,
        *,
        suppressions: Suppressions,
        recipients: Recipients,
        endpoints: Endpoints,
        throttles: Throttles,
        limits: Limits,
        configured: Rates,
        relay: Callable[[], str],
        held: HeldIndex,
        parked: ParkedIndex,
        kept_most: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``relay`` names the mail relay that is used now; asked once it is needed.

        ``kept_most`` deliveries are held for an endpoint, and parked for all that people disabled.
        """
        self._suppressions = suppressions
        self._recipients = recipients
        self._endpoints = endpoints
        self._throttles = throttles
        self._limits = limits
        self._configured = configured
        self._relay = relay
        self._held = held
        self._parked = parked
        self._kept_most = kept_most
        self._clock = clock
        self._tables: LimitTable | None = None
        self.unknown = ""
        """Why nobody could be asked."""

    def __call__(self, delivery: Delivery, rule: Rule, event: Event) -> Prospect:
        """As the worker's gates decide, in their order; nothing is counted or reserved."""
        if self.unknown:
            return Prospect()
        try:
            if isinstance(delivery.to, EndpointRef):
                return self._of_webhook(self._endpoints.get(delivery.to.endpoint), delivery, rule, event)
            if rule.provider is not None:
                return self._of_provider(delivery, rule, rule.provider, event)
            assert isinstance(delivery.to, Mailbox | RecipientRef)  # noqa: S101 - a mail's
            return self._of_mail(delivery.to, delivery, rule, event)
        except NotFound as error:
            return Prospect(held=str(error))
        except (Unavailable, ConfigurationError) as error:
            self.unknown = str(error)
            return Prospect()

    def _of_webhook(self, endpoint: Endpoint, delivery: Delivery, rule: Rule, event: Event) -> Prospect:
        held, skipped = endpoint.held_because, endpoint.skipped_because
        if held and self._held.counts([endpoint.id]).get(endpoint.id, 0) >= self._kept_most:
            held, skipped = "", Endpoint.beyond_because(self._kept_most)
        elif skipped and self._parked.counts().get(_KEPT, 0) >= self._kept_most:
            skipped = (
                f"{skipped}; no copy is kept, because {self._kept_most:,} are parked so (NOTIFIER_ENDPOINT_HELD_MAX)"
            )
        return Prospect(
            suppressed="",
            held=held,
            skipped=skipped,
            throttled=self._throttled(delivery, rule),
            limits=self._in_force(of_webhook(endpoint, event.tenant, rule)),
        )

    def _of_mail(self, to: Mailbox | RecipientRef, delivery: Delivery, rule: Rule, event: Event) -> Prospect:
        address, names = self._names(to)
        known = self._suppressions.get_many(names)
        reasons = (one.reason(rule.category, transactional=rule.transactional) for one in known.values())
        places = of_mail(address, self._relay(), event.tenant, rule, by_recipient=True) if address else ()
        return Prospect(
            suppressed="; ".join(dict.fromkeys(filter(None, reasons))),
            held="",
            throttled=self._throttled(delivery, rule),
            limits=self._in_force(places),
        )

    def _of_provider(self, delivery: Delivery, rule: Rule, provider: Provider, event: Event) -> Prospect:
        address, names = self._known_by(delivery.to, provider)
        known = self._suppressions.get_many(names)
        reasons = (one.reason(rule.category, transactional=rule.transactional) for one in known.values())
        places = of_provider(address, provider, event.tenant, rule, by_recipient=True)
        return Prospect(
            suppressed="; ".join(dict.fromkeys(filter(None, reasons))),
            held="",
            throttled=self._throttled(delivery, rule),
            limits=self._in_force(places),
        )

    def _known_by(self, to: Destination, provider: Provider) -> tuple[str, list[str]]:
        """The identity of the address, empty where there is none, and every key it may be suppressed under."""
        if isinstance(to, Contact):
            return to.identity, [recipient_key(to.identity)]
        if not isinstance(to, RecipientRef):
            return "", []
        person = self._recipients.get_many([to.recipient]).get(to.recipient)
        at = person.address_of(provider.kind) if person else ""
        identity = contact_identity(provider.kind, at) if at else ""
        return identity, [*([recipient_key(identity)] if identity else []), person_key(to.recipient)]

    def _names(self, to: Mailbox | RecipientRef) -> tuple[str, list[str]]:
        """The address, empty where nobody is stored, and every key it may be suppressed under."""
        if isinstance(to, Mailbox):
            return to.address, [*suppression_keys(to.address)]
        person = self._recipients.get_many([to.recipient]).get(to.recipient)
        address = person.email if person else ""
        return address, [*(suppression_keys(address) if address else ()), person_key(to.recipient)]

    def _throttled(self, delivery: Delivery, rule: Rule) -> str:
        throttle = rule.throttle
        if throttle is None:
            return ""
        planned = delivery.model_copy(update={"queued": self._clock()})
        (allowance,) = self._throttles.look([Question(planned, throttle)])
        return "" if allowance.admitted else _beyond(throttle, allowance.used)

    def _in_force(self, places: Iterable[Place]) -> tuple[str, ...]:
        if self._tables is None:
            picture = self._limits.picture()
            self._tables = LimitTable(self._configured, picture.live, picture.learned)
        named = list(places)
        scopes = [Scope(kind, name) for kind, name, _ in named]
        return tuple(_limits(self._tables, named, self._limits.adapted(), self._limits.usage_of(scopes)))


def _beyond(throttle: Throttle, used: int) -> str:
    becomes = "it would wait for a digest" if throttle.overflow == "digest" else "it would be suppressed"
    return f"{used} of {throttle.at_most} within {written(throttle.per)} are used up: {becomes}"


def _limits(
    table: LimitTable,
    places: Iterable[Place],
    adapted: dict[Scope, Adapted] | None = None,
    usage: dict[Scope, Usage] | None = None,
) -> Iterable[str]:
    for kind, name, own in places:
        scope = Scope(kind, name)
        rate, origin = table.find(kind, name, own)
        if rate is None:
            continue
        words = [f"{scope} {rate.written} ({origin})"]
        if (slowed := (adapted or {}).get(scope)) is not None and slowed.factor < 1:
            words.append(f"slowed to {slowed.factor:.0%}")
        if (busy := (usage or {}).get(scope)) is not None and busy.waiting:
            words.append(f"about {busy.waiting} wait, {busy.line:.0f} s")
        yield ", ".join(words)
