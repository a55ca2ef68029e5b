"""One verdict on an address: of schemas, rules, `explain`, recipients, suppressions, settings and sending."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from notifier.api.models import RecipientChange
from notifier.api.recipients import checked_person
from notifier.channels.email.channel import EmailChannel
from notifier.channels.email.looking import MailLook
from notifier.cli.suppressions import check_address
from notifier.domain.addresses import is_address, read_address
from notifier.domain.recipient import Recipient
from notifier.engine.relays import SmtpRelays
from notifier.errors import InvalidDestination, RulesError, SchemaMismatch, SettingsError
from notifier.rules.content import Content
from notifier.rules.explanation import explain
from notifier.rules.schemas import Schema
from tests.unit.rules.trees import NOW, Endpoints, Tree, order

_TABLE = Path(__file__).parents[1] / "corpus" / "addresses.tsv"


def _rows() -> Iterator[tuple[str, str, str]]:
    with _TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield json.loads(row["address"]), row["sends_to"], row["source"]


ROWS = list(_rows())
each_row = pytest.mark.parametrize(("text", "sends_to", "source"), ROWS, ids=[ascii(row[0])[:50] for row in ROWS])
_SCHEMAS = [Schema({"format": name}, "schema.json") for name in ("email", "idn-email")]
_RELAYS = SmtpRelays(["smtp+plain://127.0.0.1:25"], hostname="mail.example.org")


def _by_schema(text: str) -> None:
    for schema in _SCHEMAS:
        schema.check(text)


def _by_recipients(text: str) -> None:
    change = RecipientChange(email=text)
    checked_person(Recipient("user-1", change.email))


def _as_sender(text: str) -> None:
    EmailChannel(_RELAYS, sender=text, hostname="mail.example.org")


#: Where an address is taken without a rule; each raises for what it does not take.
PLACES: dict[str, Callable[[str], None]] = {
    "format in a schema": _by_schema,
    "PUT /v1/recipients and `recipients set`": _by_recipients,
    "`suppressions`": check_address,
}


@each_row
def test_the_table_says_what_is_sent_to(text: str, sends_to: str, source: str) -> None:
    assert is_address(text) is (sends_to != "no"), source
    if sends_to != "no":
        assert read_address(text).envelope == sends_to, source


@pytest.mark.parametrize("place", PLACES)
@each_row
def test_every_place_that_takes_an_address_agrees(place: str, text: str, sends_to: str, source: str) -> None:
    if place.startswith("format") and text.encode("utf-8", "ignore").decode() != text:
        return  # no event has half a surrogate pair: it is replaced when the event comes in
    try:
        PLACES[place](text)
        taken = True
    except (SchemaMismatch, InvalidDestination, ValidationError):
        taken = False
    assert taken is (sends_to != "no"), source


@each_row
def test_a_sender_of_the_settings_is_taken_when_it_could_be_written_to(text: str, sends_to: str, source: str) -> None:
    if sends_to != "no":
        _as_sender(text)
    else:
        with pytest.raises(SettingsError):
            _as_sender(text)
    assert source


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> tuple[Content, MailLook]:
    """A rule for each key and form in which an event may give an address."""
    tree = Tree(tmp_path_factory.mktemp("addresses"))
    keys = {
        "text": "to: data.a",
        "object": "to: '{email: data.a}'".replace("{email: data.a}", '{"email": data.a}'),
        "cc": "to: \"'ok@example.org'\"\n    cc: data.a",
        "answers": "to: \"'ok@example.org'\"\n    reply_to: data.a",
    }
    tree.rules(
        "event: order.shipped\ntransactional: true\nrules:\n"
        + "".join(f"  - id: {name}\n    channel: email\n    {said}\n" for name, said in keys.items())
    )
    content = Content.load(tree.root)
    return content, MailLook(EmailChannel(_RELAYS, sender="s@example.org", hostname="mail.example.org"))


def _explained(rules: tuple[Content, MailLook], text: str) -> dict[str, bool]:
    """Rule → whether every mail it makes can leave."""
    content, look = rules
    event = order({"id": 1, "a": text})
    found = explain(event, content.catalog, Endpoints(), content.renderer, NOW, look=look)
    return {
        rule.rule.rpartition("/")[2]: not rule.problems and not any(one.error for one in rule.deliveries)
        for rule in found.rules
    }


#: Texts that name somebody in an address field though they are no address: with a quoted name, as a list.
def _is_field(text: str) -> bool:
    return any(sign in text for sign in ':;,<>()"')


@each_row
def test_what_explain_says_of_an_event_is_the_same(
    rules: tuple[Content, MailLook], text: str, sends_to: str, source: str
) -> None:
    # Given a text without an @, which is somebody's id in `to` and `cc`, and no address in an object
    told = _explained(rules, text)
    if "@" not in text:
        told = {"object": told["object"]}
    # Then all forms agree with the table
    assert told == dict.fromkeys(told, sends_to != "no"), source


@each_row
def test_a_rule_that_names_somebody_itself_is_refused_when_it_is_loaded(
    tmp_path: Path, text: str, sends_to: str, source: str
) -> None:
    if "@" not in text or not text.isprintable() or "\\" in text:
        return  # an id, or not to be written into YAML
    for line in (f"from: {json.dumps(text)}", f"cc: {json.dumps(repr(text))}"):
        (tmp_path / line[:2]).mkdir()
        tree = Tree(tmp_path / line[:2])
        tree.rule(f"channel: email\nto: data.a\n{line}")
        if sends_to != "no":
            tree.load()
        else:
            with pytest.raises(RulesError):
                tree.load()
    assert source


@given(
    st.text(st.characters(exclude_characters=':;,<>()"'), max_size=30)
    | st.builds("{}@{}".format, st.text(max_size=8), st.text("abAB.-_xn09ü。 \n", max_size=20))
)
@example("a@b\x85")
def test_any_text_has_one_verdict(text: str) -> None:
    if _is_field(text):
        return
    verdicts: dict[str, Any] = {"sending": is_address(text)}
    for place, ask in PLACES.items():
        try:
            ask(text)
            verdicts[place] = True
        except (SchemaMismatch, InvalidDestination, ValidationError):
            verdicts[place] = False
    assert len(set(verdicts.values())) == 1, verdicts
