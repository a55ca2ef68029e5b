"""What happens when: the failure table of docs/concepts.md, row by row, through the running service.

All rows are set up and published at once and wait side by side, so the whole table takes about as long as its slowest
row. Rows about killed processes and servers that are away are in tests/faults.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from notifier.domain.delivery import DeliveryRecord, Status
from notifier.domain.endpoint import EndpointState
from notifier.domain.ids import event_key, recipient_key
from notifier.domain.outcome import Cause
from notifier.domain.suppression import Part, bounced, unsubscribed
from tests.acceptance.place import SOURCE, Place, hook_folder, mail_folder, message_id, metric, place
from tests.acceptance.service import Process
from tests.servers.faults import DROP, GARBAGE, HANG
from tests.servers.patience import poll
from tests.servers.ports import free_port
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

LOOP = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
LARGE = "{% for a in range(9999) %}{{ data.to }} and so on and on and on and on and on and on{% endfor %}"
FOLDERS = {
    "row.mail": mail_folder("row.mail"),
    "row.schema": mail_folder("row.schema", **{"schema.json": '{"properties": {"to": {"type": "string"}}}'}),
    "row.vital": {
        **mail_folder("row.vital"),
        "rules.yaml": "event: row.vital\ntransactional: true\nrules: [{id: mail, channel: email, to: data.to}]",
    },
    "row.undefined": mail_folder("row.undefined", text="Hello {{ data.nobody }}"),
    "row.loop": mail_folder("row.loop", text=LOOP),
    "row.large": mail_folder("row.large", text=LARGE * 20),
    "row.asking": mail_folder("row.asking", rule="uncertain: park"),
    "row.brief": mail_folder("row.brief", rule="expires: 2s"),
    "row.hook": hook_folder("row.hook"),
    "row.digest": {
        "rules.yaml": "event: row.digest\ncategory: news\nrules:\n"
        "  - {id: mail, channel: digest, to: data.to, key: data.to, window: {after_first: 1h}}",
        "digest.subject.j2": "Digest",
        "digest.text.j2": "{{ digest.total }} items",
    },
    "notifier.endpoint.disabled": mail_folder("notifier.endpoint.disabled", rule="")
    | {
        "rules.yaml": "event: notifier.endpoint.disabled\ntransactional: true\nrules:\n"
        "  - {id: mail, channel: email, to: \"'owner@example.org'\"}",
        "email.text.j2": "{{ data.endpoint }}: {{ data.reason }}",
    },
}

Step = Callable[[Place, "Case"], None]


@dataclass(frozen=True)
class Row:
    """One line of the table: what happens to a delivery, and what must come of it."""

    happens: str
    status: Status
    attempts: str = ""
    """Regular expression for the codes of all attempts; empty is none."""
    parked: Cause | None = None
    type: str = "row.mail"
    given: Step = lambda _place, _case: None
    """Before the event is published."""
    then: Step = lambda _place, _case: None
    event: dict[str, Any] = field(default_factory=dict)
    to: str = ""
    """Recipient, where it is not an address of the row's own."""
    pauses_relay: bool = False
    """It makes other mails wait, so it comes when the one that expires soon has ended."""


@dataclass
class Case:
    """A row that was published."""

    row: Row
    address: str
    path: str
    tenant: str
    event: str = ""
    endpoint: str = ""

    def delivery(self, at: Place) -> str:
        if self.endpoint:
            return at.delivery(self.event, f"{self.row.type}/hook", f"endpoint:{self.endpoint}")
        if self.row.to:
            return at.delivery(self.event, f"{self.row.type}/mail", f"recipient:{self.row.to}")
        suffix = "\x1f" + self.address if self.row.type == "row.digest" else ""
        return at.delivery(self.event, f"{self.row.type}/mail", f"mailto:{self.address}{suffix}")


# given


def smtp(reply: str, *, at: str = "RCPT", times: int | None = 1) -> Step:
    def given(where: Place, case: Case) -> None:
        where.smtp.reply(at, reply, matching=re.escape(case.address), times=times)

    return given


def http(behave: Callable[[Place, str], None]) -> Step:
    return lambda where, case: behave(where, case.path)


