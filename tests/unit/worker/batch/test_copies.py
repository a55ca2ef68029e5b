"""Who is named by an id and by their address in one mail gets it once."""

import pytest

from notifier.domain.delivery import Copies, Delivery, Mailbox, RecipientRef
from notifier.domain.recipient import Recipient
from notifier.worker.batch.copies import is_doubled

#: An id is a word, an address has an @.
STORED = {
    "ada": Recipient("ada", "ada@example.org"),
    "countess": Recipient("countess", "ADA@example.org"),
    "zoe": Recipient("zoe", "zoé@münchen.example"),
}


def _somebody(name: str) -> Mailbox | RecipientRef:
    return Mailbox(address=name) if "@" in name else RecipientRef(recipient=name)


@pytest.mark.parametrize(
    ("people", "sent"),
    [
        (["jo@example.org", "ada"], ["jo@example.org", "ada"]),
        (["jo@example.org", "ada", "Ada@Example.org"], ["jo@example.org", "Ada@Example.org"]),
        (["ada", "ada@example.org"], ["ada@example.org"]),
        (["ada", "countess"], ["ada"]),
        (["countess", "jo@example.org", "ada"], ["countess", "jo@example.org"]),
        (["countess", "ada", "ada@example.org"], ["ada@example.org"]),
        (["zoé@xn--mnchen-3ya.example", "zoe"], ["zoé@xn--mnchen-3ya.example"]),
        (["jo@example.org", "nobody", "ada"], ["jo@example.org", "nobody", "ada"]),
    ],
)
def test_each_address_gets_one_of_the_copies(people: list[str], sent: list[str]) -> None:
    # Given a mail to the first of them, with copies to the others
    to, *cc = map(_somebody, people)
    copies = Copies(to=to, cc=cc)
    deliveries = [Delivery(id=name, event=0, rule="a/b", to=_somebody(name), copies=copies) for name in people]

    # Then one delivery to each address is sent, and the explicit address wins
    assert [one.id for one in deliveries if not is_doubled(one, STORED)] == sent


def test_without_copies_nobody_is_asked_about() -> None:
    assert not is_doubled(Delivery(id="d", event=0, rule="a/b", to=RecipientRef(recipient="ada")), STORED)
