"""Dictionaries of several parts of a Cluster, in one process."""

from typing import Any

from notifier.storage.words import DOMAIN, HOW, Words

HOW_IT_WAS = ("1", "a1b2c3", "news/mail", "email")


def of_its_own(text: str) -> str:
    """Equal, and another object."""
    return text[:1] + text[1:]


def learned(shared: dict[Any, Any]) -> Words:
    """One that was answered codes for two words, as they come from Redis: objects of their own."""
    words = Words(shared)
    wished = [(HOW, tuple(map(of_its_own, HOW_IT_WAS))), (DOMAIN, of_its_own("example.org"))]
    for kind, word in wished:
        words.wish(kind, word)
    words.learn(wished, [2, of_its_own("a1"), of_its_own("a2")])
    return words


def test_what_several_dictionaries_know_is_kept_once() -> None:
    shared: dict[Any, Any] = {}
    one, other = learned(shared), learned(shared)
    for kind in (HOW, DOMAIN):
        (known,), (again,) = one.codes[kind], other.codes[kind]
        assert known is again
        assert one.codes[kind][known] is other.codes[kind][again]


def test_what_one_forgets_another_still_knows() -> None:
    shared: dict[Any, Any] = {}
    one, other = learned(shared), learned(shared)
    one.clear()
    shared.clear()
    assert not one.codes[HOW]
    assert other.codes[HOW] == {HOW_IT_WAS: "a1"}
