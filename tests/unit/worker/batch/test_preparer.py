"""Which of the claimed deliveries go, and why the others do not."""

import time
from dataclasses import replace
from typing import Any

import pytest

from notifier.channels.port import Directory, Draft, Ready, Withheld, Work
from notifier.domain.batch import Batch
from notifier.domain.delivery import Copies, Delivery, Mailbox, RecipientRef, Status
from notifier.domain.ids import recipient_key
from notifier.domain.message import EmailMessage
from notifier.domain.outcome import Cause
from notifier.domain.recipient import Recipient
from notifier.domain.suppression import NOTHING, bounced, unsubscribed
from notifier.errors import InvalidDestination, RenderError
from notifier.storage.ledger import Claimed
from notifier.worker.batch.claims import work_of
from notifier.worker.batch.preparer import EARLY_MOST, gate, prepare, render_early
from tests.fake_channel import FakeChannel
from tests.unit.worker.doubles import batch_of, content_in

NOBODY = Directory({}, {}, {})


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return content_in(tmp_path_factory.mktemp("templates") / "templates")


def work(content: Any, *ids: str, rule: str = "order.shipped/mail", claim: Claimed | None = None, **each: Any) -> Any:
    return [replace(one, claim=claim or Claimed(1, 0)) for one in work_of(batch_of(*ids, rule=rule, **each), content)]


def prepared(content: Any, one: Work, directory: Directory = NOBODY, channel: Any = None, **early: Draft) -> Any:
    (made,) = prepare(channel or FakeChannel(), [one], content, directory, lambda: None, early=early)
    return made


def test_what_is_wanted_is_rendered_and_composed_with_a_pause_between_any_two_steps(content: Any) -> None:
    pauses: list[None] = []

    made = prepare(
        FakeChannel(),
        work(content, "dlv_a", "dlv_b"),
        content,
        NOBODY,
        lambda: pauses.append(None),
        early={},
    )

    assert [isinstance(one, Ready) and one.outgoing for one in made] == ["dlv_a", "dlv_b"]
    assert len(pauses) == 4


@pytest.mark.parametrize(("seconds", "goes"), [(-0.001, False), (60.0, True)])
def test_what_has_expired_does_not_go(content: Any, seconds: float, goes: bool) -> None:
    (one,) = work(content, "dlv_a", expires=time.time() + seconds)

    made = prepared(content, one)

    assert isinstance(made, Ready) is goes
    assert goes or made.status is Status.EXPIRED


@pytest.mark.parametrize(
    ("part", "reason"),
    [(bounced("smtp_550", 1.0), "bounced: smtp_550"), (unsubscribed("orders", 1.0), "unsubscribed:orders")],
)
def test_who_is_suppressed_is_not_written_to(content: Any, part: Any, reason: str) -> None:
    (one,) = work(content, "dlv_a", claim=Claimed(1, 0, suppressed=NOTHING.plus(part)))

    found = gate(one, NOBODY, 0.0)

    assert found is not None
    assert (found.status, found.reason) == (Status.SUPPRESSED, reason)


def test_another_category_that_was_switched_off_stops_nothing(content: Any) -> None:
    (one,) = work(content, "dlv_a", claim=Claimed(1, 0, suppressed=NOTHING.plus(unsubscribed("news", 1.0))))

    assert gate(one, NOBODY, 0.0) is None


def test_a_person_is_suppressed_by_the_address_that_they_have_now(content: Any) -> None:
    (one,) = work(content, "dlv_a")
    delivery = one.delivery.model_copy(update={"to": RecipientRef(recipient="ada")})
    one = replace(one, request=replace(one.request, delivery=delivery))
    suppressed = {recipient_key("ada@example.org"): NOTHING.plus(bounced("smtp_550", 1.0))}

    found = gate(one, Directory({}, {"ada": Recipient("ada", "ada@example.org")}, suppressed), 0.0)

    assert found is not None
    assert found.status is Status.SUPPRESSED
    assert gate(one, Directory({}, {"ada": Recipient("ada", "other@example.org")}, suppressed), 0.0) is None


