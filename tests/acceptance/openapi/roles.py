"""For schemathesis, which signs its requests by this: every role takes turns."""

import itertools
import json
import os
from typing import Any

import schemathesis

_ADMIN, *_OTHERS = os.environ["OPENAPI_TOKENS"].split()
#: The administrator most of the time: whoever may not do a thing is refused before it is looked at.
_TURNS = itertools.cycle([_ADMIN, _ADMIN, _ADMIN, *_OTHERS])


@schemathesis.auth(refresh_interval=None)
class Turns:
    def get(self, case: Any, context: Any) -> str:
        return next(_TURNS)

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.serializer("application/x-ndjson")
def lines(ctx: Any, value: Any) -> bytes:
    """A text as it is; what is none, as the JSON of one line."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else json.dumps(value).encode()