def status(code: int, *, times: int | None = 1, **headers: str) -> Step:
    return http(
        lambda at, path: at.http.status(
            path, code, times=times, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
    )


def suppressed(*parts: Part) -> Step:
    def given(at: Place, case: Case) -> None:
        for part in parts:
            at.suppressions.add(recipient_key(case.address), part)

    return given


def points_to(url: str) -> Step:
    """The endpoint is elsewhere: as one that was registered before its name changed its address."""

    def given(at: Place, case: Case) -> None:
        case.endpoint = at.endpoints.add(case.tenant, url).id

    return given


# then


def mails(count: int) -> Step:
    def then(at: Place, case: Case) -> None:
        got = at.mails_to(case.address)
        assert len(got) == count
        assert len({message_id(mail) for mail in got}) <= 1

    return then


def is_suppressed(at: Place, case: Case) -> None:
    poll(lambda: at.suppressions.get(recipient_key(case.address)), "the address is suppressed")


def is_not_suppressed(at: Place, case: Case) -> None:
    assert not at.suppressions.get(recipient_key(case.address))
    assert len(at.mails_to(case.address)) == 1


def is_refused_alone(at: Place, case: Case) -> None:
    assert not at.suppressions.get(recipient_key(case.address))
    assert at.mails_to(case.address) == []


def owner_hears(at: Place, case: Case) -> None:
    (endpoint,) = at.endpoints.get_many([case.endpoint]).values()
    assert endpoint.state is EndpointState.DISABLED
    poll(lambda: at.mails_to("owner@example.org"), "notifier.endpoint.disabled became a mail")
    assert case.endpoint.encode() in at.mails_to("owner@example.org")[0]


def requests(count: int) -> Step:
    def then(at: Place, case: Case) -> None:
        got = [request for request in at.http.requests if request.path == case.path]
        assert len(got) == count
        assert {request.header("webhook-id") for request in got} == ({case.delivery(at)} if got else set())

    return then


def a_replay_sends_it(at: Place, case: Case) -> None:
    (at.templates / "row.undefined" / "email.text.j2").write_text("Hello again {{ data.to }}")
    poll(lambda: _replayed(at, case), "the mended template is in use")
    mails(1)(at, case)


def _replayed(at: Place, case: Case) -> bool:
    """Workers look at the files once a second: until then a replay is parked again."""
    if at.parked(case.delivery(at)) is not None:
        at.failures("replay", case.delivery(at), "--yes")
    at.until(case.delivery(at), Status.SENT, Status.REFUSED)
    record = at.record(case.delivery(at))
    return record is not None and record.status is Status.SENT


def waits_seconds(seconds: float) -> Step:
    """The second try came no sooner than the receiver asked for."""

    def then(at: Place, case: Case) -> None:
        record = at.record(case.delivery(at))
        assert record is not None
        first, second = record.attempts
        assert second.started - (first.started + first.duration) >= seconds

    return then


def disable_meanwhile(at: Place, case: Case) -> None:
    """The receiver asks for time, and its owner switches it off before that is over."""
    at.http.status(case.path, 503, times=1, headers={"Retry-After": "3"})


PAST = {"expirytime": datetime(2020, 1, 1, tzinfo=UTC).isoformat()}
GONE = [f"550 {code} no such user" for code in ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1")]
HOOK = {"type": "row.hook"}

ROWS = [
    Row("nothing goes wrong with a mail", Status.SENT, "smtp_250", then=mails(1)),
    Row("nothing goes wrong with a webhook", Status.SENT, "http_204", then=requests(1), **HOOK),
    # templates
    Row(
        "variable undefined",
        Status.REFUSED,
        "render_failed",
        Cause.RENDER_FAILED,
        "row.undefined",
        then=a_replay_sends_it,
    ),
    Row("template loops", Status.REFUSED, "render_failed", Cause.RENDER_FAILED, "row.loop", then=mails(0)),
    Row("render too large", Status.REFUSED, "render_failed", Cause.RENDER_FAILED, "row.large", then=mails(0)),
    # gates
    Row("address suppressed", Status.SUPPRESSED, given=suppressed(bounced("smtp_550_5.1.1", 1.0)), then=mails(0)),
    Row("category switched off", Status.SUPPRESSED, given=suppressed(unsubscribed("news", 1.0)), then=mails(0)),
    Row(
        "another category switched off",
        Status.SENT,
        "smtp_250",
        given=suppressed(unsubscribed("ads", 1.0)),
        then=mails(1),
    ),
    Row(
        "a transactional mail to somebody who switched off the category",
        Status.SENT,
        "smtp_250",
        type="row.vital",
        given=suppressed(unsubscribed("news", 1.0)),
        then=mails(1),
    ),
    Row("event expired", Status.EXPIRED, event=PAST, then=mails(0)),
    Row("recipient unknown", Status.REFUSED, "", Cause.BAD_DESTINATION, to="user-4711"),
    Row(
        "endpoint disabled meanwhile",
        Status.SKIPPED,
        "http_503",
        Cause.ENDPOINT_DISABLED,
        given=disable_meanwhile,
        then=requests(1),
        **HOOK,
    ),
    Row(
        "endpoint points inside",
        Status.REFUSED,
        "",
        Cause.BAD_DESTINATION,
        given=points_to("http://10.0.0.1/hook"),
        then=requests(0),
        **HOOK,
    ),
    Row("a digest item waits for its window", Status.HELD, type="row.digest", then=mails(0)),
    Row("450", Status.SENT, "smtp_450_4.2.1 smtp_250", given=smtp("450 4.2.1 busy"), then=mails(1)),
    Row("452", Status.SENT, "smtp_452_4.2.2 smtp_250", given=smtp("452 4.2.2 mailbox full"), then=mails(1)),
    Row("552 at RCPT", Status.SENT, "smtp_552_5.2.2 smtp_250", given=smtp("552 5.2.2 too much"), then=mails(1)),
    Row(
        "421",
        Status.SENT,
        "smtp_421_4.7.0 smtp_250",
        given=smtp("421 4.7.0 slow down"),
        then=mails(1),
        pauses_relay=True,
    ),
    Row("connection lost at RCPT", Status.SENT, "(connection )+smtp_250", given=smtp(DROP, times=2), then=mails(1)),
    Row("no reply at RCPT", Status.SENT, "timeout smtp_250", given=smtp(HANG), then=mails(1)),
    Row("garbage at RCPT", Status.SENT, "protocol smtp_250", given=smtp(GARBAGE), then=mails(1)),
    Row(
        "5.7.1 is about this mail",
        Status.REFUSED,
        "smtp_550_5.7.1",
        Cause.REFUSED,
        given=smtp("550 5.7.1 policy"),
        then=is_refused_alone,
    ),
    Row(
        "relay denied is about us",
        Status.SENT,
        "smtp_550_5.7.1 smtp_250",
        given=smtp("550 5.7.1 relaying denied"),
        then=is_not_suppressed,
    ),
    Row(
        "530 is about us",
        Status.SENT,
        "smtp_530_5.7.0 smtp_250",
        given=smtp("530 5.7.0 log in"),
        then=is_not_suppressed,
        pauses_relay=True,
    ),
    Row(
        "535 is about us",
        Status.SENT,
        "smtp_535_5.7.8 smtp_250",
        given=smtp("535 5.7.8 wrong"),
        then=is_not_suppressed,
        pauses_relay=True,
    ),
    Row(
        "expires before the next try",
        Status.EXPIRED,
        "(smtp_451_4.3.0 ?){1,2}",
        type="row.brief",
        given=smtp("451 4.3.0 later", times=None),
        then=mails(0),
    ),
    Row(
        "schedule exhausted",
        Status.EXHAUSTED,
        "smtp_451_4.3.0 smtp_451_4.3.0 smtp_451_4.3.0",
        Cause.EXHAUSTED,
        given=smtp("451 4.3.0 later", times=None),
        then=mails(0),
    ),
    *(
        Row(
            reply,
            Status.REFUSED,
            f"smtp_550_{reply.split()[1]}",
            Cause.BAD_RECIPIENT,
            given=smtp(reply, times=None),
            then=is_suppressed,
        )
        for reply in GONE
    ),
    Row(
        "550 without a reason",
        Status.REFUSED,
        "smtp_550",
        Cause.REFUSED,
        given=smtp("550 no", times=None),
        then=mails(0),
    ),
    Row(
        "554 after the dot",
        Status.REFUSED,
        "smtp_554_5.6.0",
        Cause.REFUSED,
        given=smtp("554 5.6.0 bad content", at="DOT", times=None),
        then=mails(0),
    ),
    # nobody knows
    Row(
        "cut off after the final dot",
        Status.SENT,
        "uncertain:connection smtp_250",
        given=smtp(DROP, at="ACCEPTED"),
        then=mails(2),
    ),
    Row(
        "no reply to the final dot",
        Status.SENT,
        "uncertain:timeout smtp_250",
        given=smtp(HANG, at="ACCEPTED"),
        then=mails(2),
    ),
    Row(
        "garbage as the reply to the final dot",
        Status.SENT,
        "uncertain:protocol smtp_250",
        given=smtp(GARBAGE, at="ACCEPTED"),
        then=mails(2),
    ),
    Row(
        "cut off after the final dot, and the rule asks a person",
        Status.REFUSED,
        "uncertain:connection",
        Cause.UNCERTAIN,
        "row.asking",
        given=smtp(DROP, at="ACCEPTED"),
        then=mails(1),
    ),
    Row("500", Status.SENT, "http_500 http_204", given=status(500), then=requests(2), **HOOK),
    Row("503", Status.SENT, "http_503 http_204", given=status(503), then=requests(2), **HOOK),
    Row("404", Status.SENT, "http_404 http_204", given=status(404), then=requests(2), **HOOK),
    Row(
        "429 with Retry-After",
        Status.SENT,
        "http_429 http_204",
        given=status(429, Retry_After="3"),
        then=waits_seconds(2.9),
        **HOOK,
    ),
    Row(
        "receiver closes the connection",
        Status.SENT,
        # On a connection kept from another row it is taken for one that was idle too long, and written again at once.
        "(uncertain:connection )?http_204",
        given=http(lambda at, path: at.http.drop(path, times=1)),
        then=requests(2),
        **HOOK,
    ),
    Row(
        "receiver never answers",
        Status.SENT,
        "uncertain:timeout http_204",
        given=http(lambda at, path: at.http.hang(path, times=1)),
        then=requests(2),
        **HOOK,
    ),
    Row(
        "receiver answers garbage",
        Status.SENT,
        "uncertain:protocol http_204",
        given=http(lambda at, path: at.http.garbage(path, times=1)),
        then=requests(2),
        **HOOK,
    ),
    Row(
        "receiver drips",
        Status.SENT,
        "(uncertain:timeout|http_200) ?(http_204)?",
        given=http(lambda at, path: at.http.drip(path, times=1)),
        **HOOK,
    ),
    Row(
        "receiver sends without end",
        Status.SENT,
        "http_200",
        given=http(lambda at, path: at.http.endless(path, times=1)),
        then=requests(1),
        **HOOK,
    ),
    Row(
        "redirect",
        Status.EXHAUSTED,
        "http_302 http_302 http_302",
        Cause.EXHAUSTED,
        given=http(lambda at, path: at.http.redirect(path, "http://169.254.169.254/")),
        then=requests(3),
        **HOOK,
    ),
    Row(
        "name unknown",
        Status.EXHAUSTED,
        "dns dns dns",
        Cause.EXHAUSTED,
        given=points_to("http://nobody.invalid/hook"),
        then=requests(0),
        **HOOK,
    ),
    Row(
        "nothing listens",
        Status.EXHAUSTED,
        "connection connection connection",
        Cause.EXHAUSTED,
        given=points_to(f"http://127.0.0.1:{free_port()}/hook"),
        then=requests(0),
        **HOOK,
    ),
    Row("410", Status.REFUSED, "http_410", Cause.ENDPOINT_GONE, given=status(410), then=owner_hears, **HOOK),
]


@dataclass
class Table:
    """The published table."""

    at: Place
    consumer: Process
    worker: Process
    cases: dict[str, Case]


@pytest.fixture(scope="module")
def table(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    short = {
        "NOTIFIER_EMAIL_RETRY": "1 1",
        "NOTIFIER_WEBHOOK_RETRY": "1 1",
        "NOTIFIER_SEND_TIMEOUT": "4",
        "NOTIFIER_WEBHOOK_TIMEOUT": "2",
    }
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("table"), FOLDERS, **short) as at:
        cases = {row.happens: Case(row, f"row{n}@example.org", f"/row{n}", f"tenant{n}") for n, row in enumerate(ROWS)}
        for case in cases.values():
            case.row.given(at, case)
            if case.row.type == "row.hook" and not case.endpoint:
                case.endpoint = at.endpoints.add(case.tenant, at.http.url + case.path).id
        consumer, worker = at.service.consumer(), at.service.worker("-n", "one@%h")
        # Last comes the one that must be seen while its receiver's time runs; before it others are waited for.
        last = cases["endpoint disabled meanwhile"]
        for case in sorted(cases.values(), key=lambda case: (case is last, case.row.pauses_relay)):
            if case.row.pauses_relay:
                at.until(cases["expires before the next try"].delivery(at), Status.EXPIRED)
            data = {"to": case.row.to or case.address}
            case.event = at.publish(case.row.type, data, tenant=case.tenant, **case.row.event)
        at.until(last.delivery(at), Status.DEFERRED)
        at.endpoints.set_state(last.endpoint, EndpointState.DISABLED, "switched off by its owner")
        yield Table(at, consumer, worker, cases)


@pytest.mark.parametrize("happens", [row.happens for row in ROWS])
def test_what_happens_to_a_delivery_has_the_promised_end(table: Table, happens: str) -> None:
    # Given a delivery that met what the row says
    case = table.cases[happens]
    row, identity = case.row, case.delivery(table.at)

    # Then its status and its attempts are the row's
    record = table.at.until(identity, row.status)
    assert_attempts(record, row.attempts)
    # And it is in its failure queue for the row's cause, or in none
    if row.parked is not None:
        entry = table.at.until_parked(identity)
        assert (entry.cause, entry.queue) == (row.parked, "failed-webhook" if case.endpoint else "failed-email")
        assert entry.reason
    # And everything else the row promises holds
    row.then(table.at, case)


def assert_attempts(record: DeliveryRecord, pattern: str) -> None:
    codes = " ".join(attempt.code for attempt in record.attempts)
    assert re.fullmatch(pattern, codes), f"{codes!r} is not {pattern!r}"
    assert [attempt.number for attempt in record.attempts] == list(range(1, len(record.attempts) + 1))


def test_what_was_not_to_be_parked_is_not_in_a_failure_queue(table: Table) -> None:
    # Given the whole table, ended
    others = {happens: case for happens, case in table.cases.items() if case.row.then is not a_replay_sends_it}
    for case in others.values():
        table.at.until(case.delivery(table.at), case.row.status)
    table.at.until_quiet()

    # Then exactly the rows that say so are parked
    parked = {happens for happens, case in others.items() if table.at.parked(case.delivery(table.at)) is not None}
    assert parked == {happens for happens, case in others.items() if case.row.parked is not None}


def test_an_event_no_rule_wants_is_counted_and_explained(table: Table) -> None:
    # When an event comes that no rule matches
    before = metric(table.consumer, "notifier_events_unmatched_total")
    event = table.at.publish("row.nobody", {"to": "x@example.org"})

    # Then it is counted, acknowledged and nowhere parked
    poll(lambda: metric(table.consumer, "notifier_events_unmatched_total") == before + 1, "counted")
    assert table.at.parked(event_key(SOURCE, event)) is None


def test_the_same_event_again_sends_nothing_again(table: Table) -> None:
    # Given an event that was delivered
    case = table.cases["nothing goes wrong with a mail"]
    table.at.until(case.delivery(table.at), Status.SENT)
    before = metric(table.consumer, "notifier_events_duplicate_total")

    # When it is published again
    table.at.publish(case.row.type, {"to": case.address}, event_id=case.event)

    # Then it is counted and nothing is sent
    poll(lambda: metric(table.consumer, "notifier_events_duplicate_total") == before + 1, "counted")
    assert len(table.at.mails_to(case.address)) == 1


@pytest.mark.parametrize(
    ("event_type", "data", "cause"),
    [("row.schema", {"to": 5}, Cause.SCHEMA), ("row.mail", {"nobody": 1}, Cause.PLANNING)],
)
def test_an_event_that_cannot_be_planned_is_parked_with_its_reason(
    table: Table, event_type: str, data: Any, cause: Cause
) -> None:
    event = table.at.publish(event_type, data)

    entry = table.at.until_parked(event_key(SOURCE, event))

    assert (entry.queue, entry.cause, entry.event_type) == ("failed-intake", cause, event_type)
    assert "to" in entry.reason
