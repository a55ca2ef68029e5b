"""Who changed what: which verbs ask for a name, and that nothing is changed where the line could not be written."""

from __future__ import annotations

import typer.main

from notifier.cli.application import application
from tests.unit.cli.test_verbs import ALL_VERBS, _clean_environment, _run

__all__ = ["_clean_environment"]

#: Verbs that change nothing and show no event's data, or run a role whose log says what it does.
LOOKING = {
    "config docs",
    "topology show",
    "topology check",
    "templates check",
    "endpoints list",
    "endpoints show",
    "recipients show",
    "suppressions list",
    "suppressions show",
    "failures list",
    "failures unmatched",
    "limits list",
    "history run",
    "history status",
    "show",
    "size",
    "explain",
    "relays",
    "version",
    "worker",
    "beat",
    "consume",
    "api",
    "demo",
}


def test_every_verb_that_changes_something_asks_who_it_is_for() -> None:
    verbs = {" ".join(path): command for path, command in ALL_VERBS if not hasattr(command, "commands")}
    asking = {name for name, command in verbs.items() if any("--as" in option.opts for option in command.params)}

    assert asking == verbs.keys() - LOOKING


def test_without_a_place_for_its_line_a_verb_does_nothing() -> None:
    # Given a file that cannot be written, and a Redis that nobody can reach
    done = _run(
        "endpoints",
        "disable",
        "ep_1",
        NOTIFIER_AUDIT_FILE="/nowhere/audit.log",
        NOTIFIER_REDIS_URL="redis://127.0.0.1:1/0",
    )

    # Then the file is what it complains of
    assert done.exit_code == 2
    assert "NOTIFIER_AUDIT_FILE: /nowhere/audit.log cannot be written: No such file or directory" in done.stderr
    assert "nothing was done" in done.stderr
    assert "Redis" not in done.stderr


def test_an_address_is_no_name_because_lines_carry_none() -> None:
    done = _run("limits", "reset", "relay", "--as", "kim@example.org")

    assert done.exit_code == 2
    assert "write a name of at most 64 characters, no address" in done.stderr


def test_a_verb_keeps_its_own_options() -> None:
    command = typer.main.get_command(application)
    replay = command.commands["failures"].commands["replay"]  # type: ignore[attr-defined]

    assert {"--rate", "--cause", "--dry-run", "--as"} <= {name for option in replay.params for name in option.opts}
