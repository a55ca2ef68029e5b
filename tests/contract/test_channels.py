"""What every channel keeps, on real servers: email, webhook, channel files and the fake one of the worker's tests."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from notifier.channels.email.channel import EmailChannel
from notifier.channels.email.deliveries import EmailDeliveries
from notifier.channels.http_api.channel import HttpApiChannel
from notifier.channels.http_api.deliveries import HttpApiDeliveries
from notifier.channels.port import DeliveryChannel, Directory, Draft, Ready, Work
from notifier.channels.webhook.channel import WebhookChannel
from notifier.channels.webhook.deliveries import WebhookDeliveries
from notifier.channels.webhook.guard import AddressGuard, read_networks
from notifier.channels.webhook.transport import WebhookTransport
from notifier.domain.channels import TRAITS
from notifier.domain.delivery import Contact, Delivery, Destination, EndpointRef, Mailbox
from notifier.domain.endpoint import Endpoint
from notifier.domain.event import Event
from notifier.domain.limit import ScopeKind
from notifier.domain.outcome import Deferred, NotTried, Outcome, Refused, Sent
from notifier.domain.provider import Provider
from notifier.domain.retry import EMAIL_SCHEDULE, WEBHOOK_SCHEDULE
from notifier.domain.rule import Channel, Rule
from notifier.domain.topology import FAILURE_QUEUES, failure_queue
from notifier.engine.bridge import Engine
from notifier.engine.rate_watch import RateWatch
from notifier.engine.relays import SmtpRelays
from notifier.errors import ClaimLost
from notifier.rules.content import Content
from notifier.settings import Settings
from notifier.storage.claims import Claimed, ClaimRequest
from notifier.storage.endpoints import new_secret
from notifier.wiring.channels import build_channels
from tests.fake_channel import FakeChannel
from tests.servers.http import HttpSink
from tests.servers.patience import PATIENCE_S
from tests.servers.ports import free_port
from tests.servers.smtp import SmtpSink

CHAT = 'url: "{{ address }}"\nto: chat\nhosts: [127.0.0.1]\njson: {text: "{{ text }}"}\n'
EVENT = Event(id="1", source="/shop", type="order.shipped", tenant="acme")


@dataclass
class Ending:
    """One call of `Ended`."""

    place: int
    outcome: Outcome | NotTried
    started: float
    ended: float


@dataclass
class Subject:
    """A channel under test, with a receiver that takes everything and one that is not there."""

    channel: DeliveryChannel
    rule: Rule
    taking: Destination
    missing: Destination
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    marks: bool = False
    """Whether it tells when a delivery may be gone."""

    def work(self, number: int, to: Destination, *, uncertain: bool = False, **facts: float) -> Work:
        rule = Rule(**{**_fields(self.rule), "uncertain": "park" if uncertain else "resend"})
        delivery = Delivery(id=f"dlv_{number}", event=0, rule=rule.id, to=to, expires=facts.get("expires"))
        request = ClaimRequest(delivery, rule.channel, EVENT)
        return Work(request, EVENT, rule, Claimed(1, 0), start=facts.get("start", 0.0))


def _fields(rule: Rule) -> dict[str, object]:
    return {name: getattr(rule, name) for name in Rule.__dataclass_fields__}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    engine.start()
    yield engine
    engine.stop(grace=1.0)


@pytest.fixture
def content(tmp_path: Path) -> Content:
    folder = tmp_path / "templates" / "order.shipped"
    folder.mkdir(parents=True)
    (folder / "email.subject.j2").write_text("Shipped")
    (folder / "email.text.j2").write_text("Your order {{ event.id }} is on its way.")
    (folder / "chat.text.j2").write_text("Your order {{ event.id }} is on its way.")
    (folder.parent / "_channels").mkdir()
    (folder.parent / "_channels" / "chat.yaml").write_text(CHAT)
    return Content.load(folder.parent, rules_only=True)


def email(smtp_sink: SmtpSink, _: HttpSink) -> Subject:
    relays = SmtpRelays(
        [f"smtp+plain://127.0.0.1:{smtp_sink.port}"], hostname="a.example", connections=2, timeout=PATIENCE_S
    )
    channel = EmailChannel(relays, sender="Shop <shop@example.org>", hostname="a.example")
    rule = Rule("order.shipped/mail", EVENT.type, Channel.EMAIL, EVENT.type, "orders", transactional=False)
    smtp_sink.reply("RCPT", "550 5.1.1 no such user", matching="nobody@")
    return Subject(
        EmailDeliveries(channel, EMAIL_SCHEDULE),
        rule,
        Mailbox(address="ann@example.org"),
        Mailbox(address="nobody@example.org"),
        marks=True,
    )


def webhook(_: SmtpSink, http_sink: HttpSink) -> Subject:
    guard = AddressGuard(read_networks("127.0.0.1"), http=True)
    transport = WebhookTransport(guard, connections=4, timeout=PATIENCE_S)
    rule = Rule("order.shipped/hook", EVENT.type, Channel.WEBHOOK, EVENT.type, "", transactional=True)
    secrets = (new_secret(),)
    endpoints = {
        "ep_taking": Endpoint("ep_taking", "acme", http_sink.url, secrets),
        "ep_missing": Endpoint("ep_missing", "acme", f"http://127.0.0.1:{free_port()}/", secrets),
    }
    channel = WebhookDeliveries(WebhookChannel(transport, guard), transport, WEBHOOK_SCHEDULE, PATIENCE_S)
    return Subject(channel, rule, EndpointRef(endpoint="ep_taking"), EndpointRef(endpoint="ep_missing"), endpoints)


def http_api(_: SmtpSink, http_sink: HttpSink) -> Subject:
    guard = AddressGuard(read_networks("127.0.0.1"), http=True)
    transport = WebhookTransport(guard, connections=4, timeout=PATIENCE_S)
    channel = HttpApiChannel(transport, guard, {}, longest_exchange=PATIENCE_S)
    provider = Provider("chat", "", kind="chat")
    rule = Rule("order.shipped/chat", EVENT.type, Channel.HTTP_API, EVENT.type, "x", False, provider=provider)
    return Subject(
        HttpApiDeliveries(channel, transport, WEBHOOK_SCHEDULE, PATIENCE_S),
        rule,
        Contact(contact="chat", at=http_sink.url),
        Contact(contact="chat", at=f"http://127.0.0.1:{free_port()}/"),
    )


def fake(_: SmtpSink, __: HttpSink) -> Subject:
    channel = FakeChannel()
    channel.marks = True
    channel.outcomes["dlv_missing"] = [Deferred("fake_500")]
    rule = Rule("order.shipped/fake", EVENT.type, Channel.EMAIL, EVENT.type, "orders", transactional=False)
    subject = Subject(channel, rule, Mailbox(address="ann@example.org"), Mailbox(address="ben@example.org"), marks=True)
    channel.outcomes["dlv_99"] = [Deferred("fake_500")]
    return subject


@pytest.fixture(params=[email, webhook, http_api, fake], ids=lambda make: str(make.__name__))
def subject(
    request: pytest.FixtureRequest, smtp_sink: SmtpSink, http_sink: HttpSink, engine: Engine
) -> Iterator[Subject]:
    make: Callable[[SmtpSink, HttpSink], Subject] = request.param
    made = make(smtp_sink, http_sink)
    yield made
    engine.run(made.channel.close, PATIENCE_S)


#: Sends deliveries and gives what was told of each, in the order of their places.
Send = Callable[..., list[Ending]]


@pytest.fixture
def send(subject: Subject, content: Content, engine: Engine) -> Send:
    def run(work: Sequence[Work], lost: Sequence[str] = ()) -> list[Ending]:
        endings: list[Ending] = []

        async def leaving(one: Work) -> None:
            if one.delivery.id in lost:
                raise ClaimLost(one.delivery.id)

        def told(place: int, outcome: Outcome | NotTried, started: float, ended: float) -> None:
            endings.append(Ending(place, outcome, started, ended))

        ready = [prepared(subject, content, one) for one in work]
        engine.run(lambda: subject.channel.send_all(ready, told, leaving), PATIENCE_S)
        return sorted(endings, key=lambda one: one.place)

    return run


def directory(subject: Subject) -> Directory:
    return Directory(subject.endpoints, {}, {})


def prepared(subject: Subject, content: Content, work: Work) -> Ready:
    draft = subject.channel.render(work, content, directory(subject), time.time())
    assert isinstance(draft, Draft)
    return subject.channel.compose(draft, content, directory(subject), time.time())


def test_what_is_composed_belongs_to_its_delivery(subject: Subject, content: Content) -> None:
    work = subject.work(1, subject.taking)

    ready = prepared(subject, content, work)

    assert ready.work is work
    assert ready.template


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_end_of_each_delivery_is_told_once_with_its_times(subject: Subject, send: Send, count: int) -> None:
    # When some deliveries are sent to whoever takes them
    endings = send([subject.work(number, subject.taking) for number in range(count)])

    # Then each was sent, and told once
    assert [one.place for one in endings] == list(range(count))
    assert all(isinstance(one.outcome, Sent) and one.outcome.code for one in endings)
    assert all(one.started <= one.ended for one in endings)


def test_a_receiver_that_does_not_take_it_is_an_outcome_and_its_neighbours_go(subject: Subject, send: Send) -> None:
    work = [subject.work(1, subject.taking), subject.work(99, subject.missing), subject.work(2, subject.taking)]

    first, failed, last = send(work)

    assert isinstance(failed.outcome, Deferred | Refused)
    assert failed.outcome.code
    assert isinstance(first.outcome, Sent)
    assert isinstance(last.outcome, Sent)


def test_nothing_begins_before_its_time_and_the_rest_does_not_wait_for_it(subject: Subject, send: Send) -> None:
    moment = time.time() + 0.2

    now, later = send([subject.work(1, subject.taking), subject.work(2, subject.taking, start=moment)])

    # A timer and the clock of the world may differ by some milliseconds.
    assert now.started < moment <= later.started + 0.02
    assert isinstance(later.outcome, Sent)


def test_what_has_expired_when_its_time_comes_is_not_tried(subject: Subject, send: Send) -> None:
    moment = time.time() + 0.1

    (ended,) = send([subject.work(1, subject.taking, start=moment, expires=moment - 0.05)])

    assert isinstance(ended.outcome, NotTried)
    assert ended.outcome.code == "expired"


def test_who_lost_the_claim_of_what_may_be_sent_once_does_not_send_it(subject: Subject, send: Send) -> None:
    # Given deliveries of a rule with `uncertain: park`, the first of which another worker has taken over
    work = [subject.work(number, subject.taking, uncertain=True) for number in range(2)]

    lost, sent = send(work, lost=["dlv_0"])

    # Then it is not sent; but nobody knows the moment before which a request has not acted, so webhooks do not ask
    expected = Deferred("claim_lost", "dlv_0") if subject.marks else sent.outcome
    assert lost.outcome == expected
    assert isinstance(sent.outcome, Sent)


def test_a_delivery_falls_under_the_limits_of_its_tenant_and_rule_whatever_else_it_does(subject: Subject) -> None:
    found = list(subject.channel.places(subject.work(1, subject.taking), directory(subject), frozenset(ScopeKind)))

    assert {(kind, name) for kind, name, _ in found} >= {(ScopeKind.TENANT, "acme"), (ScopeKind.RULE, subject.rule.id)}


def test_it_is_open_and_nobody_is_slow_while_all_is_well(subject: Subject, content: Content, send: Send) -> None:
    work = subject.work(1, subject.taking)
    send([work])

    assert subject.channel.closed_for() == 0
    assert not subject.channel.is_slow(prepared(subject, content, work))


def test_closing_twice_is_closing_once(subject: Subject, send: Send, engine: Engine) -> None:
    send([subject.work(1, subject.taking)])

    engine.run(subject.channel.close, PATIENCE_S)
    engine.run(subject.channel.close, PATIENCE_S)


@pytest.mark.parametrize("channel", Channel)
def test_every_channel_has_its_row_its_failure_queue_and_its_place_in_a_worker(channel: Channel) -> None:
    made = build_channels(Settings(), RateWatch(time.time))

    assert TRAITS[channel].schedule == made.all[channel].schedule
    assert made.all[channel].name is channel
    assert failure_queue(f"{channel}-normal") in FAILURE_QUEUES
