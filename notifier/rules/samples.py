"""`Sample`: an example event beside the rules; previews, golden renders and the demo are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from notifier.domain.cloudevents import decode_object
from notifier.domain.event import Event
from notifier.errors import MalformedEvent


@dataclass(frozen=True, slots=True)
class Sample:
    """``sample.json`` (name ``""``) or ``sample.<name>.json`` of a folder."""

    folder: str
    name: str
    file: str
    event: Event


class SampleMistake(ValueError):
    """The file is not a CloudEvent; ``path`` says where in it."""

    def __init__(self, what: str, path: tuple[str, ...]) -> None:
        super().__init__(what)
        self.path = path


def sample_name(file_name: str) -> str | None:
    """``sample.json`` → ``""``, ``sample.big.json`` → ``big``; None for any other file."""
    if file_name == "sample.json":
        return ""
    if file_name.startswith("sample.") and file_name.endswith(".json"):
        return file_name.removeprefix("sample.").removesuffix(".json") or None
    return None


def read_sample(source: Any) -> Event:
    """Raises `SampleMistake`."""
    if not isinstance(source, dict):
        raise SampleMistake("a sample is a CloudEvent: an object with specversion, id, source, type and data", ())
    try:
        return decode_object(source)
    except MalformedEvent as error:
        raise SampleMistake(f"not a CloudEvent: {error}", (error.field,) if error.field else ()) from error
