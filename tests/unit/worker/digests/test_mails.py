"""Closed windows become mails that travel together, as far as a task may carry them."""

from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.batch import MAX_BYTES, MAX_DELIVERIES
from notifier.domain.delivery import Mailbox
from notifier.domain.encoding import encode_batch
from notifier.domain.event import Event
from notifier.domain.rule import Channel, Priority, Rule
from notifier.storage.digests import ClosedWindow
from notifier.worker.digests.mails import mails_of


def rule(priority: Priority) -> Rule:
    return Rule(
        f"a.b/{priority}", "a.b", Channel.EMAIL, template="t", category="c", transactional=True, priority=priority
    )


def window(number: int, of: Rule, items: int, size: int) -> ClosedWindow:
    events = tuple(Event(id=f"{number}.{n}", source="/t", type="a.b", data="x" * size) for n in range(items))
    ids = tuple(f"dlv_{number}_{n}" for n in range(items))
    return ClosedWindow(f"w{number}", of.id, Mailbox(address=f"p{number}@example.org"), "", events, ids, 1.0, 2.0)


@given(
    drawn=st.lists(
        st.tuples(st.sampled_from(list(Priority)), st.integers(1, 4), st.sampled_from([1, 100, MAX_BYTES // 5])),
        max_size=80,
    )
)
def test_each_window_is_one_mail_with_its_own_items_in_a_task_that_is_not_too_large(
    drawn: list[tuple[Priority, int, int]],
) -> None:
    # Given windows of rules of different queues
    windows = [
        (rule(priority), window(n, rule(priority), items, size)) for n, (priority, items, size) in enumerate(drawn)
    ]

    # When they become mails
    made = list(mails_of(windows))

    # Then each is one, with the events of its own items, in the queue of its rule
    found = dict[str, tuple[str, list[Event]]]()
    for batch, within in made:
        assert len(batch.deliveries) == len(within) <= MAX_DELIVERIES
        assert len(within) == 1 or len(encode_batch(batch).body) <= MAX_BYTES
        for delivery, one in zip(batch.deliveries, within, strict=True):
            assert delivery.digest is not None
            assert (delivery.to, tuple(delivery.digest.deliveries)) == (one.to, one.deliveries)
            found[one.window] = (batch.priority, [batch.events[place] for place in delivery.digest.items])
    assert found == {one.window: (of.priority, list(one.events)) for of, one in windows}
