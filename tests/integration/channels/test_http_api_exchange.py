"""Requests to providers through the engine: a sink that misbehaves on request, and nginx, which nobody here wrote."""

import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from textwrap import dedent
from time import time

import pytest

from notifier.channels.http_api.channel import HttpApiChannel
from notifier.channels.http_api.composing import OutgoingRequest
from notifier.channels.http_api.deliveries import HttpApiDeliveries
from notifier.channels.http_api.outcomes import OUR_FAULT_S
from notifier.channels.port import Ready, Work
from notifier.channels.webhook.guard import AddressGuard, read_networks
from notifier.channels.webhook.transport import WebhookTransport
from notifier.domain.delivery import Contact, Delivery
from notifier.domain.event import Event
from notifier.domain.message import TextMessage
from notifier.domain.outcome import REPLY_LIMIT, Cause, Deferred, NotTried, Outcome, Refused, Sent
from notifier.domain.retry import WEBHOOK_SCHEDULE
from notifier.domain.rule import Channel, Rule
from notifier.engine.bridge import Engine
from notifier.errors import InvalidDestination
from notifier.rendering.context import event_context
from notifier.rules.channel_files import load_channels
from notifier.storage.claims import Claimed, ClaimRequest
from tests.servers.http import HttpSink
from tests.servers.ports import free_port
from tests.servers.processes import find_binary, start, stop_group, wait_until

#: Seconds; short where a test waits for it, so long elsewhere that it never passes.
SHORT, LONG = 0.3, 30.0
NUMBER, TEXT, TOKEN = "+491701234567", "Your code is 4711-0815", "t0ken-t0ken-t0ken"
SETTINGS = {"NOTIFIER_CHANNEL_SMS_USER": "AC1", "NOTIFIER_CHANNEL_SMS_TOKEN": TOKEN}
FILE = """\
url: {url}
to: phone
auth: {{basic: {{user: NOTIFIER_CHANNEL_SMS_USER, password: NOTIFIER_CHANNEL_SMS_TOKEN}}}}
headers: {{Idempotency-Key: "{{{{ delivery_id }}}}"}}
form: {{To: "{{{{ address }}}}", Body: "{{{{ text }}}}"}}
message_id: sid
answers:
  - {{status: 200, body: {{data.status: error}}, means: refused}}
  - {{status: 400, body: {{code: 21211}}, means: bad_recipient, suppress: true}}
"""


@dataclass
class Phone:
    """A channel whose only file is `sms.yaml`."""

    root: Path
    engine: Engine
    transport: WebhookTransport
    guard: AddressGuard
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)
    later: float = 0.0
    """Seconds by which its clock is ahead."""

    def __post_init__(self) -> None:
        clock = lambda: time() + self.later  # noqa: E731
        self.channel = HttpApiChannel(self.transport, self.guard, self.settings, longest_exchange=LONG, clock=clock)

    def request(self, url: str, *, text: str = TEXT, address: str = NUMBER, file: str = FILE) -> OutgoingRequest:
        """What would be sent."""
        folder = self.root / "_channels"
        folder.mkdir(exist_ok=True)
        (folder / "sms.yaml").write_text(dedent(file).format(url=url))
        found, problems = load_channels(self.root, self.guard.check_url)
        assert not problems, problems
        event = Event(id="1", source="/shop", type="order.shipped", data={})
        context = event_context(event, recipient={"name": "Zoë"}, delivery_id="dlv_a")
        message = TextMessage(text, "", "hash")
        return self.channel.compose(found["sms"], message, address=address, context=context)

    def send(self, url: str, *, first: bool = True, **more: str) -> Outcome | NotTried:
        """One try."""
        request = self.request(url, **more)
        return self.engine.run(lambda: self.channel.send(request, first=first), LONG)

    def send_all(self, requests: list[OutgoingRequest]) -> list[Outcome | NotTried]:
        """A batch."""
        outcomes: dict[int, Outcome | NotTried] = {}

        def ended(place: int, outcome: Outcome | NotTried, started: float, ended: float) -> None:
            assert started <= ended
            assert place not in outcomes
            outcomes[place] = outcome

        async def leaving(_: Work) -> None:
            raise AssertionError

        deliveries = HttpApiDeliveries(self.channel, self.transport, WEBHOOK_SCHEDULE, LONG)
        rule = Rule("r", "a", Channel.HTTP_API, "a", "", transactional=True)
        delivery = Delivery(id="dlv_a", event=0, rule="r", to=Contact(contact="phone", at=NUMBER))
        event = Event(id="1", source="/shop", type="order.shipped")
        work = Work(ClaimRequest(delivery, Channel.HTTP_API, event), event, rule, Claimed(1, 0))
        ready = [Ready(work, request, "hash") for request in requests]
        self.engine.run(lambda: deliveries.send_all(ready, ended, leaving), LONG)
        return [outcomes[place] for place in range(len(requests))]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    engine.start()
    yield engine
    engine.stop(grace=LONG)


