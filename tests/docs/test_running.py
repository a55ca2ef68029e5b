"""Blocks that are typed or run, beside a running service: what they publish is sent, what they print is as shown."""

import importlib.util
import json
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.acceptance.foreign.runner import packages
from tests.docs.blocks import ROOT, Block, block, blocks
from tests.docs.left_out import left_out
from tests.docs.reading import Reader, reader
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.processes import find_binary
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.shop_folders import SHOP

PUBLISH = "docs/how-to/publish-an-event.md"
RECEIVE = "docs/how-to/receive-webhooks.md"


def pages(language: str) -> Any:
    return pytest.mark.parametrize("page", list(dict.fromkeys(one.page for one in blocks(language))))


def of(page: str, language: str) -> list[Block]:
    return [one for one in blocks(language) if one.page == page]


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with reader(rabbitmq, redis_server, tmp_path_factory.mktemp("reader")) as opened:
        yield opened


@pages("sh")
def test_the_shell_blocks_of_a_page_run(at: Reader, page: str) -> None:
    stands_for = at.prepared()

    for one in of(page, "sh"):
        done = at.types(one.text, stands_for, stdin="p@ss/word\n")
        assert done.returncode == 0, f"{one}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, f"{one}\n{done.stderr}"


def test_what_the_shell_blocks_publish_is_sent(at: Reader) -> None:
    at.until_sent("/shell", "1")
    at.until_sent("/shell", "2")
    at.until_sent("/shop/fulfilment", "order-shipped-0001")


