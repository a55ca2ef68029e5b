"""The outbox keeps order, settles what a confirm names, and keeps what nobody answered for."""

import time

from hypothesis import given
from hypothesis import strategies as st

from notifier.client import NotConfirmed
from notifier.client.outbox import MAX_UNCONFIRMED, MAX_UNCONFIRMED_BYTES, Outbox, Pending


def pending(name: str, deadline: float = 1e12, size: int = 1) -> Pending:
    return Pending(name, b"x" * size, "exchange", "key", "text/plain", deadline, receipt=name)


def sent(outbox: Outbox, names: list[str]) -> None:
    for name in names:
        outbox.put(pending(name))
    while outbox.take():
        pass


def names(found: list[Pending]) -> list[str]:
    return [each.event_id for each in found]


def test_one_confirm_settles_one_message_and_a_multiple_all_before_it() -> None:
    outbox = Outbox()
    sent(outbox, ["a", "b", "c", "d"])
    assert names(outbox.confirmed(2, multiple=False)) == ["b"]
    assert names(outbox.confirmed(3, multiple=True)) == ["a", "c"]
    assert names(outbox.confirmed(3, multiple=True)) == []
    assert names(outbox.clear()) == ["d"]


def test_what_was_sent_on_a_lost_connection_goes_first_on_the_next() -> None:
    # Given two messages sent, and one not
    outbox = Outbox()
    sent(outbox, ["a", "b"])
    outbox.put(pending("c"))

    # When the connection is lost, then all three go out again in their order, with tags that begin at 1
    outbox.begin_again()
    assert [each.event_id for each in iter(outbox.take, None)] == ["a", "b", "c"]
    assert names(outbox.confirmed(1, multiple=False)) == ["a"]


def test_no_more_is_sent_than_may_be_unconfirmed() -> None:
    outbox = Outbox()
    sent(outbox, [str(n) for n in range(MAX_UNCONFIRMED + 1)])
    assert len(outbox.confirmed(MAX_UNCONFIRMED + 1, multiple=True)) == MAX_UNCONFIRMED
    for _ in range(3):
        outbox.put(pending("large", size=MAX_UNCONFIRMED_BYTES))
    outbox.take()
    outbox.take()
    assert outbox.take() is None


def test_overdue_messages_are_found_once_they_are_late() -> None:
    outbox = Outbox()
    outbox.put(pending("sent", deadline=1))
    outbox.take()
    outbox.put(pending("queued", deadline=1))
    outbox.put(pending("in time", deadline=3))
    assert sorted(names(outbox.overdue(2))) == ["queued", "sent"]
    assert [each.event_id for each in iter(outbox.take, None)] == ["in time"]


def test_a_cancelled_message_is_not_sent_and_not_settled() -> None:
    # Given a caller that went away, as asyncio does with a cancelled request
    outbox, gone = Outbox(), pending("gone")
    gone.future.cancel()
    outbox.put(gone)

    # When its turn comes, then it is passed over, and an error finds nobody
    assert outbox.take() is None
    gone.settle(NotConfirmed("too late"))
    assert gone.future.cancelled()


def test_waiting_ends_when_everything_is_settled() -> None:
    outbox = Outbox()
    sent(outbox, ["a"])
    before = time.monotonic()
    outbox.wait_until_settled(timeout=0)
    for settled in outbox.confirmed(1, multiple=False):
        settled.settle(None)
    outbox.wait_until_settled(timeout=1000)
    assert time.monotonic() - before < 1000


@given(st.lists(st.one_of(st.just("send"), st.just("lose"), st.tuples(st.integers(1, 12), st.booleans())), max_size=40))
def test_whatever_happens_every_message_is_confirmed_or_still_here(
    happenings: list[str | tuple[int, bool]],
) -> None:
    # Given any history of sending, confirms and lost connections
    outbox, put, confirmed = Outbox(), 0, []
    for happening in happenings:
        if happening == "send":
            outbox.put(pending(str(put)))
            put += 1
            while outbox.take():
                pass
        elif happening == "lose":
            outbox.begin_again()
        else:
            tag, multiple = happening  # type: ignore[misc]
            confirmed += names(outbox.confirmed(tag, multiple=multiple))  # type: ignore[arg-type]

    # Then nothing is lost and nothing confirmed twice
    assert sorted(confirmed + names(outbox.clear()), key=int) == [str(n) for n in range(put)]