@pytest.fixture
def phones(engine: Engine, tmp_path: Path) -> Iterator[list[Phone]]:
    made: list[Phone] = []
    yield made
    for phone in made:
        engine.run(phone.transport.close, LONG)


def make(phones: list[Phone], engine: Engine, root: Path, *, timeout: float = LONG, **more: Mapping[str, str]) -> Phone:
    guard = AddressGuard(read_networks("127.0.0.1"), http=True)
    phones.append(Phone(root, engine, WebhookTransport(guard, timeout=timeout), guard, **more))
    return phones[-1]


@pytest.fixture
def phone(phones: list[Phone], engine: Engine, tmp_path: Path) -> Phone:
    """Reaches this machine."""
    return make(phones, engine, tmp_path)


def test_a_provider_gets_the_form_the_login_and_the_key_that_recognises_a_repeat(
    phone: Phone, http_sink: HttpSink
) -> None:
    # Given a provider that answers as SMS providers do
    http_sink.status("/messages", 201, body=b'{"sid": "SM1", "to": "+491701234567"}')

    # When a message is sent
    outcome = phone.send(f"{http_sink.url}/messages")

    # Then it is sent, under the provider's id
    assert outcome == Sent("http_201", "201 Created SM1")
    (request,) = http_sink.wait_for(1)
    assert (request.method, request.path) == ("POST", "/messages")
    assert request.body == b"To=%2B491701234567&Body=Your+code+is+4711-0815"
    assert request.header("content-type") == "application/x-www-form-urlencoded"
    assert request.header("authorization") == "Basic QUMxOnQwa2VuLXQwa2VuLXQwa2Vu"
    assert request.header("idempotency-key") == "dlv_a"


def test_two_hundred_with_an_error_in_the_body_is_what_the_file_says(phone: Phone, http_sink: HttpSink) -> None:
    http_sink.status("/push", 200, body=b'{"data": {"status": "error", "message": "no such device"}}')

    outcome = phone.send(f"{http_sink.url}/push")

    assert isinstance(outcome, Refused)
    assert "no such device" in outcome.reply


def test_a_number_the_provider_refuses_is_suppressed_and_not_repeated_in_the_reply(
    phone: Phone, http_sink: HttpSink
) -> None:
    answer = f'{{"code": 21211, "message": "The To number {NUMBER} is not valid", "auth": "{TOKEN}"}}'
    http_sink.status("/messages", 400, body=answer.encode())

    outcome = phone.send(f"{http_sink.url}/messages")

    assert isinstance(outcome, Refused)
    assert (outcome.cause, outcome.suppress) == (Cause.BAD_RECIPIENT, True)
    assert NUMBER[1:] not in outcome.reply
    assert TOKEN not in outcome.reply


def test_a_refused_login_costs_one_try_of_a_batch_and_pauses_only_this_provider(
    phone: Phone, http_sink: HttpSink, https_sink: HttpSink
) -> None:
    # Given a provider that refuses our login
    http_sink.status("/messages", 401, body=b'{"code": 20003}')

    # When a batch of fifty is sent
    outcomes = phone.send_all([phone.request(f"{http_sink.url}/messages") for _ in range(50)])

    # Then one was tried, nobody is refused, and the others wait untried
    first, *others = outcomes
    assert isinstance(first, Deferred)
    assert (first.code, first.our_fault) == ("http_401", True)
    assert all(isinstance(one, NotTried) and one.code == "provider_paused" for one in others)
    assert len(http_sink.requests) == 1

    # And a batch to another origin is tried
    (other,) = phone.send_all([phone.request(f"{https_sink.url}/messages")])
    assert isinstance(other, Deferred)
    assert other.code == "tls"


