"""Ids: deterministic, and the same as when they were first published."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.ids import _base32, delivery_id, digest_id, event_key, recipient_key


@given(st.binary(min_size=16, max_size=16))
def test_an_id_is_base32_as_the_standard_library_writes_it(raw: bytes) -> None:
    assert _base32(raw) == base64.b32encode(raw)[:26].decode("ascii").lower()


def test_ids_never_change() -> None:
    """A change here would send everything that is on its way a second time."""
    assert delivery_id("/shop", "1", "order.shipped/one", "mailto:ada@example.org") == "dlv_omr46hiqlohn6fj4s7xb2cobbm"
    assert digest_id("order.shipped/one", "recipient:user-7", "key", "window") == "dlv_glo4yk7344yh2nh3rgdeieetde"
    assert event_key("/shop", "1") == "evt_cjyixc4vpldovlkj4ads3kiuiu"
    assert recipient_key("Ada@Example.org ") == recipient_key("ada@example.org") == "rcp_pacsshjk34rrefjjqf2ukgbrve"
