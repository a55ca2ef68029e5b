"""A channel that a file describes, through the whole service: SMS to numbers and people, a room, failures, replay."""

import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.acceptance.service import Service, ask
from tests.servers.http import HttpSink
from tests.servers.patience import poll

TOKEN, NUMBER, OTHER = "t0ken-t0ken-t0ken", "+491701234567", "+491709876543"
SMS = """\
url: {url}/messages
to: phone
auth: {{bearer: NOTIFIER_CHANNEL_SMS_TOKEN}}
headers: {{Idempotency-Key: "{{{{ delivery_id }}}}"}}
form: {{To: "{{{{ address }}}}", Body: "{{{{ text }}}}"}}
message_id: sid
retry: [1s]
answers:
  - {{status: 400, body: {{code: 21211}}, means: bad_recipient, suppress: true}}
"""
ROOM = 'url: NOTIFIER_CHANNEL_ROOM_URL\njson: {text: "{{ text }}"}\n'
RULES = """\
event: code.sent
rules:
  - {id: sms, channel: sms, to: data.to, transactional: true, priority: high}
  - {id: room, channel: room, when: data.room}
"""


@pytest.fixture
def templates(tmp_path: Path, http_sink: HttpSink, service: Service) -> Path:
    """Two channel files and rules that name them."""
    root = tmp_path / "templates"
    for name, text in {
        "_channels/sms.yaml": SMS.format(url=http_sink.url),
        "_channels/room.yaml": ROOM,
        "code.sent/rules.yaml": RULES,
        "code.sent/sms.text.j2": "Your code is {{ data.code }}",
        "code.sent/sms.subject.j2": "never used",
        "code.sent/room.text.j2": "a code was sent",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    service.environment |= {
        "NOTIFIER_TEMPLATES": str(root),
        "NOTIFIER_CHANNEL_SMS_TOKEN": TOKEN,
        "NOTIFIER_CHANNEL_ROOM_URL": f"{http_sink.url}/services/T0/B0/room-room-room",
    }
    return root


def publish(service: Service, to: object, number: int = 1, *, room: bool = False) -> None:
    event = {
        "specversion": "1.0",
        "id": str(number),
        "source": "/tests",
        "type": "code.sent",
        "data": {"to": to, "code": "4711-0815", "room": room},
    }
    done = service.run("publish", "-", stdin=json.dumps(event))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("templates")
def test_messages_reach_numbers_people_and_rooms_and_are_found(service: Service, http_sink: HttpSink) -> None:
    # Given a person with a phone, and a provider that answers with an id
    http_sink.status("/messages", 201, body=b'{"sid": "SM1"}')
    stored = service.run("recipients", "set", "user-1", "--phone", "+49 170 9876543")
    assert stored.returncode == 0, stored.stderr
    service.consumer()
    worker = service.worker("-n", "one@%h")
    api = service.api()

    # When an event names a number and that person, and a room
    publish(service, [{"phone": NUMBER, "name": "Kim"}, "user-1"], room=True)

    # Then each gets it, with the login and a key of its own
    arrived = http_sink.wait_for(3)
    by_path = {path: [r for r in arrived if r.path == path] for path in {r.path for r in arrived}}
    messages = by_path["/messages"]
    fields = [parse_qs(request.body.decode()) for request in messages]
    assert sorted(one["To"][0] for one in fields) == sorted([NUMBER, OTHER])
    assert {one["Body"][0] for one in fields} == {"Your code is 4711-0815"}
    assert {request.header("authorization") for request in messages} == {f"Bearer {TOKEN}"}
    (room,) = by_path["/services/T0/B0/room-room-room"]
    assert room.body == b'{"text":"a code was sent"}'

    # And it is found, without number or text
    ids = [request.header("idempotency-key") for request in messages]
    for identity in ids:
        poll(lambda i=identity: ask(api.health_port, f"/v1/deliveries/{i}")[1]["status"] == "sent", "it is recorded")  # type: ignore[misc]
        found = ask(api.health_port, f"/v1/deliveries/{identity}")[1]
        assert found["channel"] == "http_api"
        assert found["destination"] in ("+49…67", "user-1")
        assert found["attempts"][0]["reply"] == "201 Created SM1"
    for said in (worker.output(), str(service.run("show", str(ids[0])).stdout)):
        assert NUMBER not in said
        assert TOKEN not in said
        assert "4711-0815" not in said


@pytest.mark.usefixtures("templates")
def test_a_number_that_is_refused_is_parked_suppressed_and_replayed(service: Service, http_sink: HttpSink) -> None:
    # Given a provider that knows no such number
    refusal = json.dumps({"code": 21211, "message": f"The 'To' number {NUMBER} is not a valid phone number."})
    http_sink.status("/messages", 400, body=refusal.encode(), times=1)
    service.consumer()
    service.worker("-n", "one@%h")

    # When a message for it is refused
    publish(service, NUMBER)
    http_sink.wait_for(1)
    poll(lambda: _parked(service), "it is parked")
    (listed,) = _parked(service)

    # Then it lies in the channel's failure queue, with the reason and without the number
    assert listed["queue"] == "failed-http_api"
    assert listed["cause"] == "bad_recipient"
    assert "is not a valid phone number" in listed["reason"]
    assert NUMBER[1:] not in json.dumps(listed)

    # And the next one to it is not sent
    publish(service, NUMBER, 2)
    poll(lambda: _statuses(service, "2") == ["suppressed"], "the second is suppressed")
    assert len(http_sink.requests) == 1
    assert "bounced: http_400" in service.run("suppressions", "show", NUMBER).stdout

    # And a replay sends it when somebody has mended it
    replayed = service.run("failures", "replay", "--all", "--yes")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert len(http_sink.wait_for(2)) == 2


@pytest.mark.usefixtures("templates")
def test_a_provider_that_refuses_our_login_stops_nobody_else_and_loses_nothing(
    service: Service, http_sink: HttpSink
) -> None:
    # Given a provider that refuses our login once, and a room that works
    http_sink.status("/messages", 401, body=b'{"code": 20003}', times=1)
    service.consumer()
    worker = service.worker("-n", "one@%h")

    # When five messages and one for the room are published
    for number in range(5):
        publish(service, NUMBER, number, room=number == 4)

    # Then the room gets its own at once, one message was tried, and operators are told
    poll(lambda: [r for r in http_sink.requests if r.path != "/messages"], "the room got its message")
    poll(lambda: "provider.paused" in worker.output(), "operators are told")
    assert len([r for r in http_sink.requests if r.path == "/messages"]) == 1
    assert service.run("failures", "list").stdout.count("dlv_") == 0

    # And they see which provider it is, and why
    poll(lambda: _paused(service), "it is noted")
    (sms,) = _paused(service)
    assert sms["provider"] == "sms"
    assert sms["reason"].startswith("http_401: 401")


def test_a_person_is_forgotten_with_their_number(templates: Path, service: Service, http_sink: HttpSink) -> None:
    assert templates.is_dir()
    service.run("recipients", "set", "user-1", "--phone", NUMBER, "--address", "push=ExponentPushToken[x]")
    service.consumer()
    service.worker("-n", "one@%h")
    publish(service, ["user-1", {"phone": NUMBER}])
    http_sink.wait_for(2)

    forgotten = service.run("forget", NUMBER, "--yes")

    assert forgotten.returncode == 0, forgotten.stdout + forgotten.stderr
    assert service.run("recipients", "show", "user-1").returncode != 0
    assert service.run("forget", NUMBER, "--yes").returncode != 0


def _paused(service: Service) -> list[dict[str, str]]:
    relays = json.loads(service.run("relays", "--json").stdout)
    return [one for one in relays if "provider" in one]


def _parked(service: Service) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(service.run("failures", "list", "--json").stdout)["entries"]
    return found


def _statuses(service: Service, event: str) -> list[str]:
    shown = service.run("show", event, "--source", "/tests", "--json")
    return [one["status"] for one in json.loads(shown.stdout)["deliveries"]] if shown.returncode == 0 else []
