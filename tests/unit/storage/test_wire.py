"""Commands as bytes, without a server."""

from hypothesis import given
from hypothesis import strategies as st
from redis._parsers.encoders import Encoder
from redis.connection import PythonRespSerializer

from notifier.storage.commands import command
from notifier.storage.wire import pack

WORDS = st.lists(st.one_of(st.text(), st.integers()), max_size=6)


@given(st.lists(WORDS, max_size=4))
def test_a_round_trip_is_packed_as_redis_py_packs_it(round_trip: list[list[str | int]]) -> None:
    # Given commands whose words hold anything JSON can: lone surrogates, separators, line ends
    theirs = PythonRespSerializer(6000, Encoder("utf-8", "surrogatepass", True).encode)  # type: ignore[no-untyped-call]
    expected = b"".join(
        part
        for words in round_trip
        for part in theirs.pack("EVALSHA", *words)  # type: ignore[no-untyped-call]
    )
    # When they are packed together
    packed = pack([command("EVALSHA", *words) for words in round_trip])
    # Then the server reads the same
    assert packed == expected
