"""Every Redis key this service uses, each computed by one tiny function.

Braces are hash tags: keys with the same tag live in one Cluster slot, so one script may touch them together; a key
without braces is its own tag. ``tag`` is where a part of a family lies that is divided on a Cluster (`spread`); without
it a key is what it always was on one server. Ids lose their ``dlv_``-like prefix in keys and lists: four bytes, thrice
per delivery, at tens of millions of deliveries.
"""

from __future__ import annotations

from notifier.domain.topology import HELD_QUEUE

PREFIX = "ntf:"
#: Letters of an id in the keys of its record, of 26: Redis keeps a key of up to 30 bytes in 32, a longer one in 48. 120
#: of the 128 bits are left, which is as unique.
_IN_KEY = 24
#: Streams of what ended: as many as a Cluster of a usual size can spread.
ENDED_PARTS = 8


def _family(name: str, tag: str) -> str:
    """What the keys of a family begin with: on one server its name is the tag of all of them."""
    return f"{PREFIX}{tag}{name}" if tag else f"{PREFIX}{{{name}}}"


def _beside(key: str, name: str, tag: str) -> str:
    """A key in the slot of another one."""
    return f"{key}:{name}" if tag else f"{PREFIX}{{{key}}}:{name}"


def short(identifier: str, prefix: str) -> str:
    """An id without its usual prefix; any other id is marked with ``~``, so that no two ids become one."""
    return identifier[len(prefix) :] if identifier.startswith(prefix) else "~" + identifier


def full(shortened: str, prefix: str) -> str:
    """The id that `short` shortened."""
    return shortened[1:] if shortened.startswith("~") else prefix + shortened


def delivery_letters(delivery_id: str) -> str:
    """By which a delivery's record is named."""
    return short(delivery_id, "dlv_")[:_IN_KEY]


def event_letters(event_key: str) -> str:
    """By which an event's record is named."""
    return short(event_key, "evt_")[:_IN_KEY]


def delivery(delivery_id: str, tag: str = "") -> str:
    """One delivery's record; where records are divided (`spread`), ``tag`` is that of its letters."""
    return f"{PREFIX}{tag}d:{delivery_letters(delivery_id)}"


def event(event_key: str, tag: str = "") -> str:
    """One event's record with the ids of its first deliveries."""
    return f"{PREFIX}{tag}e:{event_letters(event_key)}"


def packs(tag: str = "") -> str:
    """How finished records are packed: where, since when, and with which dictionary (`packs`)."""
    return f"{PREFIX}{tag}packs"


def pack(bucket: str, tag: str = "") -> str:
    """Hash: one bucket of finished records (`packs`)."""
    return f"{PREFIX}{tag}p:{bucket}"


def words(generation: str, tag: str = "") -> str:
    """Hash: a dictionary of what repeats in finished records, both ways (`packs`)."""
    return f"{PREFIX}{tag}w:{generation}"


def event_chunks(event_key: str, tag: str = "") -> str:
    """The list of further delivery ids of an event with a large fan-out, in the event's slot."""
    return f"{PREFIX}{tag}c:{event_letters(event_key)}" if tag else f"{PREFIX}c:{{{event(event_key)}}}"


def unmatched() -> str:
    """Sorted set: event types no rule wanted, by how many came."""
    return f"{PREFIX}unmatched"


def alive(owner: str) -> str:
    """There as long as the process that claims as ``owner`` lives."""
    return f"{PREFIX}alive:{{{owner}}}"


def ready() -> str:
    """Written to see whether the server can be written to."""
    return f"{PREFIX}ready"


def people_list(bucket: str, period: int) -> str:
    """List: deliveries to the people of one bucket, first claimed within one period (`people`)."""
    return f"{PREFIX}i:{bucket}:{period}"


def people_bucket(bucket: str, period: int) -> str:
    """The same as releases before wrote it, in a string (`earlier_people`)."""
    return f"{PREFIX}r:{bucket}:{period}"


