"""What a replay lifts: the bounce of the address that it goes to, and no other of the same person."""

import time
from collections.abc import Iterator

import pytest

from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, Destination, RecipientRef
from notifier.domain.event import Event
from notifier.domain.ids import recipient_key
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch
from notifier.domain.recipient import Recipient
from notifier.domain.rule import Channel, Priority
from notifier.domain.suppression import bounced
from notifier.failures.lifting import Lifting
from notifier.storage.cipher import Cipher
from notifier.storage.connection import connect
from notifier.storage.recipients import Recipients
from notifier.storage.suppressions import Suppressions

ADDRESSES = {"mail": "kim@example.org", "phone": "tel:+491701234567", "push": "push:token-1", "slack": "slack:U1"}
KIM = Recipient("kim", "kim@example.org", phone="+491701234567", addresses={"push": "token-1", "slack": "U1"})


class Bounced:
    """Kim, all of whose addresses bounced before anything was parked."""

    def __init__(self, redis_url: str) -> None:
        self.store = connect(redis_url)
        self.suppressions = Suppressions(self.store)
        recipients = Recipients(self.store, Cipher("k" * 32))
        recipients.put([KIM])
        for address in ADDRESSES.values():
            self.suppressions.add(recipient_key(address), bounced("http_400", time.time() - 60))
        self._lifting = Lifting(self.suppressions, recipients)

    def replay(self, channel: Channel, to: Destination, cause: Cause = Cause.BAD_RECIPIENT) -> None:
        delivery = Delivery(id="dlv_1", event=0, rule="a.b/one", to=to)
        batch = Batch(
            channel=channel,
            priority=Priority.NORMAL,
            events=[Event(id="1", source="/tests", type="a.b")],
            deliveries=[delivery],
        )
        entry = Parked("dlv_1", f"failed-{channel}", cause, "no", time.time())
        self._lifting.lift(ParkedBatch(batch, (entry,)), [delivery])

    def lifted(self) -> set[str]:
        """Which of the addresses may be written to."""
        return {kind for kind, address in ADDRESSES.items() if not self.suppressions.get(recipient_key(address)).parts}


@pytest.fixture
def kim(redis_url: str) -> Iterator[Bounced]:
    made = Bounced(redis_url)
    yield made
    made.store.close()


@pytest.mark.parametrize(
    ("channel", "kind", "lifted"),
    [
        (Channel.HTTP_API, "phone", "phone"),
        (Channel.HTTP_API, "push", "push"),
        (Channel.HTTP_API, "slack", "slack"),
        (Channel.EMAIL, "", "mail"),
    ],
)
def test_a_replay_for_a_person_lifts_the_bounce_of_the_address_it_goes_to_and_no_other(
    kim: Bounced, channel: Channel, kind: str, lifted: str
) -> None:
    kim.replay(channel, RecipientRef(recipient="kim", contact=kind))

    assert kim.lifted() == {lifted}


def test_what_was_parked_for_another_cause_lifts_nothing(kim: Bounced) -> None:
    kim.replay(Channel.HTTP_API, RecipientRef(recipient="kim", contact="phone"), Cause.EXHAUSTED)

    assert kim.lifted() == set()


def test_an_address_that_the_person_has_no_more_lifts_nothing(kim: Bounced) -> None:
    kim.replay(Channel.HTTP_API, RecipientRef(recipient="kim", contact="fax"))

    assert kim.lifted() == set()
