"""Operations as data: what they send, without a server."""

import re
from importlib.resources import files

import pytest

from notifier.domain.delivery import Status, may_become
from notifier.storage import claims
from notifier.storage.commands import Call, load_script, transitions_text
from notifier.storage.packs import Packs

SCRIPTS = sorted(f.name.removesuffix(".lua") for f in (files("notifier.storage") / "lua").iterdir())


@pytest.mark.parametrize("current", Status)
@pytest.mark.parametrize("following", Status)
def test_scripts_carry_the_transition_table(current: Status, following: Status) -> None:
    assert (f" {current}>{following} " in transitions_text()) == may_become(current, following)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_touch_only_the_keys_they_declare(name: str) -> None:
    # Given a script
    source = load_script(name).source
    # Then every key it gives to Redis comes from KEYS, so that it runs on a Cluster
    calls = re.findall(r"redis\.call\('[A-Z]+',\s*([^,)]+)", source)
    assert all(first.startswith("KEYS[") for first in calls)


def test_releasing_sends_one_command_for_each_delivery_in_one_round_trip() -> None:
    # Given two held deliveries
    operation = claims.release(Packs(), [("dlv_a", 1), ("dlv_b", 2)], now=1.0)
    # When it is asked for its first round trip
    calls = list(next(operation))
    # Then both are in it, each with its own key
    assert [call.words[3] for call in calls] == ["ntf:d:a", "ntf:d:b"]
    assert all(isinstance(call, Call) and call.script for call in calls)
    with pytest.raises(StopIteration) as stop:
        operation.send([1, 0])
    assert stop.value.value == [True, False]
