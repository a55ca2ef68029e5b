"""The verbs operators use, against real servers; in one process that is kept, and some of each kind in their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pika
import pytest

from consumers.topology import apply_topology
from notifier.domain.batch import Batch
from notifier.domain.delivery import Attempt, Delivery, Mailbox, Status
from notifier.domain.event import Event
from notifier.domain.ids import delivery_id, recipient_key
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch
from notifier.domain.rule import Channel, Priority, Rule
from notifier.domain.suppression import bounced
from notifier.domain.topology import FAILURE_QUEUES, FAILURES_EXCHANGE, INTAKE_QUEUE, PARKED_EXCHANGE, places
from notifier.settings import Settings
from notifier.storage.claims import claim_request
from notifier.storage.ledger import Claimed, Record, Registration
from notifier.storage.parked import ParkedIndex
from notifier.storage.suppressions import Suppressions
from notifier.wiring.stores import build_ledger, build_store
from tests.servers.patience import PATIENCE_S
from tests.servers.ports import free_port
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.servers.warm_cli import WarmCommandLine

TEMPLATES = Path(__file__).parents[3] / "templates"
SECRET_KEY = "a-secret-key-for-tests-of-more-than-32-characters"
RULE = Rule("order.placed/mail", "order.placed", Channel.EMAIL, "order.placed", "orders", transactional=True)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def vhost(rabbitmq: RabbitMQ) -> Iterator[str]:
    url = rabbitmq.new_vhost()
    apply_topology(url)
    yield url
    rabbitmq.delete_vhost(url)


@pytest.fixture
def settings(vhost: str, redis_url: str) -> Settings:
    return Settings(broker_url=vhost, redis_url=redis_url, templates=TEMPLATES, secret_key=SECRET_KEY)


@pytest.fixture(scope="module")
def environment(vhost: str, redis_server: RedisServer) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "NOTIFIER_BROKER_URL": vhost,
        "NOTIFIER_REDIS_URL": redis_server.url,
        "NOTIFIER_TEMPLATES": str(TEMPLATES),
        "NOTIFIER_SECRET_KEY": SECRET_KEY,
    }


@pytest.fixture(scope="module")
def line(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommandLine]:
    with WarmCommandLine(environment, tmp_path_factory.mktemp("line")) as kept:
        yield kept


@pytest.fixture
def run(line: WarmCommandLine, settings: Settings) -> Run:
    """A verb in the process that is kept; ``settings`` stands for servers that are empty."""

    def run(*arguments: str, stdin: str = "", **changed: str) -> subprocess.CompletedProcess[str]:
        done = line.run(*arguments, stdin=stdin, **changed)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


@pytest.fixture
def start(environment: dict[str, str], settings: Settings) -> Run:
    """A verb as an operator's shell starts it: its imports, its exit status, its streams."""

    def start(*arguments: str, stdin: str = "", **changed: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-W", "error::DeprecationWarning:notifier", "-m", "notifier.cli", *arguments],
            input=stdin,
            env={**environment, **changed},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return start


def _depth(url: str, queue: str) -> int:
    """Messages in a queue, with those on its shelves."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        declared = [connection.channel().queue_declare(place, passive=True) for place in _places(queue)]
        return sum(int(one.method.message_count) for one in declared)
    finally:
        connection.close()


def _places(queue: str) -> tuple[str, ...]:
    return places(queue) if queue in FAILURE_QUEUES else (queue,)


def _purge(url: str, *queues: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    for place in (place for queue in queues for place in _places(queue)):
        connection.channel().queue_purge(place)
    connection.close()


@pytest.fixture(autouse=True)
def _empty_queues(vhost: str) -> None:
    _purge(vhost, INTAKE_QUEUE, "failed-email", "email-normal")


def _park(settings: Settings, count: int) -> list[str]:
    """Deliveries that were refused, as a worker leaves them: in the ledger, the queue and the index."""
    event = Event(id="17", source="/shop/orders", type="order.placed", tenant="acme")
    deliveries = []
    for number in range(count):
        to = Mailbox(address=f"kim{number}@example.org")
        identity = delivery_id(event.source, event.id, RULE.id, to.identity)
        deliveries.append(Delivery(id=identity, event=0, rule=RULE.id, to=to, queued=time.time()))
    store = build_store(settings)
    ledger = build_ledger(settings, store)
    ledger.register([Registration(event, tuple((delivery, RULE) for delivery in deliveries))])
    _refuse(settings, event, deliveries)
    entries = tuple(_entry(event, delivery) for delivery in deliveries)
    batch = Batch(channel=Channel.EMAIL, priority=Priority.NORMAL, events=[event], deliveries=deliveries)
    connection = pika.BlockingConnection(pika.URLParameters(settings.broker_url))
    channel = connection.channel()
    channel.confirm_delivery()
    properties = pika.BasicProperties(content_type="application/json", delivery_mode=2)
    channel.basic_publish(PARKED_EXCHANGE, "failed-email", ParkedBatch(batch, entries).encode(), properties)
    connection.close()
    ParkedIndex(store).add(entries)
    store.close()
    return [delivery.id for delivery in deliveries]


def _refuse(settings: Settings, event: Event, deliveries: list[Delivery]) -> None:
    store = build_store(settings)
    ledger = build_ledger(settings, store)
    batch = Batch(channel=Channel.EMAIL, priority=Priority.NORMAL, events=[event], deliveries=deliveries)
    requests = [claim_request(batch, delivery) for delivery in deliveries]
    claims = ledger.claim(requests, owner="test", lease=60)
    moment = time.time()
    records = []
    for delivery, claim in zip(deliveries, claims, strict=True):
        assert isinstance(claim, Claimed)
        attempt = Attempt(1, moment, 0.2, "refused", "smtp_554", "554 \x1b[31mno", "worker-1")
        records.append(Record(delivery.id, claim.fence, Status.REFUSED, "554 no", attempt))
    assert all(ledger.record(records))
    store.close()


def _entry(event: Event, delivery: Delivery) -> Parked:
    return Parked(
        id=delivery.id,
        queue="failed-email",
        cause=Cause.REFUSED,
        reason="554 no",
        parked_at=time.time(),
        event=event.key,
        event_type=event.type,
        tenant=event.tenant,
        rule=delivery.rule,
        destination="k…@example.org",
        code="smtp_554",
        attempts=1,
    )


def test_topology_apply_declares_everything_and_may_be_repeated(run: Run, start: Run) -> None:
    first = start("topology", "apply")
    second = run("topology", "apply", "--json")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "exchanges" in first.stdout
    assert {entry["kind"] for entry in json.loads(second.stdout)} == {"exchange", "queue", "binding"}


def test_publish_waits_for_the_confirm_and_prints_the_key(start: Run, vhost: str) -> None:
    done = start("publish", "-", "--type", "order.placed", "--source", "/shop", "--json", stdin='{"order": 17}')

    assert done.returncode == 0, done.stderr
    (accepted,) = json.loads(done.stdout)["accepted"]
    assert accepted["key"].startswith("evt_")
    assert _depth(vhost, INTAKE_QUEUE) == 1


def test_publish_takes_a_file_of_lines(run: Run, vhost: str, tmp_path: Path) -> None:
    lines = tmp_path / "events.jsonl"
    event = {"specversion": "1.0", "type": "nobody.listens", "source": "/t"}
    lines.write_text("\n".join(json.dumps({**event, "id": str(number)}) for number in range(1200)))

    done = run("publish", str(lines))

    assert done.stdout == "published 1200 events\n", done.stderr
    assert _depth(vhost, INTAKE_QUEUE) == 1200


def test_nothing_is_published_when_one_line_cannot_be_read(run: Run, vhost: str) -> None:
    good = '{"specversion":"1.0","type":"t","source":"/t","id":"1"}'

    done = run("publish", "-", stdin=f"{good}\n{{broken\n")

    assert done.returncode == 1
    assert "-:2" in done.stderr
    assert _depth(vhost, INTAKE_QUEUE) == 0


@pytest.mark.parametrize(
    ("arguments", "variable", "url"),
    [
        (("publish", "-", "--type", "t", "--source", "/t"), "NOTIFIER_BROKER_URL", "amqp://guest:guest@127.0.0.1:1/"),
        (("topology", "apply"), "NOTIFIER_BROKER_URL", "amqp://guest:guest@127.0.0.1:1/"),
        (("failures", "list"), "NOTIFIER_REDIS_URL", "redis://127.0.0.1:1/0"),
        (("show", "dlv_x"), "NOTIFIER_REDIS_URL", "redis://127.0.0.1:1/0"),
        (("endpoints", "list"), "NOTIFIER_REDIS_URL", "redis://127.0.0.1:1/0"),
    ],
)
def test_a_dependency_that_is_away_is_exit_code_3_and_names_its_setting(
    start: Run, arguments: tuple[str, ...], variable: str, url: str
) -> None:
    done = start(*arguments, stdin="{}", **{variable: url})

    assert done.returncode == 3, done.stderr
    assert variable in done.stderr


def test_show_tells_an_event_and_every_attempt_of_a_delivery(run: Run, settings: Settings) -> None:
    # Given
    (delivery,) = _park(settings, 1)

    # When
    event = run("show", "17", "--source", "/shop/orders")
    shown = run("show", delivery)
    as_json = run("show", delivery, "--json")

    # Then
    assert delivery in event.stdout, event.stderr
    assert "refused" in event.stdout
    assert "smtp_554" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert json.loads(as_json.stdout)["attempts"][0]["code"] == "smtp_554"
    assert "kim0@example.org" not in event.stdout + shown.stdout + as_json.stdout


@pytest.mark.parametrize("identity", ["dlv_none", "evt_none", "17"])
def test_what_is_not_known_is_exit_code_1(run: Run, identity: str) -> None:
    done = run("show", identity)

    assert done.returncode == 1
    assert "known" in done.stderr


def test_an_endpoints_life(run: Run) -> None:
    # Given
    added = run("endpoints", "add", "https://example.com/hooks", "--tenant", "acme", "--event", "order.*", "--json")
    assert added.returncode == 0, added.stderr
    made = json.loads(added.stdout)
    assert made["secret"].startswith("whsec_")

    # Then
    identity = made["id"]
    assert identity in run("endpoints", "list", "--tenant", "acme").stdout
    assert made["secret"] not in run("endpoints", "show", identity, "--json").stdout
    assert json.loads(run("endpoints", "disable", identity, "--reason", "asked", "--json").stdout)["reason"] == "asked"
    assert json.loads(run("endpoints", "enable", identity, "--json").stdout)["state"] == "enabled"
    assert json.loads(run("endpoints", "pause", identity, "--reason", "moves", "--json").stdout)["state"] == "paused"
    assert json.loads(run("endpoints", "list", "--json").stdout)[0]["held"] == 0
    assert run("endpoints", "resume", identity, "--latest", "--discard").returncode == 2
    resumed = json.loads(run("endpoints", "resume", identity, "--latest", "--json").stdout)
    assert (resumed["state"], resumed["delivered"], resumed["dropped"]) == ("enabled", 0, 0)
    assert json.loads(run("endpoints", "rotate", identity, "--json").stdout)["secret"] != made["secret"]
    assert run("endpoints", "remove", identity).returncode == 2
    assert run("endpoints", "remove", identity, "--yes").returncode == 0
    assert run("endpoints", "show", identity).returncode == 1


def test_an_endpoint_may_bring_the_secret_that_its_receiver_has(run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")

    added = run("endpoints", "add", "https://example.com/moved", "--secret-file", str(tmp_path / "secret"), "--json")

    made = json.loads(added.stdout)
    assert made["secret"] == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert run("endpoints", "remove", made["id"], "--yes").returncode == 0


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "http://example.com/"])
def test_an_endpoint_that_points_inside_is_refused(run: Run, url: str) -> None:
    done = run("endpoints", "add", url)

    assert done.returncode == 1
    assert json.loads(run("endpoints", "list", "--json").stdout) == []


def test_a_recipient_is_stored_shown_and_forgotten(run: Run, start: Run) -> None:
    assert start("recipients", "set", "user-1", "--email", "kim@example.org", "--locale", "de").returncode == 0
    assert json.loads(run("recipients", "show", "user-1", "--json").stdout)["email"] == "kim@example.org"
    assert run("recipients", "set", "a@b", "--email", "kim@example.org").returncode == 1
    assert run("recipients", "set", "user-2", "--email", "nonsense").returncode == 1
    assert run("recipients", "remove", "user-1").returncode == 2
    assert run("recipients", "remove", "user-1", "--yes").returncode == 0
    assert run("recipients", "show", "user-1").returncode == 1


def test_suppressions_are_listed_page_by_page(run: Run, settings: Settings) -> None:
    # Given three suppressed addresses
    store = build_store(settings)
    for number in range(3):
        Suppressions(store).add(f"rcp_{number}", bounced("smtp_550", time.time()))
    store.close()

    # When pages of two are read, then the first says how to go on, beside the JSON
    first = run("suppressions", "list", "--limit", "2", "--json")
    assert [one["recipient_key"] for one in json.loads(first.stdout)] == ["rcp_0", "rcp_1"]
    assert first.stderr == "More: --after rcp_1\n"
    last = run("suppressions", "list", "--limit", "2", "--after", "rcp_1")
    assert ("rcp_2" in last.stdout, "More" in last.stdout, last.stderr) == (True, False, "")


def test_people_are_imported_from_a_file_and_written_to_one(run: Run, start: Run, tmp_path: Path) -> None:
    # Given a table with a mistake
    table = tmp_path / "people.csv"
    table.write_text("id,email,locale\nuser-1,kim@example.org,de\nuser-2,nonsense,\nuser-3,bob@example.org,\n")

    # When it is only checked, then nobody is stored
    checked = run("recipients", "import", str(table), "--dry-run")
    assert (checked.returncode, checked.stdout) == (1, "2 people could be stored; nothing was done\n")
    assert f"{table}:3: not an email address" in checked.stderr
    assert run("recipients", "show", "user-1").returncode == 1

    # When it is imported, then all others are stored, and the line is told
    done = run("recipients", "import", str(table), "--json")
    assert (done.returncode, json.loads(done.stdout)["stored"]) == (1, {"added": 2, "changed": 0, "same": 0})
    assert [one["line"] for one in json.loads(done.stdout)["told"]] == [3]
    assert "recipients.imported" in done.stderr

    # And what is exported is imported again, from a pipe as well, and changes nothing
    file = tmp_path / "people.jsonl"
    assert run("recipients", "export", str(file)).returncode == 0
    assert file.stat().st_mode & 0o077 == 0
    people = sorted((json.loads(line) for line in file.read_text().splitlines()), key=lambda one: one["id"])
    assert people == [
        {"id": "user-1", "email": "kim@example.org", "locale": "de"},
        {"id": "user-3", "email": "bob@example.org"},
    ]
    piped = start("recipients", "import", "-", stdin=start("recipients", "export").stdout)
    assert (piped.returncode, piped.stdout) == (0, "0 people added, 0 changed, 2 the same as before\n")

    # And who goes on behind a line leaves what is before it
    assert "1 the same" in run("recipients", "import", str(table), "--from-line", "4").stdout
    assert "2 recipients are in the index" in run("recipients", "reindex").stdout
    assert run("recipients", "import", str(tmp_path / "none")).returncode == 2
    assert run("recipients", "import", str(file), "--format", "xml").returncode == 2


def test_an_import_without_redis_says_that_it_is_away(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "people.jsonl"
    file.write_text('{"id": "user-1", "email": "kim@example.org"}\n')

    away = run("recipients", "import", str(file), NOTIFIER_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert away.returncode == 3


def test_a_person_is_counted_first_and_then_forgotten(run: Run, start: Run, settings: Settings, vhost: str) -> None:
    # Given a person by id, and a refused delivery to them that is parked beside another one's
    run("recipients", "set", "user-1", "--email", "kim0@example.org")
    delivery, other = _park(settings, 2)

    # When they are counted and nobody says yes, then nothing is done
    counted = run("forget", "kim0@example.org", "--dry-run", "--json")
    assert (json.loads(counted.stdout)["recipients"], json.loads(counted.stdout)["parked"]) == (1, 1), counted.stderr
    assert run("forget", "kim0@example.org").returncode == 2
    assert run("recipients", "show", "user-1").returncode == 0

    # When somebody does, then they are gone, and the other one is not
    done = start("forget", "kim0@example.org", "--yes")
    assert (done.returncode, "forgotten" in done.stdout) == (0, True), done.stderr
    assert json.loads(run("show", delivery, "--json").stdout)["destination"] == "forgotten"
    assert run("recipients", "show", "user-1").returncode == 1
    assert {e["id"] for e in json.loads(run("failures", "list", "--json").stdout)["entries"]} == {other}
    assert _depth(vhost, "failed-email") == 1
    assert run("forget", "kim0@example.org", "--yes").returncode == 1


def test_an_address_is_suppressed_shown_and_written_to_again(run: Run, start: Run) -> None:
    # Given an address an operator suppressed
    added = start("suppressions", "add", "Kim@example.org", "--reason", "asked by phone")
    assert added.returncode == 0, added.stderr

    # Then it is found in any spelling, listed by its key only, and can be taken off the list
    assert json.loads(run("suppressions", "show", "kim@EXAMPLE.org", "--json").stdout)["reason"] == "asked by phone"
    assert "kim" not in run("suppressions", "list").stdout.casefold()
    assert run("suppressions", "remove", "kim@example.org").returncode == 2
    assert run("suppressions", "remove", "kim@example.org", "--yes").returncode == 0
    assert run("suppressions", "show", "kim@example.org").returncode == 1


def test_parts_of_a_suppression_are_added_shown_and_lifted_by_name(run: Run, settings: Settings) -> None:
    # Given an address that bounced, and whose owner switched news off
    address = "bounced@example.org"
    store = build_store(settings)
    suppressions = Suppressions(store)
    suppressions.add(recipient_key(address), bounced("smtp_550_5.1.1", 1_800_000_000.0))
    suppressions.unsubscribe(recipient_key(address), "news", 1_800_000_001.0)

    # When an operator adds their word, then it is kept beside the others, and they are told so
    added = run("suppressions", "add", address, "--reason", f"{address} asked by phone")
    assert added.stdout.splitlines()[1] == "also suppressed by: bounce, category:news", added.stderr
    again = run("suppressions", "add", address, "--reason", "again")
    assert "was suppressed by operator already: b…@example.org asked by phone" in again.stdout
    shown = json.loads(run("suppressions", "show", address, "--json").stdout)
    assert [part["part"] for part in shown["parts"]] == ["bounce", "operator", "category:news"]
    assert shown["reason"] == "bounced: smtp_550_5.1.1; b…@example.org asked by phone; unsubscribed:news"
    listed = run("suppressions", "list").stdout
    assert {"bounce", "operator", "category:news"} <= set(listed.split())

    # Then nothing is lifted without its name, and only what is named
    refused = run("suppressions", "remove", address, "--yes")
    assert (refused.returncode, "bounce, operator, category:news" in refused.stderr) == (2, True)
    assert run("suppressions", "remove", address, "--part", "complaint", "--yes").returncode == 1
    assert run("suppressions", "remove", address, "--part", "bounce").returncode == 2
    assert len(suppressions.get(recipient_key(address)).parts) == 3
    lifted = run("suppressions", "remove", address, "--part", "bounce", "--yes")
    assert lifted.stdout.splitlines()[1] == "still suppressed by: operator, category:news", lifted.stderr
    assert run("suppressions", "remove", address, "--part", "operator", "--yes").returncode == 0
    # The only one that is left needs no name, and is said
    asked = run("suppressions", "remove", address)
    assert (asked.returncode, "lift category:news" in asked.stderr) == (2, True)
    run("suppressions", "add", address, "--part", "category:offers")
    assert run("suppressions", "remove", address, "--part", "all", "--yes").returncode == 0
    assert not suppressions.get(recipient_key(address))
    store.close()


@pytest.mark.parametrize("who", ["user-4711", "Kim <kim@example.org>", "kim@example.org, jo@example.org", "kim"])
def test_what_is_no_address_is_not_suppressed_as_one(run: Run, who: str) -> None:
    """Its key would be that of nobody: the verb once said "suppressed", and the next mail went out."""
    for verb in ("add", "show", "remove"):
        done = run("suppressions", verb, who)
        assert (done.returncode, "rcp_" in done.stderr) == (1, True), done.stdout


@pytest.mark.parametrize(
    ("who", "part", "word"),
    [
        ("rcp_kim", "operator", "is no key"),
        ("rcp_" + "A" * 26, "operator", "is no key"),
        ("kim@example.org", "category:news letter", "is no category"),
        ("kim@example.org", "category:news,offers", "is no category"),
    ],
)
def test_what_no_mail_is_ever_looked_up_by_is_not_suppressed(run: Run, who: str, part: str, word: str) -> None:
    """The verb once said "suppressed", and the next mail went out."""
    done = run("suppressions", "add", who, "--part", part)
    assert (done.returncode, word in done.stderr) == (2, True), done.stdout
    assert "rcp_" not in run("suppressions", "list").stdout


def test_explain_says_who_is_suppressed_and_by_what(run: Run, start: Run, settings: Settings, tmp_path: Path) -> None:
    # Given a rule with a category and a transactional one, a person known by id, and addresses that are suppressed
    rules = "event: hello\ncategory: news\nrules:\n  - {id: mail, channel: email, to: data.to}\n"
    rules += "  - {id: vital, channel: email, to: data.to, transactional: true}\n"
    folder = tmp_path / "templates" / "hello"
    folder.mkdir(parents=True)
    for name, text in {"rules.yaml": rules, "email.subject.j2": "Hello", "email.text.j2": "Hello"}.items():
        (folder / name).write_text(text)
    store = build_store(settings)
    suppressions = Suppressions(store)
    suppressions.unsubscribe(recipient_key("off@example.org"), "news", 1.0)
    suppressions.add(recipient_key("gone@example.org"), bounced("smtp_550_5.1.1", 1.0))
    run("recipients", "set", "user-9", "--email", "gone@example.org")
    to = ["off@example.org", "user-9", "kim0@example.org"]
    event = json.dumps({"specversion": "1.0", "id": "1", "source": "/s", "type": "hello", "data": {"to": to}})
    store.close()

    def explained(*options: str, by: Run = run, **changed: str) -> subprocess.CompletedProcess[str]:
        done = by("explain", "-", *options, stdin=event, NOTIFIER_TEMPLATES=str(tmp_path / "templates"), **changed)
        assert done.returncode == 0, done.stderr
        return done

    def told(done: subprocess.CompletedProcess[str]) -> dict[str, list[str | None]]:
        rules = json.loads(done.stdout)["rules"]
        return {r["rule"]: [d["suppressed"] for d in r["deliveries"]] for r in rules}

    # Then it says what a worker would
    assert told(explained("--json")) == {
        "hello/mail": ["unsubscribed:news", "bounced: smtp_550_5.1.1", ""],
        "hello/vital": ["", "bounced: smtp_550_5.1.1", ""],
    }
    assert explained(by=start).stdout.count("Suppressed: bounced: smtp_550_5.1.1") == 2
    # And without Redis it says that it does not know, and the rest
    away = explained("--json", NOTIFIER_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert set(told(away)["hello/mail"]) == {None}
    assert "not known whether recipients are suppressed, throttled or held up" in away.stderr
    assert set(told(explained("--json", "--no-endpoints"))["hello/mail"]) == {None}


def test_failures_are_listed_by_cause(run: Run, settings: Settings) -> None:
    ids = _park(settings, 3)

    listed = run("failures", "list", "--channel", "email", "--cause", "refused", "--newer-than", "1h")
    as_json = json.loads(run("failures", "list", "--tenant", "other", "--json").stdout)

    assert all(identity in listed.stdout for identity in ids), listed.stderr
    assert (as_json["entries"], as_json["counts"]) == ([], {"failed-email refused": 3})
    assert "smtp_554" in run("failures", "show", ids[0]).stdout
    assert run("failures", "show", "dlv_none").returncode == 1


def test_replay_counts_first_and_does_nothing_without_a_yes(run: Run, settings: Settings, vhost: str) -> None:
    _park(settings, 3)

    counted = run("failures", "replay", "--cause", "refused", "--dry-run", "--json")
    unanswered = run("failures", "replay", "--cause", "refused")
    unnamed = run("failures", "replay", "--yes")

    assert json.loads(counted.stdout)["chosen"] == 3
    assert (unanswered.returncode, "--yes" in unanswered.stderr) == (2, True)
    assert (unnamed.returncode, "--all" in unnamed.stderr) == (2, True)
    assert (_depth(vhost, "failed-email"), _depth(vhost, "email-normal")) == (1, 0)


def test_replay_sends_the_chosen_entries_back_and_keeps_the_others(
    run: Run, start: Run, settings: Settings, vhost: str
) -> None:
    # Given three deliveries in one parked message
    chosen, *others = _park(settings, 3)

    # When
    done = start("failures", "replay", chosen, "--yes", "--rate", "100", "--json")

    # Then
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"chosen": 1, "done": 1, "already_sent": 0, "missing": 0}
    assert (_depth(vhost, "failed-email"), _depth(vhost, "email-normal")) == (1, 1)
    assert json.loads(run("show", chosen, "--json").stdout)["status"] == "queued"
    assert {e["id"] for e in json.loads(run("failures", "list", "--json").stdout)["entries"]} == set(others)


def test_discard_drops_for_good(run: Run, settings: Settings, vhost: str) -> None:
    _park(settings, 2)

    done = run("failures", "discard", "--channel", "email", "--yes")

    assert done.stdout == "2 of 2 dropped\n", done.stderr
    assert _depth(vhost, "failed-email") == 0
    assert run("failures", "list").stdout == "Nothing is parked.\n"


def test_the_index_is_rebuilt_from_the_queues(run: Run, settings: Settings) -> None:
    # Given queues with entries that Redis has forgotten
    ids = _park(settings, 2)
    store = build_store(settings)
    ParkedIndex(store).remove(ids)
    store.close()

    done = run("failures", "reindex")

    assert done.stdout == "found 2 entries\n", done.stderr
    assert len(json.loads(run("failures", "list", "--json").stdout)["entries"]) == 2


def test_dead_letters_that_no_consumer_takes_are_counted_and_a_reindex_parks_them(
    run: Run, settings: Settings, vhost: str
) -> None:
    # Given what RabbitMQ dead-lettered while no consumer runs
    event = Event(id="18", source="/shop/orders", type="order.placed", tenant="acme")
    delivery = Delivery(id="dlv_dead", event=0, rule=RULE.id, to=Mailbox(address="kim@example.org"))
    batch = Batch(channel=Channel.EMAIL, priority=Priority.NORMAL, events=[event], deliveries=[delivery])
    connection = pika.BlockingConnection(pika.URLParameters(vhost))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish(FAILURES_EXCHANGE, "failed-email", json.dumps([[batch.encode()], {}, {}]).encode())
    connection.close()
    assert json.loads(run("failures", "list", "--json").stdout)["unindexed"] == {"dead-letters": 1}

    # When an operator asks for a reindex
    done = run("failures", "reindex")

    # Then it is in its failure queue, listed and recorded
    assert done.stdout == "found 1 entries\n", done.stderr
    assert (_depth(vhost, "dead-letters"), _depth(vhost, "failed-email")) == (0, 1)
    assert json.loads(run("failures", "list", "--json").stdout)["unindexed"] == {}
    assert json.loads(run("show", "dlv_dead", "--json").stdout)["status"] == "refused"


@pytest.mark.parametrize(
    ("option", "value"), [("--channel", "pigeon"), ("--cause", "boredom"), ("--older-than", "yesterday")]
)
def test_a_filter_that_cannot_match_is_a_mistake_of_usage(run: Run, option: str, value: str) -> None:
    done = run("failures", "list", option, value)

    assert done.returncode == 2
    assert option in done.stderr
