"""Taking a person out of what is kept about them. By POST: an address must not stand in a URL, which is logged."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request

from notifier import audit
from notifier.api.access import Role, Tokens, needs
from notifier.api.problems import responses
from notifier.forgetting import Forgetting

#: Of an id (`api.recipients`); an address has at most 254 (RFC 5321 §4.5.3.1.3, erratum 1690).
MOST_CHARACTERS = 256


class Forget(BaseModel):
    """Who is to be forgotten."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    who: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$", max_length=MOST_CHARACTERS)] = Field(
        description="An email address, a phone number, or a recipient's id.", examples=["kim@example.org"]
    )
    suppress: bool = Field(False, description="Also send nothing to the address from now on; a hash of it is kept.")
    dry_run: bool = Field(False, description="Only count.")


class ForgottenBody(BaseModel):
    """What was known of them, by number."""

    model_config = ConfigDict(from_attributes=True, hide_input_in_errors=True)

    key: str = Field(description="The person's key, which logs may carry.")
    recipients: int = Field(description="Records in the directory of people.")
    deliveries: int = Field(description="Deliveries in the ledger.")
    waiting: int = Field(description="Of these, on their way: they end as `skipped`.")
    sending: int = Field(description="Of these, being sent at this moment: forget once more when that has ended.")
    parked: int = Field(description="Entries of failure queues, dropped with their messages.")
    windows: int = Field(description="Digests that were being collected.")
    items: int = Field(description="Items in these.")
    suppressed: bool = Field(description="Nothing is sent to the address, by a hash of it that stays.")
    history: int = Field(0, description="Deliveries in the history, where there is one.")


def router(tokens: Tokens, forgetting: Forgetting) -> APIRouter:
    """The route; for administrators, because nothing brings back what it takes."""
    routes = APIRouter(prefix="/v1/forget", tags=["recipients"], responses=responses(404))

    @routes.post("", summary="Forget a person everywhere", dependencies=[Depends(needs(tokens, Role.ADMIN))])
    def forget(request: Request, wanted: Forget) -> ForgottenBody:
        """Erases them from the directory, the ledger, the history, failure queues and open digests. Role: `admin`.

        Count first with `dry_run`. The ledger keeps that something was sent, but not to whom.
        """
        if wanted.dry_run:
            return ForgottenBody.model_validate(forgetting.look(wanted.who))
        by_caller = partial(audit.note, by=request.state.caller.name)
        with audit.steps(by_caller, "person.forget", key=forgetting.look(wanted.who).key):
            found = forgetting.forget(wanted.who, suppress=wanted.suppress)
        audit.note("person.forgotten", key=found.key, by=request.state.caller.name)
        return ForgottenBody.model_validate(found)

    return routes
