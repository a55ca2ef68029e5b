"""Every event that was read has a record: whoever asks for one that failed intake is told where it is and why."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import pytest

from notifier.domain.delivery import Status
from tests.acceptance.place import SOURCE, STRUCTURED, Place, hook_folder, mail_folder, place
from tests.acceptance.service import ADMIN_TOKEN, Process, ask
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

FOLDERS = {
    "rec.mail": mail_folder("rec.mail", **{"schema.json": '{"required": ["to"]}'}),
    "rec.hook": hook_folder("rec.hook"),
}
TOKENS = {
    "admin": ADMIN_TOKEN,
    "publish": "a-long-publishers-token",
    "read": "a-long-readers-token",
    "operate": "a-long-operators-token",
}


@dataclass
class Running:
    at: Place
    consumer: Process
    api: Process

    def publish(self, body: bytes, content_type: str | None = STRUCTURED, **headers: str) -> None:
        named = {f"cloudEvents:{name}": value for name, value in headers.items()}
        self.at.publish_raw("notifier.events", "any", body, content_type, headers=named)

    def event(self, identity: str, role: str = "publish") -> tuple[int, Any]:
        """What the API says of an event to a token of this role."""
        path = f"/v1/events/{quote(identity, safe='')}?{urlencode({'source': SOURCE})}"
        return ask(self.api.health_port, path, token=TOKENS[role])

    def until(self, identity: str, status: str) -> Any:
        """Its record, when it says so."""
        poll(lambda: self.event(identity)[1].get("status") == status, f"{identity} is {status}")
        return self.event(identity)[1]


@pytest.fixture(scope="module")
def running(
    rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    tokens = " ".join(f"{role}:{token}" for role, token in TOKENS.items())
    directory = tmp_path_factory.mktemp("records")
    with place(rabbitmq, redis_server, directory, FOLDERS, NOTIFIER_API_TOKENS=tokens) as at:
        yield Running(at, at.service.consumer(), at.service.api())


def written(identity: str, **fields: Any) -> bytes:
    event = {"specversion": "1.0", "id": identity, "source": SOURCE, "type": "rec.mail", "time": "2026-11-30T06:00:00Z"}
    return json.dumps({**event, "data": {"to": "kim@example.org"}, **fields}).encode()


@pytest.mark.parametrize(
    ("why", "cause", "fields"),
    [
        ("a time that is none", "malformed", {"time": "yesterday"}),
        ("a name that is none", "malformed", {"a-b": "c"}),
        ("data nested too deeply", "malformed", {"data": json.loads("[" * 70 + "]" * 70)}),
        ("more bytes than an event may have", "too_large", {"data": {"to": "x" * 300_000}}),
        ("data that breaks its schema", "schema", {"data": {"nobody": 1}}),
        ("a recipient that cannot be", "planning", {"data": {"to": {"name": "Ann"}}}),
    ],
)
def test_the_publisher_of_an_event_that_failed_intake_is_told_why(
    running: Running, why: str, cause: str, fields: dict[str, Any]
) -> None:
    # When an event is published that cannot be planned
    identity = uuid4().hex
    body = written(identity, **fields)
    running.publish(body)

    # Then its publisher, whose token may do nothing but publish, is told that it is parked and why
    found = running.until(identity, "parked")
    assert found["reason"].startswith(f"{cause}: "), why
    assert (found["id"], found["source"], found["type"]) == (identity, SOURCE, "rec.mail")
    assert (found["deliveries"], found["planned"]) == (None, False)

    # And operators see whose it is, and with --payload what was published, to the byte
    shown = running.at.service.run("failures", "show", found["parked"], "--payload", "--json")
    assert shown.returncode == 0, shown.stderr
    entry = json.loads(shown.stdout)
    assert (entry["event_id"], entry["event_source"], entry["event_type"]) == (identity, SOURCE, "rec.mail")
    assert entry["event_time"] == fields.get("time", "2026-11-30T06:00:00Z")
    assert entry["payload"]["text"].encode() == body
    # And it is where it was
    assert running.at.parked(found["parked"]) is not None


def test_an_event_in_headers_that_lacks_one_is_known_by_the_others(running: Running) -> None:
    # When a binary event has no type, and data that is no text
    identity = uuid4().hex
    running.publish(b"\xff\x00", "application/octet-stream", specversion="1.0", id=identity, source=SOURCE)

    # Then it has a record, and its bytes can be looked at
    parked = running.until(identity, "parked")["parked"]
    status, entry = ask(running.api.health_port, f"/v1/failures/{parked}?payload=true", token=TOKENS["operate"])
    assert (status, entry["payload"]["text"], entry["payload"]["base64"]) == (200, None, "/wA=")
    assert entry["payload"]["headers"]["cloudEvents:id"] == identity


def test_only_operators_see_what_was_published_and_it_is_logged_who_looked(running: Running) -> None:
    # Given a parked event
    identity = uuid4().hex
    running.publish(written(identity, data={"secret": "kept"}))
    parked = running.until(identity, "parked")["parked"]
    path = f"/v1/failures/{parked}?payload=true"

    # Then nobody below sees it
    assert [ask(running.api.health_port, path, token=TOKENS[role])[0] for role in ("publish", "read")] == [403, 403]
    # And an operator does, which is logged
    assert (
        ask(running.api.health_port, path, token=TOKENS["operate"])[1]["payload"]["text"]
        == written(identity, data={"secret": "kept"}).decode()
    )
    line = next(
        line for line in running.api.output().splitlines() if "failures.payload_shown" in line and parked in line
    )
    assert "operate-1" in line
    # And without being asked for, it is not in the answer
    assert ask(running.api.health_port, path.partition("?")[0], token=TOKENS["operate"])[1]["payload"] is None


def test_the_command_line_says_that_it_is_parked_and_where(running: Running) -> None:
    identity = uuid4().hex
    running.publish(written(identity, data={}))
    running.until(identity, "parked")

    shown = running.at.service.run("show", identity, "--source", SOURCE)

    assert shown.returncode == 0, shown.stderr
    assert "parked" in shown.stdout
    assert "schema: " in shown.stdout
    assert "notifier failures show evt_" in shown.stdout


def test_a_corrected_event_under_the_same_id_is_planned(running: Running) -> None:
    # Given an event that broke its schema
    identity = uuid4().hex
    running.publish(written(identity, data={}))
    running.until(identity, "parked")

    # When its publisher corrects it
    running.publish(written(identity))

    # Then it is planned, nothing of its first life is told, and nobody is warned
    found = running.until(identity, "planned")
    assert (found["reason"], found["parked"], found["note"]) == ("", "", "")
    assert identity not in conflicts(running)


def test_an_event_of_which_a_part_is_parked_says_so_beside_its_deliveries(running: Running) -> None:
    # When one of two recipients cannot be
    identity = uuid4().hex
    running.publish(written(identity, data={"to": ["kim@example.org", {"name": "Ann"}]}))

    # Then the event is parked, and what could be planned is
    running.until(identity, "parked")
    found = running.event(identity, "read")[1]
    assert [delivery["status"] for delivery in found["deliveries"]] == [Status.QUEUED]


def test_another_event_under_the_same_id_is_told_to_operators_and_publishers(running: Running) -> None:
    # Given an event that was planned
    identity = uuid4().hex
    running.publish(written(identity))
    running.until(identity, "planned")

    # When it comes again, spelled otherwise and at another time, then nobody minds
    again = json.loads(written(identity, time="2026-11-30T07:00:00Z"))
    running.publish(json.dumps(dict(reversed(again.items())), indent=2).encode())
    # When another one comes under its id
    running.publish(written(identity, type="rec.hook", data={"to": "eve@example.org"}))

    # Then a warning names both, and so does what its publisher is told
    poll(lambda: identity in conflicts(running), "it is told")
    (line,) = [line for line in conflicts(running).splitlines() if identity in line]
    assert "rec.mail" in line
    assert "rec.hook" in line
    poll(lambda: "rec.hook" in running.event(identity)[1]["note"], "its publisher is told")
    # And one that cannot even be read is told likewise
    running.publish(written(identity, time="never", type="rec.broken"))
    poll(lambda: "rec.broken" in running.event(identity)[1]["note"], "its publisher is told")
    assert running.event(identity)[1]["status"] == "planned"


def test_types_that_no_rule_wants_are_counted(running: Running) -> None:
    # When events come for which there is no rule
    for _ in range(3):
        running.publish(written(uuid4().hex, type="rec.unheard"))

    # Then operators are told their type and their number
    def counted() -> dict[str, int]:
        return {entry["type"]: entry["count"] for entry in running.at.failures("unmatched", "--json")}

    poll(lambda: counted().get("rec.unheard") == 3, "they are counted")
    status, told = ask(running.api.health_port, "/v1/failures/unmatched", token=TOKENS["operate"])
    assert (status, {"type": "rec.unheard", "count": 3} in told) == (200, True)


def conflicts(running: Running) -> str:
    """The warnings of the consumer about ids that two events have."""
    return "\n".join(line for line in running.consumer.output().splitlines() if "event.conflict" in line)