def test_whose_address_gets_another_copy_is_skipped(content: Any) -> None:
    (one,) = work(content, "dlv_a")
    ada = RecipientRef(recipient="ada")
    copies = Copies(to=Mailbox(address="ada@example.org"), cc=[ada])
    delivery = one.delivery.model_copy(update={"to": ada, "copies": copies})
    one = replace(one, request=replace(one.request, delivery=delivery))

    made = prepared(content, one, Directory({}, {"ada": Recipient("ada", "ada@example.org")}, {}))

    assert isinstance(made, Withheld)
    assert made.status is Status.SKIPPED


@pytest.mark.parametrize(("rule", "goes"), [("order.shipped/once", False), ("order.shipped/mail", True)])
def test_what_may_have_been_sent_goes_again_unless_its_rule_says_park(content: Any, rule: str, goes: bool) -> None:
    (one,) = work(content, "dlv_a", rule=rule, claim=Claimed(2, 0, uncertain=True))

    made = prepared(content, one)

    assert isinstance(made, Ready) is goes
    assert goes or made.park.cause is Cause.UNCERTAIN


def test_a_rule_that_this_worker_has_not_is_refused_with_its_name(content: Any) -> None:
    (one,) = work(content, "dlv_a", rule="order.shipped/newer")

    made = prepared(content, one)

    assert (made.status, made.park.cause) == (Status.REFUSED, Cause.RULE_MISSING)
    assert "order.shipped/newer" in made.park.reason


class Failing(FakeChannel):
    """Raises when it renders, or when it composes."""

    def __init__(self, step: str, error: Exception) -> None:
        super().__init__()
        self.step, self.error = step, error

    def render(self, *arguments: Any) -> Any:
        if self.step == "render":
            raise self.error
        return super().render(*arguments)

    def compose(self, *arguments: Any) -> Any:
        if self.step == "compose":
            raise self.error
        return super().compose(*arguments)


@pytest.mark.parametrize("step", ["render", "compose"])
@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (RenderError("order.shipped", "no total"), Cause.RENDER_FAILED),
        (InvalidDestination("nobody"), Cause.BAD_DESTINATION),
    ],
)
def test_what_cannot_be_made_is_refused_alone(content: Any, step: str, error: Exception, cause: Cause) -> None:
    (one,) = work(content, "dlv_a")

    made = prepared(content, one, channel=Failing(step, error))

    assert (made.status, made.park.cause, made.park.reason) == (Status.REFUSED, cause, str(error))


def test_what_was_rendered_early_is_not_rendered_again_and_gets_its_claim(content: Any) -> None:
    (one,) = work(content, "dlv_a", claim=Claimed(7, 0))
    draft = Draft(replace(one, claim=Claimed(0, 0)), one.delivery.to, EmailMessage("early", "text", "", "template"))

    made = prepared(content, one, channel=Failing("render", AssertionError()), dlv_a=draft)

    assert (made.work.claim.fence, made.outgoing) == (7, "dlv_a")


def test_only_what_needs_no_look_up_is_rendered_early_and_never_much(content: Any) -> None:
    def early(*made: Work, channel: Any = None) -> list[str]:
        return list(render_early(channel or FakeChannel(), made, content, {}))

    (mail,), (unknown,) = work(content, "dlv_a"), work(content, "dlv_b", rule="order.shipped/newer")
    person = replace(
        mail,
        request=replace(mail.request, delivery=mail.delivery.model_copy(update={"to": RecipientRef(recipient="ada")})),
    )

    assert early(mail, unknown) == ["dlv_a"]
    assert early(person) == []
    assert early(*[mail] * (EARLY_MOST + 1)) == []
    assert early(mail, channel=Failing("render", ValueError("found again, and told, when it is prepared"))) == []


def test_a_digest_all_of_whose_items_have_expired_does_not_go(content: Any) -> None:
    from notifier.domain.delivery import DigestItems

    items = DigestItems(items=[0, 0], total=2, deliveries=["dlv_i", "dlv_j"], expires=[50.0, 60.0])
    batch = batch_of("dig_1", digest=items)
    (one,) = work_of(batch, content)

    assert isinstance(batch, Batch)
    assert isinstance(one.delivery, Delivery)
    assert gate(one, NOBODY, 55.0) is None
    found = gate(one, NOBODY, 60.0)
    assert found is not None
    assert found.status is Status.EXPIRED
