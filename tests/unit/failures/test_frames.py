"""What a walk writes is what py-amqp would write for the same message, byte for byte."""

import struct
from types import SimpleNamespace

import amqp
import pytest
from amqp import spec
from amqp.method_framing import frame_writer
from amqp.serialization import dumps
from hypothesis import given
from hypothesis import strategies as st

from notifier.failures.frames import Frames

FRAME_MAX = 4096


def by_the_library(channel: int, exchange: str, routing_key: str, message: amqp.Message) -> bytes:
    written: list[bytes] = []
    connection = SimpleNamespace(frame_max=FRAME_MAX, bytes_sent=0)
    transport = SimpleNamespace(write=lambda frames: written.append(bytes(frames)))
    write = frame_writer(connection, transport)
    write(1, channel, spec.Basic.Publish, dumps("Bssbb", (0, exchange, routing_key, True, False)), message)
    return b"".join(written)


@given(
    body=st.integers(0, 3 * FRAME_MAX).map(lambda size: b"x" * size) | st.binary(max_size=50),
    channel=st.integers(1, 2047),
    place=st.sampled_from(["failed-email", "failed-webhook-7", "größer"]),
    headers=st.dictionaries(st.text(max_size=10), st.text(max_size=300), max_size=3),
)
def test_any_message_is_written_as_the_library_writes_it(
    body: bytes, channel: int, place: str, headers: dict[str, str]
) -> None:
    message = amqp.Message(body, priority=0, content_type="application/json", application_headers=headers)

    written = Frames(channel, FRAME_MAX).of("notifier.parked", place, message._serialize_properties(), body)

    assert written == by_the_library(channel, "notifier.parked", place, message)


@pytest.mark.parametrize("size", [FRAME_MAX - 8, FRAME_MAX - 7, 2 * (FRAME_MAX - 8)])
def test_no_frame_is_larger_than_was_agreed_with_the_broker(size: int) -> None:
    message = amqp.Message(b"x" * size)

    frames = Frames(1, FRAME_MAX).of("notifier.parked", "failed-email", message._serialize_properties(), message.body)

    sizes = []
    while frames:
        _, _, length = struct.unpack(">BHI", frames[:7])
        sizes.append(7 + length + 1)
        assert frames[7 + length] == 0xCE
        frames = frames[sizes[-1] :]
    assert max(sizes) <= FRAME_MAX
