"""What a request may say of times, places in lists and people: refused with words where no answer can be made of it."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from notifier.api.forgetting import Forget
from notifier.api.models import Browsing, Chosen, Replaying


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (Browsing, {"older_than": "inf"}),
        (Browsing, {"newer_than": "nan"}),
        (Browsing, {"older_than": "1e308"}),
        (Chosen, {"newer_than": 1e308}),
        (Chosen, {"older_than": -1}),
        (Browsing, {"after": "abc"}),
        (Browsing, {"after": "1e5.dlv_a"}),
        (Browsing, {"after": "9" * 400 + ".dlv_a"}),
        (Replaying, {"rate": 1e-300}),
        (Replaying, {"rate": float("inf")}),
        (Forget, {"who": "x" * 257}),
        (Forget, {"who": ""}),
    ],
)
def test_what_cannot_be_answered_is_refused_with_its_field(model: type[BaseModel], fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(fields)
    assert caught.value.errors()[0]["loc"] == tuple(fields)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (Browsing, {"older_than": 0, "newer_than": 86400.5, "after": "1780000000123.dlv_7qk2abc"}),
        (Browsing, {"after": ""}),
        (Replaying, {"rate": 0}),
        (Forget, {"who": "x" * 256}),
    ],
)
def test_what_can_be_is_taken(model: type[BaseModel], fields: dict[str, Any]) -> None:
    assert model.model_validate(fields)
