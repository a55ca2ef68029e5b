"""What a rule's allowance for a recipient does not admit is dropped, or collected into a digest."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from notifier.channels.port import Directory, Work
from notifier.domain.delivery import Status
from notifier.domain.rule import Throttle
from notifier.storage.throttles import Throttles
from notifier.worker.rates.throttles import Sift, sift
from tests.integration.storage.making import fail, take
from tests.unit.worker.doubles import World, batch_of

NOBODY = Directory({}, {}, {})


@pytest.fixture
def sifted(world: World) -> Sift:
    return partial(sift, Throttles(world.store), world.digests)


def work(world: World, *ids: str, overflow: Any = "drop", tries: int = 0, **each: Any) -> list[Work]:
    """All to one address, one in a minute."""
    throttle = Throttle(1, 60.0, overflow=overflow)
    made = []
    for one in world.claimed(batch_of(*ids, **each)):
        to = one.delivery.to.model_copy(update={"address": "ann@example.org"})
        delivery = one.delivery.model_copy(update={"to": to})
        made.append(
            replace(
                one,
                request=replace(one.request, delivery=delivery),
                rule=replace(one.rule, throttle=throttle),
                claim=replace(one.claim, tries=tries),
            )
        )
    return made


def test_what_is_one_too_many_is_suppressed(world: World, sifted: Sift) -> None:
    going, withheld = sifted(work(world, "dlv_a", "dlv_b"), NOBODY, 1000.0)

    assert [one.delivery.id for one in going] == ["dlv_a"]
    assert [(one.work.delivery.id, one.status, one.reason) for one in withheld] == [
        ("dlv_b", Status.SUPPRESSED, "throttled")
    ]


def test_or_waits_for_its_digest_when_its_rule_says_so(world: World, sifted: Sift) -> None:
    _, withheld = sifted(work(world, "dlv_a", "dlv_b", overflow="digest"), NOBODY, 1000.0)

    assert [one.status for one in withheld] == [Status.HELD]
    ((_, closed),) = world.digests.close(take(world.digests, 1060.0), 1060.0, fail)
    assert closed.deliveries == ("dlv_b",)


def test_the_same_delivery_asked_for_again_is_admitted_again(world: World, sifted: Sift) -> None:
    made = work(world, "dlv_a")
    sifted(made, NOBODY, 1000.0)

    assert sifted(made, NOBODY, 1000.0)[0] == made


def test_without_a_throttle_nobody_is_asked(world: World, sifted: Sift) -> None:
    plain = world.claimed(batch_of("dlv_a"))
    before = world.store.round_trips

    assert sifted(plain, NOBODY, 1000.0)[0] == plain
    assert world.store.round_trips == before


@pytest.mark.parametrize("why", ["tried before", "expired"])
def test_what_was_admitted_before_or_is_not_sent_anyway_takes_no_place(world: World, sifted: Sift, why: str) -> None:
    first = work(world, "dlv_a", **({"tries": 1} if why == "tried before" else {"expires": 999.0}))

    assert sifted(first, NOBODY, 1000.0)[0] == first
    assert sifted(work(world, "dlv_b"), NOBODY, 1000.0)[1] == []
