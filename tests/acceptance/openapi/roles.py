"""For schemathesis, which signs its requests by this: every role takes turns."""

import itertools
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
