"""The line that every verb leaves which changes something: what, who, when; as the API's calls leave theirs.

It goes to standard error, or to the end of NOTIFIER_AUDIT_FILE, which is opened before anything is changed.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Annotated, Any

import typer

from notifier.cli.exits import USAGE, fail

#: Characters of a name in an audit line; more is no name.
_LONGEST_NAME = 64

Said = Annotated[
    str, typer.Option("--as", metavar="NAME", help="Who asks, for the audit line; else the user of the system.")
]


def changing(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the option ``--as``, and open what its audit lines are written to before it begins."""
    own = list(inspect.signature(verb, eval_str=True).parameters.values())
    said = inspect.Parameter("said", inspect.Parameter.KEYWORD_ONLY, default="", annotation=Said)

    @wraps(verb)
    def run(*, said: str, **given: Any) -> None:
        _open(said)
        verb(**given)

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    run.__signature__ = inspect.Signature([*parameters, said])  # type: ignore[attr-defined]
    return run


def note(what: str, /, **about: Any) -> None:
    """Say what was changed; of verbs that are `changing` only."""
    from notifier import audit

    audit.note(what, **about, **_asking)


def steps(what: str, /, **about: Any) -> AbstractContextManager[None]:
    """`audit.steps`, of verbs that are `changing` only."""
    from notifier import audit

    return audit.steps(note, what, **about)


#: ``by`` and ``account`` of this process's lines.
_asking: dict[str, str] = {}


def _open(said: str) -> None:
    from notifier import audit, logs
    from notifier.process import settings

    ours = settings()
    _asking.update(account=_account(), by=_name(said) or _sudoer() or _account())
    if ours.audit_file is None:
        logs.divert(audit.LOGGER, ours.log_format, sys.stderr)
        return
    try:
        stream = ours.audit_file.open("a", encoding="utf-8")
    except OSError as error:
        raise fail(
            f"NOTIFIER_AUDIT_FILE: {ours.audit_file} cannot be written: {error.strerror}; nothing was done", USAGE
        ) from None
    logs.divert(audit.LOGGER, ours.log_format, stream)


def _name(said: str) -> str:
    if "@" in said or len(said) > _LONGEST_NAME or not (said.isprintable() and said == said.strip()):
        raise fail(f"--as {said[:80]!r}: write a name of at most {_LONGEST_NAME} characters, no address", USAGE)
    return said


def _account() -> str:
    """By the process, not by variables that anybody may set."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in containers a process may have a number nobody has named
        return str(os.getuid())


def _sudoer() -> str:
    """Whoever became root by sudo, which sets this; a user who is not root could set it to anything."""
    return os.environ.get("SUDO_USER", "") if os.getuid() == 0 else ""