#: What a page shows that is another every time, and where.
VARIES = (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", r"about \d+, \d+ s", r"\s+")
#: Settings that a page speaks of.
SET = {"docs/how-to/limit-rates.md": {"NOTIFIER_LIMITS": "relay=100/s"}}


@pages("console")
def test_what_a_page_shows_is_what_is_printed(at: Reader, page: str) -> None:
    stands_for = at.prepared()

    for one in of(page, "console"):
        for command, shown in dialogues(one.text):
            done = at.types(command, stands_for, **SET.get(page, {}))
            assert done.returncode == 0, f"{one}\n{done.stderr}"
            assert plain(done.stdout) == plain(shown), f"{one}: {command}"


def dialogues(text: str) -> list[tuple[str, str]]:
    """Each command with what is shown of its output."""
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def plain(text: str) -> list[str]:
    """The lines, without what is another every time and without how wide columns are."""
    for pattern in VARIES:
        text = "\n".join(re.sub(pattern, " ", line).strip() for line in text.splitlines())
    return [line for line in text.splitlines() if line]


def order() -> Any:
    """An object of the reader's own program."""
    data = json.loads((SHOP / "order.placed/sample.json").read_text())["data"]
    return SimpleNamespace(as_event=lambda: data, save=lambda: None, pk=17)


def shipped() -> Any:
    data = json.loads((SHOP / "order.shipped/sample.json").read_text())["data"]
    return SimpleNamespace(as_event=lambda: data)


def django() -> types.ModuleType:
    """Django is none of the tests' packages: a transaction that commits at once stands in for its."""
    module = types.ModuleType("django.db")
    module.transaction = SimpleNamespace(on_commit=lambda act: act())  # type: ignore[attr-defined]
    return module


#: Names that a page leaves to its reader.
READERS_OWN: dict[str, dict[str, Any]] = {
    "README.md": {"order": shipped()},
    "notifier/client/README.md": {"order": order()},
    PUBLISH: {"link": "https://shop.example.org/reset", "token": "reset-1", "rows": [order().as_event()]},
    RECEIVE: {},
}
#: Source and id of what a page's blocks publish when they run, before anything is called.
PUBLISHED = {
    "README.md": [("/shop/orders", "order-17-shipped")],
    "notifier/client/README.md": [("/shop/orders", "order-17-placed")],
    PUBLISH: [
        ("/shop/accounts", "account-17-opened"),
        ("/shop/accounts", "reset-1"),
        ("/shop/accounts", "order-FH-20418"),
    ],
    RECEIVE: [],
}


def run_page(at: Reader, page: str, monkeypatch: pytest.MonkeyPatch, **more: Any) -> dict[str, Any]:
    """All Python blocks of a page in one namespace, from the top to the bottom."""
    monkeypatch.setitem(sys.modules, "django.db", django())
    names: dict[str, Any] = {**READERS_OWN[page], **more}
    stands_for = {**at.prepared(), "whsec_…": at.secret}
    for one in of(page, "python"):
        text = one.text
        for shown, meant in stands_for.items():
            text = text.replace(shown, meant)
        exec(compile("\n" * one.line + text, page, "exec"), names)
    return names


@pages("python")
def test_the_python_blocks_of_a_page_run(at: Reader, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run_page(at, page, monkeypatch)

    try:
        for source, identity in PUBLISHED[page]:
            at.until_sent(source, identity)
    finally:
        if "publisher" in names:
            names["publisher"].close()


def test_what_the_page_defines_publishes_too(at: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given the functions that the page defines: Django's, and FastAPI's behind it
    names = run_page(at, PUBLISH, monkeypatch)
    publish_order = eval("lambda: place(order)", {**names, "order": order()})

    # When they are called
    publish_order()
    with TestClient(names["app"]) as client:
        answer = client.post("/accounts/18?email=bo@example.org&name=Bo")
    names["publisher"].close()

    # Then
    assert answer.status_code == 200, answer.text
    at.until_sent("/shop/accounts", "order-17-placed")
    at.until_sent("/shop/accounts", "account-18-opened")


def webhook(at: Reader) -> Any:
    """A request that the service sent."""
    event = at.at.publish("order.shipped", shipped().as_event())
    delivery = at.at.delivery(event, "order.shipped/partners", f"endpoint:{at.endpoint}")
    found: list[Any] = []

    def came() -> bool:
        found[:] = [request for request in at.at.http.requests if request.header("webhook-id") == delivery]
        return bool(found)

    poll(came, "the webhook")
    return found[0]


def test_a_receiver_as_the_page_shows_it_takes_what_is_ours_once_and_nothing_else(
    at: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given the page's receiver, with a table and a queue of the reader's own
    taken: list[Any] = []
    known: set[str] = set()
    first_time = lambda identity: identity not in known and not known.add(identity)  # type: ignore[func-returns-value]  # noqa: E731
    names = run_page(at, RECEIVE, monkeypatch, first_time=first_time, enqueue=taken.append)
    sent = webhook(at)
    headers = {name: value for name, value in sent.headers if name.startswith("webhook-")}

    # When it gets a webhook twice, and one that was changed on its way
    with TestClient(names["app"]) as client:
        answers = [
            client.post("/hooks", content=body, headers=headers).status_code
            for body in (sent.body, sent.body, sent.body + b" ")
        ]

    # Then
    assert answers == [204, 204, 401]
    assert [one["type"] for one in taken] == ["order.shipped"]


def test_a_webhook_looks_as_shown(at: Reader) -> None:
    head, _, body = block(RECEIVE, "POST /hooks").text.partition("\n\n")
    request, *headers = head.splitlines()
    sent = webhook(at)

    assert re.fullmatch(r"POST \S+ HTTP/1\.1", request)
    for line in headers:
        name, _, shown = line.partition(": ")
        value = sent.header(name)
        assert value is not None, name
        assert re.sub(r"[\w+/=]{10,}", "…", value) == re.sub(r"[\w+/=]{10,}", "…", shown)
    assert {part.split('"')[1] for part in re.findall(r'"\w+":', body)} <= json.loads(sent.body).keys()


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A folder in which JavaScript finds the packages of the tests."""
    (tmp_path / "node_modules").symlink_to(packages() / "node_modules")
    return tmp_path


def javascript(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    file = folder / "block.mjs"
    file.write_text(text)
    node = find_binary("node", "nodejs", install="apt-get install nodejs")
    return subprocess.run([node, str(file)], capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_the_javascript_publisher_publishes(at: Reader, modules: Path) -> None:
    text = block(PUBLISH, "amqplib").text.replace("amqp://user:password@rabbitmq/", at.at.broker_url)

    done = javascript(modules, text + "\nconsole.log(event.id);\nawait connection.close();\n")

    assert done.returncode == 0, done.stderr
    at.until_sent("/shop/accounts", done.stdout.strip())


def test_the_javascript_receiver_verifies(at: Reader, modules: Path) -> None:
    # Given the page's receiver, and requests to it
    sent = webhook(at)
    headers = {name: value for name, value in sent.headers if name.startswith("webhook-")}
    text = block(RECEIVE, 'standardwebhooks";').text.replace("whsec_…", at.secret)
    bodies = [sent.body.decode(), sent.body.decode() + " "]
    asking = f"""
const known = new Set(), taken = [];
const firstTime = (id) => !known.has(id) && known.add(id);
const enqueue = (event) => taken.push(event.type);
const statuses = [];
server.listen(0, "127.0.0.1", async () => {{
  for (const body of {json.dumps([bodies[0], *bodies])}) {{
    const url = `http://127.0.0.1:${{server.address().port}}/hooks`;
    const answer = await fetch(url, {{ method: "POST", body, headers: {json.dumps(headers)} }});
    statuses.push(answer.status);
  }}
  console.log(JSON.stringify({{ statuses, taken }}));
  process.exit(0);
}});
"""

    done = javascript(modules, text + asking)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"statuses": [204, 204, 401], "taken": ["order.shipped"]}


def test_the_targets_and_modules_of_what_is_left_out_are_there() -> None:
    for one in blocks("sh"):
        for line in filter(left_out, one.text.splitlines()):
            words = line.split("#")[0].split()
            if words[0] == "make":
                asked = ["make", "-n", *(word for word in words[1:2])]
                assert subprocess.run(asked, cwd=ROOT, capture_output=True, check=False).returncode == 0, line
            if words[:2] == ["python", "-m"] and words[2].startswith("tests."):
                assert importlib.util.find_spec(words[2]), line


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    # Given the units with programs that are there
    analyze = find_binary("systemd-analyze", install="apt-get install systemd")
    for unit in (ROOT / "docs/operations/systemd").glob("*.service"):
        text = re.sub(r"^(Exec\w+=[-+!@:]*)\S+", rf"\g<1>{sys.executable}", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name.replace("@.", "@high.")).write_text(text)

    # When systemd reads them
    units = [str(path) for path in tmp_path.iterdir()]
    done = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)

    # Then it has nothing to say of them
    ours = [line for line in done.stderr.splitlines() if "notifier-" in line]
    assert ours == []
