"""Everything that a running service shows: pages, verbs, Celery's tools, logs. Each is (what was asked, what came)."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.acceptance.canary import DATA, EVENT, FOLDERS, PUBLISH_TOKEN, SECRET
from tests.acceptance.flower import Flower
from tests.acceptance.place import SOURCE, Place, post_event
from tests.acceptance.service import ADMIN_TOKEN, Process, Service, ask
from tests.servers.patience import PATIENCE_S

Views = Iterator[tuple[str, str]]


def of_celery(at: Place, flower: Flower) -> Views:
    """What Celery's own tools say, and Flower."""
    views = ("active", "reserved", "scheduled", "registered", "report", "stats", "active_queues", "conf")
    script = (
        "import json; from notifier.celery import app; ask = app.control.inspect(timeout=60, limit=1); "
        f"print(json.dumps({{view: getattr(ask, view)() for view in {views}}}))"
    )
    done = at.service.python("-c", script)
    for view, answer in json.loads(done.stdout).items():
        yield f"celery inspect {view}", json.dumps(answer or "")[1:-1]
    yield "celery", done.stdout + done.stderr
    for path in ("/workers", "/tasks", "/api/tasks?limit=1000", "/api/workers?refresh=1", "/broker", "/metrics"):
        yield f"Flower {path}", repr(flower.get(path))
    tasks = json.loads(flower.get("/api/tasks?limit=1000")[1])
    for task, known in tasks.items():
        yield f"Flower {known['name']}", repr(flower.get(f"/task/{task}"))
    for worker in json.loads(flower.get("/api/workers")[1]):
        yield "Flower worker", repr(flower.get(f"/worker/{worker}"))


def of_http(at: Place, api: Process) -> Views:
    """Every page that shows something."""
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/no", "/v1/limits", "/v1/endpoints"):
        yield f"GET {path}", page(api, path)
    for role in at.service.processes:
        yield f"GET /readyz of {role.role}", page(role, "/readyz")
        yield f"GET /metrics of {role.role}", page(role, "/metrics")
    entries = ask(api.health_port, "/v1/failures?limit=500")[1]["entries"]
    yield "GET /v1/failures", repr(entries)
    for entry in entries:
        yield f"GET failure {entry['cause']}", page(api, f"/v1/failures/{entry['id']}")
    for folder in FOLDERS:
        event = ask(api.health_port, f"/v1/events/{folder}-1?source={SOURCE}")[1]
        yield f"GET event {folder}", repr(event)
        for delivery in event["deliveries"]:
            yield f"GET delivery {folder}", page(api, f"/v1/deliveries/{delivery['id']}")


def of_http_errors(api: Process) -> Views:
    """Answers to what is wrong."""
    for token, path in (
        (f"{SECRET}-wrong", "/v1/limits"),
        (PUBLISH_TOKEN, "/v1/limits"),
        (ADMIN_TOKEN, f"/unsubscribe/{SECRET}"),
        (ADMIN_TOKEN, f"/v1/failures?after={DATA}"),
    ):
        yield f"GET {path} wrong", page(api, path, token)
    for body, content_type in (
        (json.dumps(EVENT), "application/cloudevents+json"),
        (json.dumps({**EVENT, "data_base64": DATA}), "application/cloudevents+json"),
        (json.dumps([DATA]), "application/cloudevents-batch+json"),
        (f'{{"mark": {DATA}', "application/cloudevents+json"),
        (DATA, "text/plain"),
    ):
        yield f"POST {content_type} wrong", repr(post_event(api, body.encode(), content_type))
    wrong: dict[str, Any] = {"url": f"https://{SECRET}:{SECRET}@127.0.0.1:1/", "headers": {"Host": SECRET}}
    for key, value in (wrong | {"secret": SECRET}).items():
        endpoint = {"url": "https://example.com/", key: value}
        yield f"POST endpoint {key} wrong", repr(ask(api.health_port, "/v1/endpoints", method="POST", body=endpoint))
    head = f"GET / HTTP/1.1\r\nAuthorization: Bearer {SECRET}\r\n"
    yield "431", raw(api, head + f"X-Long: {SECRET * 5000}\r\n\r\n")
    yield "408", raw(api, head)
    yield "400", raw(api, head + f"{SECRET}\r\n\r\n")


def of_the_command_line(at: Place, directory: Path) -> Views:
    """Verbs that show things, as text and as JSON, and that fail."""
    event, nothing = directory / "event.json", directory / "nothing.json"
    event.write_text(json.dumps(EVENT))
    nothing.write_text(f'{{"mark": {DATA}')
    identity = at.failures("list", "--json")["entries"][0]["id"]
    asked = [
        (at.service, verb.split())
        for verb in (
            "config", "config --json", "failures list", "failures list --json", f"failures show {identity}",
            "endpoints list --json", "limits list", "relays list", "templates check", f"publish {event}",
            f"explain {event}", f"explain {nothing}", f"show a.sum-1 --source {SOURCE}",
        )
    ]  # fmt: skip
    asked += list(_wrong(at))
    with ThreadPoolExecutor(2) as several:
        for (_, verb), done in zip(asked, several.map(lambda one: one[0].run(*one[1]), asked), strict=True):
            yield f"notifier {' '.join(verb)}", done.stdout + done.stderr


def _wrong(at: Place) -> Iterator[tuple[Service, list[str]]]:
    """Settings that nothing can be done with, and the verbs that try."""
    user = f"user:{SECRET}"
    unreadable = {
        "NOTIFIER_BROKER_URL": f"amqp://{user}#/@127.0.0.1:1/",
        "NOTIFIER_REDIS_URL": f"redis://{user}?@127.0.0.1:no/0",
        "NOTIFIER_SMTP_URL": f"smtp://{user}?@127.0.0.1:1",
        "NOTIFIER_API_TOKENS": f"{SECRET}:{SECRET}",
        "NOTIFIER_SECRET_KEY": SECRET,
        "NOTIFIER_DKIM_KEY": SECRET,
    }
    for settings, verb in (
        ({"NOTIFIER_BROKER_URL": f"amqp://{user}@127.0.0.1:{at.rabbit.port}/"}, "topology apply"),
        ({"NOTIFIER_BROKER_URL": f"amqp://{user}@127.0.0.1:1/"}, "topology apply"),
        ({"NOTIFIER_REDIS_URL": f"redis://{user}@127.0.0.1:{at.redis.port}/0"}, "failures list"),
        ({"NOTIFIER_REDIS_URL": f"redis://{user}@127.0.0.1:1/0"}, "failures list"),
        (unreadable, "config"),
        (unreadable, "failures list"),
        ({"CELERY_BROKER_POOL_LIMIT": SECRET}, "config"),
    ):
        yield replace(at.service, environment=at.service.environment | settings), verb.split()


def page(process: Process, path: str, token: str = ADMIN_TOKEN) -> str:
    """What a page says, whatever its status."""
    address = f"http://127.0.0.1:{process.health_port}{path}"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return f"{answer.status} {answer.headers} {answer.read().decode()}"
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.headers} {error.read().decode()}"


def raw(process: Process, sent: str) -> str:
    """What is answered to bytes."""
    with socket.create_connection(("127.0.0.1", process.health_port), PATIENCE_S) as connection:
        connection.sendall(sent.encode())
        said = b""
        while more := connection.recv(65_536):
            said += more
    return said.decode()