def suppressions(tag: str = "") -> str:
    """Hash: recipient key → why nothing is sent to it. One key, so that a batch checks all its people in one HMGET."""
    return f"{PREFIX}{tag}suppressions"


def suppressions_order(tag: str = "") -> str:
    """Sorted set: the names in `suppressions`, to be read page by page (`order`)."""
    return _beside(suppressions(tag), "order", tag)


def moved(tag: str = "") -> str:
    """Hash: key of a person known by id → key of the address they have now, for those whose address changed."""
    return _beside(suppressions(tag), "moved", tag)


def recipients(tag: str = "") -> str:
    """Hash: recipient id → encrypted address and preferences."""
    return f"{PREFIX}{tag}recipients"


def recipient_addresses(tag: str = "") -> str:
    """Hash: recipient id → encrypted phone and other addresses, for those who have any.

    Apart from `recipients`, and in its slot: the release before reads four fields there, and no more.
    """
    return _beside(recipients(tag), "addresses", tag)


def addresses(bucket: str) -> str:
    """Hash: keyed hash of an address and a recipient who has it → version of their record (`holders`)."""
    return f"{PREFIX}a:{bucket}"


def addresses_state() -> str:
    """Whether every recipient is in these, or since when they are written (`holders`)."""
    return f"{PREFIX}addresses"


def endpoints(tag: str = "") -> str:
    """Hash: endpoint id → record. In one slot with all that is known of its tenant, so they change atomically."""
    return _family("endpoints", tag)


def endpoint_breakers(tag: str = "") -> str:
    """Hash: endpoint id → breaker, only of those that fail or failed lately; read together with the endpoints."""
    return f"{_family('endpoints', tag)}:breakers"


def endpoints_version(tag: str = "") -> str:
    """Counts the changes that planning must know of; whoever planned with an older one plans webhooks again.

    Where endpoints are divided, each part counts its own, and the one without a tag those of all.
    """
    return f"{_family('endpoints', tag)}:version"


def endpoints_versions(tag: str = "") -> str:
    """Hash: ``=`` and a tenant → `endpoints_version` after the last change of its endpoints.

    ``last`` is that after the last change of any. When it has grown beyond, a release before this one has changed
    something without saying whose; ``base`` is what it was the last time that was noticed.
    """
    return f"{_family('endpoints', tag)}-versions"


def endpoints_of(tenant: str, tag: str = "") -> str:
    """Hash: endpoint id → what planning must know of it, for one tenant."""
    family = _family("endpoints", tag)
    usual = f"{family}:{tenant}"
    # Nobody may have the name of another key; tenants of other names are where all releases look for them.
    return f"{family}-of:{tenant}" if usual in (endpoint_breakers(tag), endpoints_version(tag)) else usual


def endpoints_order(tag: str = "") -> str:
    """Sorted set: ids in `endpoints`, once by themselves and once behind their tenant (`order`)."""
    return f"{_family('endpoints', tag)}-order"


def full_queues() -> str:
    """Work queues that are full, as JSON; gone when none is."""
    return f"{PREFIX}full-queues"


def digests_due(tag: str = "") -> str:
    """Sorted set of windows by the time they are due. Their other keys share its slot: collecting changes both."""
    return f"{_family('digests', tag)}:due"


def digest_open(group: str, tag: str = "") -> str:
    """Hash with the open window of one group (rule, recipient and key)."""
    return f"{_family('digests', tag)}:o:{group}"


def digest_open_items(group: str, tag: str = "") -> str:
    """List of the open window's encrypted items, oldest first."""
    return f"{_family('digests', tag)}:oi:{group}"


def digest_closing(window: str, tag: str = "") -> str:
    """Hash with a window that takes no more items and is not confirmed as published."""
    return f"{_family('digests', tag)}:c:{short(window, 'dlv_')}"


