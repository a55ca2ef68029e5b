"""Every Redis key this service uses, each computed by one tiny function.

Braces are hash tags: keys with the same tag live in one Cluster slot, so one script may touch them together; a key
without braces is its own tag. Ids lose their ``dlv_``-like prefix in keys and lists: four bytes, thrice per delivery,
at tens of millions of deliveries.
"""

from __future__ import annotations

PREFIX = "ntf:"
#: Letters of an id in the keys of its record, of 26: Redis keeps a key of up to 30 bytes in 32, a longer one in 48. 120
#: of the 128 bits are left, which is as unique.
_IN_KEY = 24


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


def suppressions() -> str:
    """Hash: recipient key → why nothing is sent to it. One key, so that a batch checks all its people in one HMGET."""
    return f"{PREFIX}suppressions"


def suppressions_order() -> str:
    """Sorted set: the names in `suppressions`, to be read page by page (`order`)."""
    return f"{PREFIX}{{{suppressions()}}}:order"


def moved() -> str:
    """Hash: key of a person known by id → key of the address they have now, for those whose address changed.

    In the slot of the suppressions: a wish that comes by a link to the old address changes both in one script.
    """
    return f"{PREFIX}{{{suppressions()}}}:moved"


def recipients() -> str:
    """Hash: recipient id → encrypted address and preferences."""
    return f"{PREFIX}recipients"


def recipient_addresses() -> str:
    """Hash: recipient id → encrypted phone and other addresses, for those who have any.

    Apart from `recipients`, and in its slot: the release before reads four fields there, and no more.
    """
    return f"{PREFIX}{{{recipients()}}}:addresses"


def addresses(bucket: str) -> str:
    """Hash: keyed hash of an address and a recipient who has it → version of their record (`holders`)."""
    return f"{PREFIX}a:{bucket}"


def addresses_state() -> str:
    """Whether every recipient is in these, or since when they are written (`holders`)."""
    return f"{PREFIX}addresses"


def endpoints() -> str:
    """Hash: endpoint id → record. Endpoints are few, so all of them share one slot and change atomically."""
    return f"{PREFIX}{{endpoints}}"


def endpoint_breakers() -> str:
    """Hash: endpoint id → breaker, only of those that fail or failed lately; read together with the endpoints."""
    return f"{PREFIX}{{endpoints}}:breakers"


def endpoints_version() -> str:
    """Counts the changes that planning must know of; whoever planned with an older one plans webhooks again."""
    return f"{PREFIX}{{endpoints}}:version"


def endpoints_versions() -> str:
    """Hash: ``=`` and a tenant → `endpoints_version` after the last change of its endpoints.

    ``last`` is that after the last change of any. When it has grown beyond, a release before this one has changed
    something without saying whose; ``base`` is what it was the last time that was noticed.
    """
    return f"{PREFIX}{{endpoints}}-versions"


def endpoints_of(tenant: str) -> str:
    """Hash: endpoint id → what planning must know of it, for one tenant."""
    usual = f"{PREFIX}{{endpoints}}:{tenant}"
    # Nobody may have the name of another key; tenants of other names are where all releases look for them.
    return f"{PREFIX}{{endpoints}}-of:{tenant}" if usual in (endpoint_breakers(), endpoints_version()) else usual


def endpoints_order() -> str:
    """Sorted set: ids in `endpoints`, once by themselves and once behind their tenant (`order`)."""
    return f"{PREFIX}{{endpoints}}-order"


def full_queues() -> str:
    """Work queues that are full, as JSON; gone when none is."""
    return f"{PREFIX}full-queues"


def digests_due() -> str:
    """Sorted set of windows by the time they are due. All digest keys share this slot: collecting changes both."""
    return f"{PREFIX}{{digests}}:due"


def digest_open(group: str) -> str:
    """Hash with the open window of one group (rule, recipient and key)."""
    return f"{PREFIX}{{digests}}:o:{group}"


def digest_open_items(group: str) -> str:
    """List of the open window's encrypted items, oldest first."""
    return f"{PREFIX}{{digests}}:oi:{group}"


def digest_closing(window: str) -> str:
    """Hash with a window that takes no more items and is not confirmed as published."""
    return f"{PREFIX}{{digests}}:c:{short(window, 'dlv_')}"


def digest_closing_items(window: str) -> str:
    """List of a closing window's encrypted items."""
    return f"{PREFIX}{{digests}}:ci:{short(window, 'dlv_')}"


def digest_item(delivery_id: str) -> str:
    """Which window, and since this release of which group, took this item.

    Outlives the window, so that a redelivered item joins no second one.
    """
    return f"{PREFIX}{{digests}}:i:{short(delivery_id, 'dlv_')}"


def parked_entries() -> str:
    """Hash: id → entry of a failure queue as JSON."""
    return f"{PREFIX}{{parked}}"


def parked_index(queue: str, cause: str) -> str:
    """Sorted set of ids by the time they were parked, for one queue and cause; its size is their count."""
    return f"{PREFIX}{{parked}}:{queue}:{cause}"


def parked_walker(queue: str) -> str:
    """There while somebody walks this failure queue."""
    return f"{PREFIX}{{parked}}:{queue}:walker"


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


def throttle(group: str) -> str:
    """Sorted set: admitted deliveries of one rule, recipient and key, by the time they were planned."""
    return f"{PREFIX}{{limits}}:t:{group}"


def held() -> str:
    """Sorted set: endpoints with held deliveries by the time in milliseconds when somebody should look at them."""
    return f"{PREFIX}{{held}}"


def held_of(endpoint_id: str) -> str:
    """Sorted set: what ``held-webhook`` holds for one endpoint, by the time it was planned."""
    return f"{PREFIX}{{held}}:{endpoint_id}"


def held_chosen() -> str:
    """Hash: endpoint id → what a person chose to become of its held deliveries."""
    return f"{PREFIX}{{held}}:chosen"


def held_walker() -> str:
    """There while somebody walks ``held-webhook``: two walks at once would hide messages from each other."""
    return f"{PREFIX}{{held}}:walker"


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
