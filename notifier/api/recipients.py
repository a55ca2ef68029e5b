"""People known by an id, so that events can name them without carrying their address."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request

from notifier import audit
from notifier.api.access import Role, Tokens, needs
from notifier.api.models import ID_PATTERN, RecipientBody, RecipientChange
from notifier.api.problems import responses
from notifier.domain.addresses import read_address
from notifier.domain.contacts import KIND, PHONE, RESERVED, parse_contact, parse_phone
from notifier.domain.recipient import Recipient
from notifier.errors import InvalidDestination, NotFound
from notifier.storage.recipients import Recipients
from notifier.zones import find_zone

Id = Annotated[str, Path(max_length=256, pattern=ID_PATTERN, examples=["user-4711"])]


def router(tokens: Tokens, recipients: Recipients) -> APIRouter:
    """The routes. Addresses leave here in clear: operators may look, administrators may change."""
    routes = APIRouter(prefix="/v1/recipients", tags=["recipients"])
    operate = [Depends(needs(tokens, Role.OPERATE))]
    admin = [Depends(needs(tokens, Role.ADMIN))]

    @routes.put("/{id:path}", summary="Add or replace a person", dependencies=admin)
    def put(request: Request, id: Id, change: RecipientChange) -> RecipientBody:  # noqa: A002
        """Deliveries that wait go to the new address. Role: `admin`."""
        person = checked_person(Recipient(id=id, **change.model_dump()))
        recipients.put([person])
        _note(request, "put", id)
        return RecipientBody.model_validate(person)

    @routes.get("/{id:path}", summary="One person", dependencies=operate, responses=responses(404))
    def show(id: Id) -> RecipientBody:  # noqa: A002
        """With the address in clear. Role: `operate`."""
        found = recipients.get_many([id]).get(id)
        if found is None:
            raise NotFound(f"no recipient {id!r}")
        return RecipientBody.model_validate(found)

    @routes.delete(
        "/{id:path}", status_code=204, summary="Forget a person", dependencies=admin, responses=responses(404)
    )
    def remove(request: Request, id: Id) -> None:  # noqa: A002
        """Deliveries that wait for this id are parked as `bad_destination`. Role: `admin`."""
        if not recipients.remove(id):
            raise NotFound(f"no recipient {id!r}")
        _note(request, "removed", id)

    return routes


def _note(request: Request, verb: str, identity: str) -> None:
    audit.note(f"recipient.{verb}", **audit.about_recipient(identity), by=request.state.caller.name)


def checked_person(person: Recipient) -> Recipient:
    """The person with each address in its one spelling.

    Raises `InvalidDestination` when they could not be found by a rule, or not be written to.
    """
    if "@" in person.id or person.id.startswith("+"):
        raise InvalidDestination(
            f"id {person.id[:80]!r}: ids are stored in clear, and a rule takes one with @ or + for an address"
        )
    if not (person.email or person.contacts):
        raise InvalidDestination("a recipient has an email, a phone or another address; this one has none")
    if person.email:
        read_address(person.email)
    if person.timezone:
        try:
            find_zone(person.timezone)
        except ValueError as error:
            raise InvalidDestination(f"timezone: {error}") from None
    if wrong := [kind for kind in person.addresses if kind in {PHONE, *RESERVED} or not KIND.fullmatch(kind)]:
        raise InvalidDestination(f"addresses: {wrong[0][:40]!r} is no name for one: lower-case letters, digits and _")
    if not person.contacts:
        return person
    phone = parse_phone(person.phone) if person.phone else ""
    addresses = {kind: parse_contact(kind, at) for kind, at in person.addresses.items()}
    return replace(person, phone=phone, addresses=addresses)
