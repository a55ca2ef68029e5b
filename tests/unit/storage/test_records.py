"""The text format of deliveries, without a server."""

from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.delivery import Attempt, EndpointRef, Mailbox, RecipientRef, Status
from notifier.domain.rule import Channel
from notifier.storage import keys
from notifier.storage.records import (
    RECORD,
    UNIT,
    decode_attempt,
    decode_delivery,
    encode_attempt,
    encode_head,
    join,
    masked,
    moment,
    split,
    stamp,
)

texts = st.text(st.characters(exclude_characters=RECORD + UNIT), max_size=40)


@given(st.lists(texts, min_size=1, max_size=12))
def test_joined_fields_are_split_into_the_same_fields(fields: list[str]) -> None:
    assert split(join(fields), len(fields)) == fields


@given(st.lists(st.text(max_size=10), min_size=1, max_size=6))
def test_a_separator_inside_a_field_never_makes_another_field(fields: list[str]) -> None:
    # Given fields with any characters, separators too
    # When they are joined
    joined = join(fields)
    # Then there are no more fields than there were, and no second record
    assert len(split(joined, len(fields))) == len(fields)
    assert RECORD not in joined


@given(st.integers(min_value=0, max_value=4102444800000))
def test_a_stamp_keeps_milliseconds(milliseconds: int) -> None:
    assert moment(stamp(milliseconds / 1000)) == milliseconds / 1000


@given(
    st.integers(1, 99),
    st.integers(0, 4102444800000),
    st.integers(0, 600_000_000),
    st.sampled_from(["sent", "deferred", "refused", "uncertain"]),
    texts,
    texts,
    texts.filter(lambda text: "/" not in text),
)
def test_an_attempt_is_read_back_as_it_was_written(
    number: int, started: int, duration: int, outcome: str, code: str, reply: str, worker: str
) -> None:
    attempt = Attempt(number, started / 1000, duration / 1_000_000, outcome, code, reply, worker)
    assert decode_attempt(encode_attempt(attempt)) == attempt


def test_an_attempt_keeps_the_workers_name_without_the_token_of_one_life() -> None:
    attempt = Attempt(1, 1700000001.25, 0.17, "sent", "smtp_250", "250 ok", "worker-1@host/a1b2c3d4")
    assert decode_attempt(encode_attempt(attempt)).worker == "worker-1@host"


def test_a_record_is_read_back_with_its_attempts() -> None:
    # Given the text of a delivery that was deferred once
    head = encode_head("evt_abc", "order.shipped/customer", Channel.EMAIL, "a…@example.org", 1700000000.5)
    attempt = Attempt(1, 1700000001.25, 0.17, "deferred", "smtp_451", "try again\nlater", "worker-1")
    state = UNIT.join(["deferred", "1", "1", stamp(1700000002), "1700000032000", "a1b2", ""])
    text = RECORD.join([state, head, encode_attempt(attempt)])
    # When it is decoded
    record = decode_delivery("dlv_x", text)
    # Then every field is there
    assert record is not None
    assert (record.id, record.event, record.rule) == ("dlv_x", "evt_abc", "order.shipped/customer")
    assert (record.status, record.tries, record.next_try) == (Status.DEFERRED, 1, 1700000032.0)
    assert (record.queued, record.updated, record.template) == (1700000000.5, 1700000002.0, "a1b2")
    assert record.attempts == (attempt,)


def test_a_record_without_a_head_is_not_shown() -> None:
    assert decode_delivery("dlv_x", RECORD.join([UNIT.join(["sent", "3", "1", "0"]), ""])) is None


def test_masked_destinations_do_not_tell_the_address() -> None:
    assert masked(Mailbox(address="jane.doe@example.org")) == "j…@example.org"
    assert masked(EndpointRef(endpoint="ep_1")) == "ep_1"
    assert masked(RecipientRef(recipient="customer-7")) == "customer-7"


@given(st.text(max_size=30))
def test_shortening_an_id_loses_nothing(identifier: str) -> None:
    assert keys.full(keys.short(identifier, "dlv_"), "dlv_") == identifier


@given(st.text(max_size=10), st.text(max_size=10))
def test_two_ids_never_share_a_key(one: str, other: str) -> None:
    # Given ids with and without the usual prefix
    for a, b in [(one, other), ("dlv_" + one, other), ("dlv_" + one, "~" + one)]:
        # Then their keys are equal only when they are
        assert (keys.delivery(a) == keys.delivery(b)) == (a == b)