def test_while_the_login_is_refused_a_message_spends_its_first_try_only(phone: Phone, http_sink: HttpSink) -> None:
    # Given a provider that refuses our login, and a message that found out
    url = f"{http_sink.url}/messages"
    http_sink.status("/messages", 401, body=b'{"code": 20003}', times=4)
    assert isinstance(phone.send(url), Deferred)

    # When it asks again and again, as do new ones
    for first in (False, True):
        phone.later += OUR_FAULT_S
        asked = phone.send(url, first=first)

        # Then that was no try of theirs
        assert isinstance(asked, NotTried)
        assert (asked.code, asked.seconds) == ("provider_paused", OUR_FAULT_S)

    # And neither is it in a worker that has just been started, for a message that was tried elsewhere
    begun = Phone(phone.root, phone.engine, phone.transport, phone.guard)
    assert isinstance(begun.send(url, first=False), NotTried)
    assert len(http_sink.requests) == 4

    # And what is refused while the others go through is a try
    phone.later += OUR_FAULT_S
    assert isinstance(phone.send(url, first=False), Sent)
    http_sink.status("/messages", 401, times=1)
    assert isinstance(phone.send(url, first=False), Deferred)


def test_a_provider_that_cannot_be_reached_spends_tries_as_ever(phone: Phone, http_sink: HttpSink) -> None:
    http_sink.status("/messages", 500, times=2)
    first, later = phone.send(f"{http_sink.url}/messages"), None
    phone.later += OUR_FAULT_S
    later = phone.send(f"{http_sink.url}/messages", first=False)

    assert [type(one) for one in (first, later)] == [Deferred, Deferred]


def test_a_whole_batch_leaves_when_the_provider_takes_it(phone: Phone, http_sink: HttpSink) -> None:
    outcomes = phone.send_all([phone.request(f"{http_sink.url}/messages", text=f"no {n}") for n in range(50)])

    assert [type(one) for one in outcomes] == [Sent] * 50
    assert len({request.body for request in http_sink.requests}) == 50


def test_a_rate_limit_with_a_date_is_obeyed_for_the_whole_provider(phone: Phone, http_sink: HttpSink) -> None:
    http_sink.status("/messages", 429, headers={"Retry-After": formatdate(time() + 120, usegmt=True)})

    first, second = (phone.send(f"{http_sink.url}/messages") for _ in range(2))

    assert isinstance(first, Deferred)
    assert first.throttled
    assert first.retry_after is not None
    assert 60 < first.retry_after <= 120
    assert isinstance(second, NotTried)
    assert 60 < second.seconds <= 120
    assert len(http_sink.requests) == 1


def test_a_page_is_no_answer_and_may_hide_that_it_was_sent(phone: Phone, http_sink: HttpSink) -> None:
    http_sink.status("/messages", 200, body=b"<!doctype html><title>Log in to the Wi-Fi</title>")

    outcome = phone.send(f"{http_sink.url}/messages")

    assert isinstance(outcome, Deferred)
    assert (outcome.code, outcome.uncertain) == ("http_200", True)


def test_an_answer_of_five_megabytes_is_not_read_to_its_end(phone: Phone, http_sink: HttpSink) -> None:
    http_sink.status("/messages", 500, body=b'{"trace": "' + b"x" * 5_000_000 + b'"}')

    outcome = phone.send(f"{http_sink.url}/messages")

    assert isinstance(outcome, Deferred)
    assert outcome.code == "http_500"
    assert len(outcome.reply) == REPLY_LIMIT
    assert http_sink.counters.bytes_sent < 5_000_000


def test_a_provider_that_says_nothing_ends_at_the_deadline_and_may_have_sent_it(
    phones: list[Phone], engine: Engine, tmp_path: Path, http_sink: HttpSink
) -> None:
    phone = make(phones, engine, tmp_path, timeout=SHORT)
    http_sink.hang("/messages")

    outcomes = phone.send_all([phone.request(f"{http_sink.url}/messages") for _ in range(3)])

    assert [type(one) for one in outcomes] == [Deferred, NotTried, NotTried]
    assert outcomes[0].code == "timeout"
    assert isinstance(outcomes[0], Deferred)
    assert outcomes[0].uncertain


def test_a_setting_that_is_missing_pauses_the_provider_and_names_it(
    phones: list[Phone], engine: Engine, tmp_path: Path, http_sink: HttpSink
) -> None:
    phone = make(phones, engine, tmp_path, settings={"NOTIFIER_CHANNEL_SMS_USER": "AC1"})

    outcome = phone.send(f"{http_sink.url}/messages")

    assert isinstance(outcome, NotTried)
    assert outcome.why == "sms: NOTIFIER_CHANNEL_SMS_TOKEN is not set"
    assert not http_sink.requests
    assert [(one.provider, one.reason) for one in phone.channel.paused()] == [
        ("sms", "NOTIFIER_CHANNEL_SMS_TOKEN is not set")
    ]


HOOK = """\
url: "{{{{ address }}}}"
to: slack
hosts: ["{url}"]
json: {{text: "{{{{ text }}}}"}}
"""


