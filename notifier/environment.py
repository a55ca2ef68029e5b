"""Environment → `Settings`, validated once, with every mistake at once; and what `notifier config` shows of them.

Secrets may come from a file: ``NOTIFIER_SECRET_KEY_FILE``. Nothing else reads the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from notifier.client.server_url import MASK, masked_nodes, masked_urls
from notifier.domain.provider import SETTING
from notifier.errors import Problem, SettingsError
from notifier.settings import (
    BROKER_SCHEMES,
    HISTORY_SCHEMES,
    MANAGEMENT_SCHEMES,
    PREFIX,
    REDIS_SCHEMES,
    SEVERAL_HOSTS,
    SMTP_SCHEMES,
    Settings,
    is_secret,
    split_list,
    variable,
)

#: Behind a secret's name: where it is read from.
_FILE = "_FILE"
_ADDRESSES = {
    "broker_management_url": MANAGEMENT_SCHEMES,
    "redis_url": REDIS_SCHEMES,
    "smtp_url": SMTP_SCHEMES,
    "history_url": HISTORY_SCHEMES,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting as ``notifier config`` and the reference page show it."""

    variable: str
    value: str
    origin: str
    """``default``, the variable's name, or the file it was read from."""
    default: str
    description: str


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Raises `SettingsError` with every variable that is unknown, unreadable or wrong."""
    values, problems = _collect(environment)
    problems += _collect_channels(environment)[1]
    try:
        settings = Settings.model_validate({name: value for name, (value, _) in values.items()})
    except ValidationError as error:
        problems.extend(_problem(e["loc"], e["msg"], e.get("input")) for e in error.errors(include_url=False))
        # Without its cause: pydantic's error, and in a traceback each frame below it, holds the values.
        raise SettingsError(problems) from None
    if problems:
        raise SettingsError(problems)
    return settings


def read_channel_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Every ``NOTIFIER_CHANNEL_…`` that has a value: what channel files name instead of secrets.

    Raises `SettingsError` with every file that cannot be read. No others can be wrong: only the files know their names.
    """
    values, problems = _collect_channels(environment)
    if problems:
        raise SettingsError(problems)
    return {name: value for name, (value, _) in values.items()}


def entries(settings: Settings, environment: Mapping[str, str]) -> list[Entry]:
    """Every setting with its masked value and where that came from, in the order of the reference page."""
    values, _ = _collect(environment)
    channels, _ = _collect_channels(environment)
    ours = [
        Entry(
            variable=variable(name),
            value=masked(name, getattr(settings, name)),
            origin=values[name][1] if name in values else "default",
            default="" if is_secret(field) and name == "secret_key" else masked(name, field.default),
            description=field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]
    description = "What a channel file names instead of a secret."
    return ours + [Entry(name, MASK, origin, "", description) for name, (_, origin) in channels.items()]


def masked(name: str, value: Any) -> str:
    """A value as logs and ``notifier config`` may show it: of an address scheme, host and port, of a secret nothing."""
    if value in (None, ""):
        return ""
    if name == "broker_url":
        return masked_nodes(value, BROKER_SCHEMES)
    if name in _ADDRESSES:
        urls = split_list(value) if name == "smtp_url" else [value]
        return masked_urls(urls, _ADDRESSES[name], several=value.startswith((*SEVERAL_HOSTS, *HISTORY_SCHEMES)))
    if is_secret(Settings.model_fields[name]) or (name == "public_url" and "@" in value):
        return MASK
    return str(value)


def _collect(environment: Mapping[str, str]) -> tuple[dict[str, tuple[str, str]], list[Problem]]:
    values: dict[str, tuple[str, str]] = {}
    problems: list[Problem] = []
    for key in sorted(k for k in environment if k.startswith(PREFIX) and not SETTING.fullmatch(k)):
        name = key.removeprefix(PREFIX).lower()
        secret_name = name.removesuffix("_file")
        if name in Settings.model_fields:
            if environment[key] != "" or name not in values:
                values[name] = (environment[key], key)
        elif name.endswith("_file") and secret_name in Settings.model_fields and _may_be_file(secret_name):
            # Empty is not set, as with every setting: compose files write `…_FILE: ${…_FILE:-}`.
            if environment[key] != "":
                _read_file(key, environment[key], secret_name, values, problems)
        else:
            problems.append(Problem(key, "no such setting", "see `notifier config` for all names"))
    kept = {n: v for n, v in values.items() if v[0] != "" or Settings.model_fields[n].default == ""}
    return kept, problems


def _collect_channels(environment: Mapping[str, str]) -> tuple[dict[str, tuple[str, str]], list[Problem]]:
    """Names as they are, with value and origin."""
    values: dict[str, tuple[str, str]] = {}
    problems: list[Problem] = []
    for key in sorted(filter(SETTING.fullmatch, environment), key=lambda key: (key.endswith(_FILE), key)):
        if key.endswith(_FILE):
            _read_file(key, environment[key], key.removesuffix(_FILE), values, problems)
        elif value := environment[key].strip():
            values[key] = (value, key)
    return {name: value for name, value in sorted(values.items()) if value[0]}, problems


def _may_be_file(name: str) -> bool:
    return is_secret(Settings.model_fields[name])


def _read_file(key: str, path: str, name: str, values: dict[str, tuple[str, str]], problems: list[Problem]) -> None:
    if values.get(name, ("", ""))[0]:
        problems.append(Problem(key, f"{key.removesuffix(_FILE)} is set as well", "set one of the two"))
        return
    # What is no whole path may be the secret itself, put into the wrong variable.
    shown = path if path.startswith(("/", "./", "../")) and "://" not in path else "the file it names"
    try:
        values[name] = (Path(path).read_text(encoding="utf-8").strip(), shown)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or "it is no text file"
        problems.append(Problem(key, f"cannot read {shown}: {reason}", "name a readable text file by its whole path"))


def _problem(location: tuple[int | str, ...], message: str, value: Any) -> Problem:
    name = str(location[0]) if location else ""
    field = Settings.model_fields.get(name)
    shown = masked(name, value) if field is not None and isinstance(value, str) else ""
    what = message.removeprefix("Value error, ")
    fix = (field.description or "") if field is not None else ""
    return Problem(variable(name), f"{shown!r}: {what}" if shown else what, fix)
