"""Which endpoints want an event type: as `Endpoint.wants` says of each, whatever the patterns."""

from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.endpoint import Endpoint
from notifier.domain.subscriptions import KEPT, Subscriptions

PATTERNS = st.text(alphabet="ab.*?[]!", max_size=6) | st.sampled_from(["*", "order.*", "order.paid", "*.paid"])
TYPES = st.text(alphabet="ab.*[", max_size=6) | st.sampled_from(["order.paid", "order.", "order"])


@given(patterns=st.lists(st.lists(PATTERNS, max_size=3), max_size=8), asked=st.lists(TYPES, max_size=6))
def test_each_endpoint_is_found_that_wants_a_type_and_no_other(patterns: list[list[str]], asked: list[str]) -> None:
    endpoints = {f"ep_{n}": Endpoint(f"ep_{n}", "t", "u", (), tuple(wanted)) for n, wanted in enumerate(patterns)}
    subscriptions = Subscriptions({one.id: one.event_types for one in endpoints.values()})

    for event_type in asked:
        found = subscriptions.of(event_type)
        assert found == tuple(sorted(i for i, one in endpoints.items() if one.wants(event_type)))
        assert subscriptions.of(event_type) is found


def test_answers_to_ever_new_types_take_no_more_and_more_memory() -> None:
    # Given a tenant with many endpoints that want everything
    subscriptions = Subscriptions({f"ep_{number}": ["*"] for number in range(1000)})

    # When it is asked for more types than are kept
    for number in range(2 * KEPT // 1000):
        assert len(subscriptions.of(f"type.{number}")) == 1000

    # Then those of long ago are forgotten
    assert sum(map(len, subscriptions._answers.values())) <= KEPT + 1000