def test_an_address_that_is_the_url_leads_to_hosts_of_the_file_only(phone: Phone, http_sink: HttpSink) -> None:
    here = http_sink.url.partition("://")[2]

    outcome = phone.send(here, address=f"{http_sink.url}/services/T0/B0/x", file=HOOK)
    assert isinstance(outcome, Sent)
    assert http_sink.wait_for(1)[0].body == b'{"text":"Your code is 4711-0815"}'

    for elsewhere in ("http://127.0.0.1:1234/x", "https://example.org/x", "https://hooks.example.evil/x"):
        with pytest.raises(InvalidDestination, match="hosts") as caught:
            phone.request(here, address=elsewhere, file=HOOK)
        assert elsewhere not in str(caught.value)
    for inside in ("http://169.254.169.254/latest", "ftp://127.0.0.1/x", "not a url"):
        with pytest.raises(InvalidDestination):
            phone.request(here, address=inside, file=HOOK)


def test_a_value_that_is_no_header_is_refused_without_being_repeated(phone: Phone, http_sink: HttpSink) -> None:
    file = FILE.replace('"{{{{ delivery_id }}}}"', '"{{{{ text }}}}"')

    with pytest.raises(InvalidDestination, match="idempotency-key") as caught:
        phone.request(http_sink.url + "/messages", text="a\r\nHost: evil", file=file)
    assert "evil" not in str(caught.value)


_NGINX = """\
daemon off;
master_process off;
pid {here}/pid;
error_log {here}/error.log;
events {{}}
http {{
  access_log {here}/access.log;
  client_body_temp_path {here}/body;
  proxy_temp_path {here}/proxy;
  fastcgi_temp_path {here}/fastcgi;
  uwsgi_temp_path {here}/uwsgi;
  scgi_temp_path {here}/scgi;
  client_max_body_size 1k;
  limit_req_zone $binary_remote_addr zone=slow:1m rate=1r/m;
  limit_req_status 429;
  server {{
    listen 127.0.0.1:{port};
    root {here}/www;
    location /messages {{
      auth_basic "sms";
      auth_basic_user_file {here}/users;
      error_page 405 =201 /ok.json;
    }}
    location /limited {{ limit_req zone=slow; error_page 405 =201 /ok.json; }}
    location /moved {{ return 308 /messages; }}
  }}
}}
"""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its URL: it knows one login, says 413 from 1 kB on and 429 at the second request in a minute."""
    here = tmp_path_factory.mktemp("nginx")
    binary = find_binary("/usr/sbin/nginx", "nginx", install="apt-get install nginx-light")
    port = free_port()
    (here / "www").mkdir()
    (here / "www" / "ok.json").write_text('{"sid": "SM9"}')
    for name in ("messages", "limited"):
        (here / "www" / name).write_text("x")
    (here / "users").write_text(f"AC1:{{PLAIN}}{TOKEN}\n")
    (here / "nginx.conf").write_text(_NGINX.format(here=here, port=port))
    command = [binary, "-p", str(here), "-e", str(here / "error.log"), "-c", str(here / "nginx.conf")]
    process = start(command, here / "server.log")
    wait_until(lambda: _listens(port), process, here / "server.log")
    yield f"http://127.0.0.1:{port}"
    stop_group(process, signal.SIGTERM)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_server_of_others_takes_the_login_and_says_no_in_its_own_way(
    phones: list[Phone], engine: Engine, tmp_path: Path, nginx: str
) -> None:
    # Given nginx with a login, and settings with the right and with a wrong password
    right = make(phones, engine, tmp_path)
    wrong = make(phones, engine, tmp_path, settings={**SETTINGS, "NOTIFIER_CHANNEL_SMS_TOKEN": "another"})

    # Then the right one is let in, and the wrong one is our fault
    assert right.send(f"{nginx}/messages") == Sent("http_201", "201 Created SM9")
    refused = wrong.send(f"{nginx}/messages")
    assert isinstance(refused, Deferred)
    assert (refused.code, refused.our_fault) == ("http_401", True)

    # And what is too large, moved or too much is told apart
    large = right.send(f"{nginx}/messages", text="x" * 2000)
    assert isinstance(large, Refused)
    assert large.reply.startswith("413 ")
    moved = right.send(f"{nginx}/moved")
    assert isinstance(moved, Deferred)
    assert moved.our_fault


def test_a_server_of_others_that_limits_is_left_alone(phone: Phone, nginx: str) -> None:
    first, second, third = (phone.send(f"{nginx}/limited") for _ in range(3))

    assert isinstance(first, Sent)
    assert isinstance(second, Deferred)
    assert second.throttled
    assert isinstance(third, NotTried)
