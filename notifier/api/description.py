"""The OpenAPI description: what the routes say of themselves, and what is true of all of them."""

from __future__ import annotations

from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from notifier import __version__
from notifier.api import problems
from notifier.api.access import needs_a_token

TITLE = "Notifier"
ABOUT = """Publish events, ask what became of them, and operate the failure queues.

Callers send `Authorization: Bearer TOKEN`. Roles: `publish` (events in), `read` (statuses), `operate` (`read`, failure
queues, switching endpoints), `admin` (everything). Without configured tokens the API answers 401 to everything but
health checks and unsubscribe links.

Lists take `limit` and `after`: `next` of an answer is the `after` of the page that follows, and is empty on the last
one; of a bare list it is the last row's name. What stays while others add and remove is on exactly one of the pages.

Errors are `application/problem+json` (RFC 9457) with `title` (what), `where`, `detail` (why) and `do`."""

#: What FastAPI says of its own errors, which we answer otherwise.
_NOT_OURS = ("HTTPValidationError", "ValidationError")


def describe(routes: list[BaseRoute]) -> dict[str, Any]:
    """The description as JSON."""
    description = get_openapi(title=TITLE, version=__version__, description=ABOUT, routes=routes)
    components = description.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unwanted in _NOT_OURS:
        schemas.pop(unwanted, None)
    schemas["ProblemBody"] = problems.ProblemBody.model_json_schema()
    components["responses"] = problems.components()
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in description["paths"].items():
        for operation in operations.values():
            _complete(path, operation)
    return description


def _complete(path: str, operation: dict[str, Any]) -> None:
    """Add what every operation of its kind answers besides; where a route says something else, that stands."""
    answers: dict[str, Any] = operation["responses"]
    common = set(problems.ANY_REQUEST)
    if needs_a_token(path):
        operation["security"] = [{"token": []}]
        common |= problems.ANY_CALLER
    ours = {status for status, answer in answers.items() if problems.is_ours(answer)}
    for status in {str(one) for one in common if str(one) not in answers} | ours:
        answers[status] = problems.reference(int(status))
    operation["responses"] = dict(sorted(answers.items()))
