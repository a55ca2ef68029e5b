"""Which mails go again in the same delivery, and what that teaches of the relay."""

from typing import Any

import pytest

from notifier.engine.relay_habits import Plainness, RelayHabits
from notifier.engine.second_try import Again, goes_again, is_dialogue
from notifier.engine.transaction import Phase
from tests.unit.engine.factories import ACCEPTED, RELAY, Clock, broken, connection, refusal

USED_UP = refusal(Phase.MAIL, "452 4.5.3 too many messages on this connection")
CLOSING = refusal(Phase.MAIL, "421 4.3.2 shutting down")
UNKNOWN = refusal(Phase.RCPT, "500 5.5.1 command unrecognized")
NO_USER = refusal(Phase.RCPT, "550 5.1.1 no such user")
CROWDED = refusal(Phase.MAIL, "421 4.7.0 too many connections from your host")


def habits(**known: bool) -> RelayHabits:
    made = RelayHabits(RELAY, Clock(), connections=10)
    for name, value in known.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("end", "of_connection", "again"),
    [
        (NO_USER, {"carried": 9}, None),
        (ACCEPTED, {"carried": 9}, None),
        (USED_UP, {"carried": 1}, None),
        (USED_UP, {"carried": 9}, Plainness.AS_OFFERED),
        (CLOSING, {"carried": 1}, None),
        (CLOSING, {"carried": 9}, Plainness.AS_OFFERED),
        (refusal(Phase.DOT, "421 4.3.2 shutting down"), {"carried": 9}, None),
        (UNKNOWN, {"carried": 1}, None),
        (UNKNOWN, {"was_grouped": True}, Plainness.ONE_BY_ONE),
        (UNKNOWN, {"was_grouped": True, "was_announced": True}, Plainness.NOT_ANNOUNCED),
        (refusal(Phase.DOT, "500 5.5.1 command unrecognized"), {"was_grouped": True}, None),
        (broken(Phase.MAIL), {"carried": 1}, None),
        (broken(Phase.MAIL), {"carried": 9}, Plainness.AS_OFFERED),
        (broken(Phase.MAIL, "timeout"), {"carried": 9}, None),
        (broken(Phase.RCPT), {"was_grouped": True}, Plainness.ONE_BY_ONE),
        (broken(Phase.RCPT), {}, None),
        (broken(Phase.RCPT), {"was_announced": True}, Plainness.NOT_ANNOUNCED),
        (broken(Phase.RCPT, "tls"), {"was_announced": True}, None),
        (broken(Phase.DOT), {"was_grouped": True, "awaits_replies": False}, None),
    ],
)
def test_a_mail_goes_again_only_where_its_end_is_about_the_connection(
    end: Any, of_connection: dict[str, Any], again: Plainness | None
) -> None:
    found = goes_again(connection(**of_connection), end, habits())

    assert (found and found.plainness) == again


def test_one_connection_too_many_goes_again_and_says_so() -> None:
    found = goes_again(connection(), CROWDED, habits())

    assert isinstance(found, Again)
    assert found.too_many


def test_grouping_that_has_worked_is_not_what_a_lost_connection_is_blamed_on() -> None:
    grouped = connection(was_grouped=True)

    assert goes_again(grouped, broken(Phase.RCPT), habits(grouping_works=True)) is None


def test_announcing_that_has_worked_goes_again_as_it_was() -> None:
    found = goes_again(connection(was_announced=True), broken(Phase.RCPT), habits(announcing_works=True))

    assert found is not None
    assert found.plainness is Plainness.AS_OFFERED


def test_a_used_up_connection_teaches_how_many_mails_it_takes() -> None:
    known = habits()

    goes_again(connection(carried=21), USED_UP, known)

    assert known.mails == 20


def test_one_that_was_closed_while_it_rested_teaches_nothing() -> None:
    known = habits()
    for _ in range(2):
        goes_again(connection(carried=8, rested_at=7), CLOSING, known)
    assert known.mails == 0

    for _ in range(2):
        goes_again(connection(carried=8), CLOSING, known)
    assert known.mails == 7


@pytest.mark.parametrize(("end", "is_so"), [(broken(), True), (UNKNOWN, True), (NO_USER, False), (ACCEPTED, False)])
def test_what_says_nothing_about_how_it_wants_to_be_talked_to(end: Any, is_so: bool) -> None:
    assert is_dialogue(end) is is_so
