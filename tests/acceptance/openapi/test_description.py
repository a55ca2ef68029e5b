"""The API does what its OpenAPI description says, and nothing else: asked by a program that reads only that.

``make test ARGS=tests/acceptance/openapi OPENAPI_EXAMPLES=300`` searches for longer, differently each time.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from notifier.channels.email.unsubscribe import UnsubscribeLinks
from notifier.domain.ids import event_key, recipient_key
from tests.acceptance.place import SOURCE, Place, hook_folder, mail_folder, place
from tests.acceptance.service import ADMIN_TOKEN, SECRET_KEY, Process, ask
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

HERE = Path(__file__).parent
TOKENS = {
    "admin": ADMIN_TOKEN,
    "publish": "a-long-publishers-token",
    "read": "a-long-readers-token",
    "operate": "a-long-operators-token",
}
# Types nobody would think of: an event for an endpoint that is only invented must not be sent there.
MAIL, HOOK = "described.mail.94d1", "described.hook.94d1"
FOLDERS = {MAIL: mail_folder(MAIL), HOOK: hook_folder(HOOK)}
#: Cases for each operation, besides those that follow from the description; and where they begin.
EXAMPLES = os.environ.get("OPENAPI_EXAMPLES", "")
SEARCH = ["-n", EXAMPLES] if EXAMPLES else ["-n", "2", "--seed", "20261130"]


def test_the_api_does_what_its_description_says(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path: Path) -> None:
    tokens = " ".join(f"{role}:{token}" for role, token in TOKENS.items())
    with place(rabbitmq, redis_server, tmp_path, FOLDERS, NOTIFIER_API_TOKENS=tokens, **LINKS) as at:
        # Given the service, with something of everything
        api = at.service.api()
        at.service.consumer()
        at.service.worker("-n", "one@%h")
        known = something_of_everything(at, api)

        # When callers of every role ask it whatever its description allows, and what it does not
        ran = asked(api, known, tmp_path)

        # Then it answered as described
        assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr
        # And never with an error nobody expected; and every role was heard, every answer given
        answers = answered(api)
        assert {status for _, status in answers if status >= 500} == set()
        assert {caller for caller, _ in answers} == {None, "admin-1", "publish-1", "read-1", "operate-1"}
        assert {status for _, status in answers} >= {200, 201, 202, 204, 400, 401, 403, 404, 405, 422}


LINKS = {"NOTIFIER_PUBLIC_URL": "https://mail.example.org"}


def something_of_everything(at: Place, api: Process) -> dict[str, list[str]]:
    """What is there, by the names in `schemathesis.toml`."""
    endpoints = [at.endpoints.add("default", at.http.url).id for _ in range(20)]
    people = [f"user-{number}" for number in range(20)]
    for one in people:
        body = {"email": f"{one}@example.org"}
        assert ask(api.health_port, f"/v1/recipients/{one}", method="PUT", body=body)[0] == 200
    published = [
        at.publish(HOOK, {}),
        at.publish(MAIL, {"to": "kim@example.org"}),
        at.publish(MAIL, {"to": {"name": "Nobody"}}),
    ]
    hook, mail, refused = (event_key(SOURCE, one) for one in published)
    at.until_parked(refused)
    links = UnsubscribeLinks(LINKS["NOTIFIER_PUBLIC_URL"], [SECRET_KEY])
    return {
        "endpoints": endpoints,
        "events": [hook, mail, refused],
        "deliveries": sent(api, hook) + sent(api, mail),
        "recipients": people,
        "parked": [refused],
        "links": [links.token(recipient_key("kim@example.org"), "news")],
    }


def sent(api: Process, key: str) -> list[str]:
    """Ids of an event's deliveries, when all are sent."""

    def deliveries() -> list[dict[str, Any]]:
        return list(ask(api.health_port, f"/v1/events/{key}")[1].get("deliveries") or ())

    poll(lambda: {one["status"] for one in deliveries()} == {"sent"}, f"what {key} caused is sent")
    return [one["id"] for one in deliveries()]


def asked(api: Process, known: Mapping[str, Sequence[str]], folder: Path) -> subprocess.CompletedProcess[str]:
    """schemathesis, run to its end."""
    dictionaries = "".join(f"[dictionaries.{name}]\nvalues = {json.dumps(ids)}\n" for name, ids in known.items())
    config = folder / "schemathesis.toml"
    config.write_text((HERE / "schemathesis.toml").read_text() + "\n" + dictionaries)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
        *("run", f"http://127.0.0.1:{api.health_port}/openapi.json"),
        *(
            "--phases",
            "examples,coverage,fuzzing",
            "--checks",
            "all",
            "--continue-on-failure",
            "--request-timeout",
            "60",
        ),
        *("--generation-database", "none", "--no-color", "--suppress-health-check", "all", *SEARCH),
    ]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.acceptance.openapi.roles",
        "OPENAPI_TOKENS": " ".join(TOKENS.values()),
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def answered(api: Process) -> set[tuple[str | None, int]]:
    """Who was answered what, as its log says."""
    lines = re.findall(r'^\{.*"request\.answered".*\}$', api.output(), re.MULTILINE)
    found: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return {(line.get("caller"), line["status"]) for line in found}