def digest_closing_items(window: str, tag: str = "") -> str:
    """List of a closing window's encrypted items."""
    return f"{_family('digests', tag)}:ci:{short(window, 'dlv_')}"


def digest_item(delivery_id: str, tag: str = "") -> str:
    """Which window, and since this release of which group, took this item.

    Outlives the window, so that a redelivered item joins no second one.
    """
    return f"{_family('digests', tag)}:i:{short(delivery_id, 'dlv_')}"


def parked_entries() -> str:
    """Hash: id → entry of a failure queue as JSON."""
    return f"{PREFIX}{{parked}}"


def parked_index(queue: str, cause: str) -> str:
    """Sorted set of ids by the time they were parked, for one queue and cause; its size is their count."""
    return f"{PREFIX}{{parked}}:{queue}:{cause}"


def parked_walker(place: str) -> str:
    """There while somebody walks this shelf of a failure queue."""
    return f"{PREFIX}{{parked}}:{place}:walker"


def limit_state(scope: str) -> str:
    """What one limit has granted. All keys of limits share a slot: a batch reserves over several scopes at once."""
    return f"{PREFIX}{{limits}}:s:{scope}"


def limits_live() -> str:
    """Hash: scope → rate that operators set while it runs."""
    return f"{PREFIX}{{limits}}:live"


def limits_adapted() -> str:
    """Hash: scope → by how much it is slowed down for now."""
    return f"{PREFIX}{{limits}}:adapted"


def limits_version() -> str:
    """Grows with every change of which limits there are, so that workers look at one number a second."""
    return f"{PREFIX}{{limits}}:version"


def throttle(group: str, tag: str = "") -> str:
    """Sorted set: admitted deliveries of one rule, recipient and key, by the time they were planned."""
    return f"{PREFIX}{tag}t:{group}" if tag else f"{PREFIX}{{limits}}:t:{group}"


def _held(place: str) -> str:
    return f"{PREFIX}{{{'held' if place == HELD_QUEUE else place}}}"


def held(place: str) -> str:
    """Sorted set: endpoints with held deliveries by the time in milliseconds when somebody should look at them.

    Each shelf has keys of its own, and so has ``held-webhook`` itself: sweeps of earlier releases forget what they do
    not find there.
    """
    return _held(place)


def held_of(place: str, endpoint_id: str) -> str:
    """Sorted set: what a shelf holds for one endpoint, by the time it was planned."""
    return f"{_held(place)}:{endpoint_id}"


def held_chosen(place: str) -> str:
    """Hash: endpoint id → what a person chose to become of its held deliveries."""
    return f"{_held(place)}:chosen"


def held_walker(place: str) -> str:
    """There while somebody walks a shelf of held deliveries."""
    return f"{_held(place)}:walker"


def relays() -> str:
    """Hash: relay and worker → why this worker has paused that relay."""
    return f"{PREFIX}{{limits}}:relays"


def paused_senders() -> str:
    """Hash: relay and worker → the senders that this relay refuses this worker, and why."""
    return f"{PREFIX}{{limits}}:senders"


def paused_providers() -> str:
    """Hash: provider and worker → why this worker has paused that provider of a channel file."""
    return f"{PREFIX}{{limits}}:providers"


def limits_courses() -> str:
    """Hash: adapted scope → where its rate is on its way up again."""
    return f"{PREFIX}{{limits}}:courses"


def scheduled_run(task: str) -> str:
    """There until the next run of a scheduled task is due (`runs`)."""
    return f"{PREFIX}run:{task}"


def ended(part: int) -> str:
    """Stream: what ended and is not in the history yet (`feed`)."""
    return f"{PREFIX}{{ended-{part}}}"


def ended_total(part: int) -> str:
    """How much was ever noted there."""
    return f"{PREFIX}{{ended-{part}}}:total"


def given_up(part: int) -> str:
    """How much of that was given up: it waited longer than records are kept, or too much did."""
    return f"{PREFIX}{{ended-{part}}}:given-up"
