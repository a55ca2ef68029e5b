"""Items that were collected, and the digest they make."""

import time

from notifier.domain.batch import Batch
from notifier.domain.delivery import WAITS_FOR_DIGEST, Delivery, DigestItems, Mailbox, Status
from notifier.domain.rule import Channel, Collecting, Priority
from tests.unit.worker.doubles import EVENT, World, batch_of

NEWS = "order.shipped/news"


def item_batch(*ids: str, expires: float | None = None, rule: str = NEWS) -> Batch:
    """What a worker is given to collect: all for one person."""
    batch = batch_of(*ids, rule=rule, kind=Collecting.DIGEST, expires=expires)
    ann = Mailbox(address="ann@example.org")
    return batch.model_copy(
        update={"deliveries": [one.model_copy(update={"to": ann}) for one in batch.deliveries]},
    )


def digest_batch(world: World, *items: str, expires: tuple[float, ...] = ()) -> Batch:
    """A digest, whose items are held in the ledger."""
    world.ended(item_batch(*items), Status.HELD, WAITS_FOR_DIGEST)
    digest = Delivery(
        id=f"dig_{items[0]}",
        event=0,
        rule=NEWS,
        to=Mailbox(address="ann@example.org"),
        queued=time.time(),
        digest=DigestItems(items=[0] * len(items), total=len(items), deliveries=list(items), expires=list(expires)),
    )
    return Batch(channel=Channel.EMAIL, priority=Priority.NORMAL, events=[EVENT], deliveries=[digest])
