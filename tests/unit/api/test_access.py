"""Tokens and what they include."""

from __future__ import annotations

import pytest

from notifier.api.access import Role, Tokens

_TEXT = (
    "publish:publish-token-01, read:read-token-000001 operate:operate-token-01\n"
    "admin:admin-token-00001 read:second-reader-01"
)


@pytest.mark.parametrize(
    ("token", "name", "roles"),
    [
        ("publish-token-01", "publish-1", {Role.PUBLISH}),
        ("read-token-000001", "read-1", {Role.READ}),
        ("second-reader-01", "read-2", {Role.READ}),
        ("operate-token-01", "operate-1", {Role.OPERATE, Role.READ}),
        ("admin-token-00001", "admin-1", set(Role)),
    ],
)
def test_a_token_has_its_role_and_the_ones_it_includes(token: str, name: str, roles: set[Role]) -> None:
    caller = Tokens.parse(_TEXT).caller(token)

    assert caller is not None
    assert (caller.name, caller.roles) == (name, roles)


@pytest.mark.parametrize("token", ["", "publish-token-0", "publish-token-011", "publish:publish-token-01", "\ud800"])
def test_anything_else_is_nobody(token: str) -> None:
    assert Tokens.parse(_TEXT).caller(token) is None


def test_without_tokens_everybody_is_nobody() -> None:
    assert Tokens.parse("").caller("") is None


def test_tokens_are_not_kept_in_clear() -> None:
    assert "publish-token-01" not in repr(vars(Tokens.parse(_TEXT)))
