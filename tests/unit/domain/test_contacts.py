"""Phone numbers and other addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.contacts import masked_contact, parse_contact, parse_phone
from notifier.errors import InvalidAddress


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+491701234567", "+491701234567"),
        (" +49 170 1234567 ", "+491701234567"),
        ("+1 (415) 555-2671", "+14155552671"),
        ("+44.20.7946.0958", "+442079460958"),
        ("+2902345", "+2902345"),
    ],
)
def test_a_phone_number_has_one_spelling(written: str, number: str) -> None:
    assert parse_phone(written) == number


@pytest.mark.parametrize(
    "written",
    [
        *("", "+", "0170 1234567", "0049 170 1234567", "491701234567", "+0491701234567", "+49 (0)170 1234567"),
        *(
            "+49170123456789012",
            "+49170",
            "+49 170 12345a7",
            "tel:+491701234567",
            "+\uff14\uff19170123456",
            "++491701234567",
        ),
    ],
)
def test_what_is_no_phone_number_is_refused_without_being_quoted(written: str) -> None:
    with pytest.raises(InvalidAddress) as caught:
        parse_phone(written)
    assert len(written) < 4 or written not in str(caught.value)


@given(st.text())
def test_whatever_is_taken_for_a_phone_number_is_one_and_stays_so(text: str) -> None:
    try:
        number = parse_phone(text)
    except InvalidAddress:
        return
    assert number[0] == "+"
    assert number[1:].isascii()
    assert number[1:].isdigit()
    assert parse_phone(number) == number


@pytest.mark.parametrize("written", ["", "  ", "a\nb", "x" * 2049, "a\x00b", "\ud800"])
def test_another_address_is_one_line_of_text(written: str) -> None:
    with pytest.raises(InvalidAddress):
        parse_contact("slack", written)


def test_addresses_are_masked() -> None:
    assert masked_contact("phone", "+491701234567") == "+49…67"
    assert masked_contact("slack", "https://hooks.slack.com/services/T0/B0/secret") == "slack:…"
    assert masked_contact("slack", "") == "slack"
