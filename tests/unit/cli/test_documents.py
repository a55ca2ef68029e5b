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


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    # Given a file as an editor on Windows saves it
    file = tmp_path / "e.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(_EVENT).encode())

    (event,) = read_events(str(file), {})

    assert event.data == {"a": 1}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named_with_the_way_out(tmp_path: Path, encoding: str) -> None:
    # Given a file as PowerShell's `>` writes it
    file = tmp_path / "e.json"
    file.write_bytes(json.dumps(_EVENT).encode(encoding))

    with pytest.raises(MalformedEvent, match=r"UTF-16.*utf8"):
        read_events(str(file), {})


def test_what_is_in_the_file_is_published_as_it_is_written_there(tmp_path: Path) -> None:
    wire = '{"specversion":"1.0","type":"a","source":"/s","id":"%s","data":%s}'
    data = '{ "wei": 1000000000000000000001, "price": 1.10 }'
    for text in (
        wire % (1, data),
        f"[{wire % (1, data)}, {wire % (2, data)}]",
        f"{wire % (1, data)}\n{wire % (2, data)}\n",
        data,
    ):
        for event in read_events(_file(tmp_path, text), {"type": "a", "source": "/s"}):
            assert f'"data":{data}'.encode() in event.published
            assert event.data["wei"] == 10**21 + 1


def test_a_file_is_read_by_the_rule_of_every_message(tmp_path: Path) -> None:
    wire = {**_EVENT, "methodName": "m", "data": None, "data_base64": "eyJhIjoxfQ=="}
    (event,) = read_events(_file(tmp_path, json.dumps(wire)), {})
    assert (event.data, event.extensions) == ({"a": 1}, {"methodname": "m"})

    with pytest.raises(MalformedEvent, match="nested deeper than 64"):
        read_events(_file(tmp_path, json.dumps(_EVENT).replace('{"a": 1}', "[" * 65 + "]" * 65)), {})


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, json.dumps(_EVENT) + "\n" + "[" * 200_000])
def test_json_nested_too_deeply_is_told_in_words(tmp_path: Path, text: str) -> None:
    with pytest.raises(MalformedEvent, match="not JSON: depth limit exceeded"):
        read_events(_file(tmp_path, text), {})
