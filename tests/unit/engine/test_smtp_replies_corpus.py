"""The collected refusals themselves: whole, unique, sourced, and nobody's address."""

from __future__ import annotations

import re
from collections import Counter
from ipaddress import ip_address, ip_network

from notifier.engine.replies import ReplyClass
from notifier.engine.transaction import Phase
from tests.corpus.smtp_replies import Row, read

ROWS = read()
FEWEST_ROWS = 300
FEWEST_OF_A_CLASS = 5
FEWEST_SERVERS = 40
MOST_WITH_TWO_CLASSES = 0.05

_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?![\d.])")
_ADDRESS = re.compile(r"([\w.+-]+)@((?:[\w-]+\.)+\w+)")
_IP = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
#: The people of the rows; everybody else in an address is a desk of the provider.
_NOBODY = frozenset({"user", "sender", "bounce"})
_DESKS = re.compile(r"abuse|postmaster|tosa|blacklist-admin|delist|^contact$")
_EXAMPLES = re.compile(r"(?:^|\.)example\.(?:com|net|org|jp|kyoto\.jp)$")
_DOCUMENTATION = [ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "127.0.0.0/8")]
#: Not addresses: a diagnostic number of Yahoo.
_NO_IPS = frozenset({"4.16.55.1"})


def test_there_are_enough_rows_of_enough_servers() -> None:
    assert len(ROWS) >= FEWEST_ROWS
    assert len({row.server for row in ROWS}) >= FEWEST_SERVERS


def test_no_row_is_there_twice() -> None:
    said = Counter((row.phase, row.code, row.text) for row in ROWS)
    assert [key for key, count in said.items() if count > 1] == []


def test_every_row_has_a_known_phase_and_refuses() -> None:
    phases = {phase.value for phase in Phase} - {Phase.QUEUE.value}
    assert [str(row) for row in ROWS if row.phase not in phases] == []
    assert [str(row) for row in ROWS if not 400 <= row.code <= 599] == []
    assert {row.phase for row in ROWS} == phases


def test_every_class_is_known_and_has_rows_of_its_own() -> None:
    known = {each.value for each in ReplyClass}
    assert [str(row) for row in ROWS if not row.classes <= known] == []
    alone = Counter(next(iter(row.classes)) for row in ROWS if len(row.classes) == 1)
    assert {each: alone[each] for each in known if alone[each] < FEWEST_OF_A_CLASS} == {}


def test_two_classes_are_the_exception() -> None:
    with_two = [row for row in ROWS if len(row.classes) > 1]
    assert all(len(row.classes) == 2 for row in with_two)
    assert len(with_two) <= MOST_WITH_TWO_CLASSES * len(ROWS)


def test_the_enhanced_code_is_the_one_at_the_begin_of_the_text() -> None:
    def begin(row: Row) -> str:
        found = _ENHANCED.match(row.text)
        return found[0] if found else ""

    assert [str(row) for row in ROWS if row.enhanced != begin(row)] == []


def test_every_row_says_who_where_and_when() -> None:
    assert [str(row) for row in ROWS if not row.server or not row.source] == []
    assert [str(row) for row in ROWS if not re.fullmatch(r"\d{4}-\d\d-\d\d", row.date)] == []


def test_no_row_names_a_real_person_or_machine() -> None:
    text = "\n".join(row.text for row in ROWS)
    people = [
        found[0]
        for found in _ADDRESS.finditer(text)
        if found[1].lower() not in _NOBODY and not _EXAMPLES.search(found[2]) and not _DESKS.search(found[1])
    ]
    assert people == []
    ips = {found[0] for found in _IP.finditer(text)} - _NO_IPS
    outside = [ip for ip in ips if not any(ip_address(ip) in net for net in _DOCUMENTATION)]
    assert outside == []
