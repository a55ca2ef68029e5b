"""Task messages are read by orjson and come out as kombu would have read them."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kombu.utils import json as kombu_json

from notifier.worker.celery_side.receiving import read_json

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(value=_VALUES)
@example(value=[2**64, -(2**63) - 1, 2**63, 10**18, 1e16, 5e-324, 12345678901234567.0])
@example(value={"half": "\ud83d", "whole": "\U0001f600"})
def test_what_kombu_writes_is_read_as_kombu_reads_it(value: Any) -> None:
    # Given a body as a stock Celery would write it
    written = kombu_json.dumps(value)
    # Then it is read alike, as text and as the bytes that arrive
    expected = kombu_json.loads(written)
    assert read_json(written) == expected
    assert read_json(memoryview(written.encode())) == expected


def test_what_json_has_no_word_for_is_read_as_kombu_spells_it() -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert read_json(kombu_json.dumps({"eta": moment})) == {"eta": moment}
    assert math.isnan(read_json('{"a": NaN}')["a"])


@pytest.mark.parametrize("body", ["", "{", "[1,]", "nul"])
def test_what_is_no_json_is_an_error_that_celery_knows(body: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Illegal"):
        read_json(body)


def test_what_a_build_before_the_header_wrote_keeps_the_words_of_its_data() -> None:
    body = b'[[{"v":1,"channel":"email","events":[{"data":{"__type__":"uuid","__value__":"x"}}]}],{},{}]'

    assert read_json(body)[0][0]["events"] == [{"data": {"__type__": "uuid", "__value__": "x"}}]
