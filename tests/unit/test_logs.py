"""Logging: what a line looks like, and what it never holds."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier import logs


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_wide_line_is_one_json_object_with_its_fields() -> None:
    # Given
    stream = io.StringIO()
    logs.configure("json", "info", stream)

    # When
    logs.wide(logs.get("worker"), "delivery.attempted", id="dlv_1", outcome="sent", seconds=0.25)

    # Then
    (line,) = _lines(stream)
    assert line["message"] == "delivery.attempted"
    assert line["logger"] == "notifier.worker"
    assert (line["id"], line["outcome"], line["seconds"]) == ("dlv_1", "sent", 0.25)
    assert str(line["time"]).endswith("Z")


def test_a_field_named_like_a_column_does_not_replace_it() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)

    logs.wide(logs.get("worker"), "event.planned", level=logging.WARNING, message="x", time=1)

    (line,) = _lines(stream)
    assert (line["message"], line["message_"], line["level"]) == ("event.planned", "x", "warning")


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("cannot reach amqp://guest:s3cr%40et@broker:5672/vhost", "s3cr"),
        ("redis://:hunter2@cache/0 is away", "hunter2"),
        ("signing with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ"),
        ("header Authorization: Bearer abc.def-123", "abc.def"),
        ("550 no mailbox for 'jane.doe+x@example.org'", "jane"),
        ("<jane@mail.example.co.uk> rejected", "jane"),
        ("müller@example.org", "müller"),
    ],
)
def test_secrets_and_addresses_in_messages_fields_and_exceptions_are_masked(form: str, text: str, secret: str) -> None:
    # Given
    stream = io.StringIO()
    logs.configure(form, "debug", stream)  # type: ignore[arg-type]
    log = logs.get("test")

    # When it appears as an argument, as a field, inside a field and in an exception
    log.info("said %s", text)
    logs.wide(log, "x", reply=text, replies=[text], by={"a": text})
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("failed")

    # Then
    assert stream.getvalue()
    assert secret not in stream.getvalue()


@pytest.mark.parametrize("name", ["to", "address", "body", "password", "Authorization"])
def test_fields_that_promise_private_content_are_masked_whatever_they_hold(name: str) -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)

    logs.wide(logs.get("test"), "x", **{name: "something"})

    assert _lines(stream)[0][name] == "****"


def test_message_ids_are_ids_and_stay() -> None:
    assert logs.redact("Message-ID <dlv_abc@mail.example.org>") == "Message-ID <dlv_abc@mail.example.org>"


def test_a_hostile_message_cannot_fake_a_second_line() -> None:
    stream = io.StringIO()
    logs.configure("text", "info", stream)

    logs.get("test").info("bad %s", "a\n12:00:00 ERROR forged\x1b[31m")

    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_configuring_twice_does_not_double_the_lines() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure("text", "info", first)
    logs.configure("text", "info", second)

    logs.get("test").info("once")

    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


def test_a_process_that_logs_ends_without_a_word_of_pythons_own() -> None:
    program = "from notifier import logs; logs.configure('json', 'info'); logs.get('worker').info('last words')"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    (line,) = ended.stderr.splitlines()
    assert json.loads(line)["message"] == "last words"


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    logs.configure("json", "warning", stream)

    logs.wide(logs.get("test"), "quiet")

    assert stream.getvalue() == ""


@given(st.text(), st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.floats() | st.none()))
def test_every_line_is_one_line_of_json(message: str, fields: dict[str, object]) -> None:
    formatter = logs._JsonFormatter()
    record = logging.makeLogRecord({"msg": "%s", "args": (message,), "levelname": "INFO", "fields": fields})

    line = formatter.format(record)

    assert "\n" not in line
    assert isinstance(json.loads(line), dict)


def test_redacting_a_long_hostile_text_takes_one_pass() -> None:
    # A quadratic pattern would need minutes for these; the test's own time limit is the assertion.
    for text in ("a" * 300_000, "://" * 100_000, "a@" * 150_000, "a." * 150_000, "%" * 300_000):
        logs.redact(text)
