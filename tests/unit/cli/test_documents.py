"""Reading events from files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from notifier.cli.documents import read_events
from notifier.errors import MalformedEvent

_EVENT = {"specversion": "1.0", "type": "order.placed", "source": "/shop", "id": "1", "data": {"a": 1}}


def _file(folder: Path, text: str) -> str:
    file = folder / "e.json"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([_EVENT, {**_EVENT, "id": "2"}]),
        f"{json.dumps(_EVENT)}\n\n{json.dumps({**_EVENT, 'id': '2'})}\n",
    ],
)
def test_an_array_and_lines_are_read_in_their_order(tmp_path: Path, text: str) -> None:
    assert [event.id for event in read_events(_file(tmp_path, text), {})] == ["1", "2"]


def test_one_event_may_span_many_lines(tmp_path: Path) -> None:
    assert [event.id for event in read_events(_file(tmp_path, json.dumps(_EVENT, indent=2)), {})] == ["1"]


def test_options_win_over_what_the_file_says(tmp_path: Path) -> None:
    (event,) = read_events(_file(tmp_path, json.dumps(_EVENT)), {"tenant": "acme", "type": "order.paid", "source": ""})

    assert (event.tenant, event.type, event.source) == ("acme", "order.paid", "/shop")


def test_bare_data_becomes_an_event_with_an_id_of_its_own(tmp_path: Path) -> None:
    file = _file(tmp_path, '{"order": 17}')
    (first,) = read_events(file, {"type": "order.placed", "source": "/shop"})
    (second,) = read_events(file, {"type": "order.placed", "source": "/shop"})

    assert first.data == {"order": 17}
    assert first.id != second.id


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"order": 17}', "e.json"),
        (f"{json.dumps(_EVENT)}\n{{broken", "e.json:2"),
        (json.dumps([_EVENT, {**_EVENT, "source": ""}]), "e.json: event 2"),
        ("[1]", "event 1"),
        ("[]", "no event"),
    ],
)
def test_mistakes_are_named_by_their_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(MalformedEvent) as raised:
        read_events(_file(tmp_path, text), {})

    assert place in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(MalformedEvent, match=r"nothing\.json"):
        read_events(str(tmp_path / "nothing.json"), {})
