"""Real exchanges through the engine: endpoints that answer well, badly, never, for ever, or try to lead us inside."""

import asyncio
import gzip
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from notifier.channels.webhook.answers import Failure
from notifier.channels.webhook.channel import WebhookChannel
from notifier.channels.webhook.connections import KEEPALIVE_S
from notifier.channels.webhook.guard import AddressGuard, Target, read_networks
from notifier.channels.webhook.request import opening
from notifier.channels.webhook.resolver import look_up
from notifier.channels.webhook.slots import Crowded
from notifier.channels.webhook.transport import SLOT_PATIENCE_S, WebhookTransport
from notifier.channels.webhook.wire import REPLY_BYTES
from notifier.domain.delivery import Delivery, EndpointRef
from notifier.domain.endpoint import Endpoint
from notifier.domain.event import Event
from notifier.domain.message import WebhookMessage
from notifier.domain.outcome import REPLY_LIMIT, Cause, Deferred, NotTried, Outcome, Refused, Sent
from notifier.engine.bridge import Engine
from notifier.storage.endpoints import new_secret
from tests.servers.busybox import BusyboxHttpd
from tests.servers.certificates import Certificate, make_certificate
from tests.servers.http import HttpSink

SECRET = new_secret()
BODY = '{"specversion":"1.0","type":"order.shipped","data":{"name":"Zoë"}}'.encode()
#: Seconds; short where a test waits for it, so long elsewhere that it never passes.
SHORT, LONG = 0.3, 30.0


class Sending:
    """A channel with a real transport in a real engine."""

    def __init__(self, transport: WebhookTransport, guard: AddressGuard, engine: Engine) -> None:
        self.transport = transport
        self.engine = engine
        self._channel = WebhookChannel(transport, guard)

    def send(self, url: str, *, secrets: tuple[str, ...] = (SECRET,), again: bool = True) -> Outcome | NotTried:
        """One try."""
        outgoing = self._channel.prepare(
            Delivery(id="dlv_abc", event=0, rule="r", to=EndpointRef(endpoint="ep_a")),
            Event(id="1", source="/shop", type="order.shipped"),
            Endpoint("ep_a", "acme", url, secrets),
            WebhookMessage(BODY, "application/cloudevents+json; charset=utf-8", "abc"),
        )
        return self.engine.run(lambda: self._channel.send(outgoing, again=again), LONG)


class Workshop:
    """Makes `Sending`s and closes them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._made: list[Sending] = []

    def make(self, *, allow: str = "127.0.0.1", timeout: float = LONG, **options: Any) -> Sending:
        """A channel that may reach this machine, unless told otherwise."""
        guard = AddressGuard(read_networks(allow), http=True)
        self._made.append(Sending(WebhookTransport(guard, timeout=timeout, **options), guard, self._engine))
        return self._made[-1]

    def close(self) -> None:
        """Close every connection."""
        for sending in self._made:
            self._engine.run(sending.transport.close, LONG)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The engine, whose loop has no threads to look names up in."""
    running = Engine()
    running.start()
    yield running
    running.stop(grace=1.0)


@pytest.fixture
def workshop(engine: Engine) -> Iterator[Workshop]:
    """Where channels are made."""
    made = Workshop(engine)
    yield made
    made.close()


@pytest.fixture
def sending(workshop: Workshop) -> Sending:
    """A channel that may reach this machine."""
    return workshop.make()


def head_to(target: Target) -> bytes:
    """The head of a request whose body is ``{}``."""
    return opening(target, (), "application/json") + b"content-length: 2\r\n\r\n"


def resolving(names: dict[str, Sequence[str]]) -> Any:
    """A look-up that knows only these names."""

    async def ask(host: str, port: int) -> Sequence[tuple[Any, ...]]:
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in names[host]]

    return ask


def test_an_endpoint_gets_the_exact_bytes_with_a_signature_it_can_verify(sending: Sending, http_sink: HttpSink) -> None:
    # When a webhook is sent
    outcome = sending.send(f"{http_sink.url}/hook?tenant=acme")

    # Then the endpoint can verify it with the official library
    request = http_sink.wait_for(1)[0]
    assert outcome == Sent("http_204", "204 sink")
    assert (request.method, request.path, request.body) == ("POST", "/hook?tenant=acme", BODY)
    assert Webhook(SECRET).verify(request.body, _headers(request.headers))["data"] == {"name": "Zoë"}

    # And nothing is sent that was not meant to be
    assert sorted(name.lower() for name, _ in request.headers) == [
        "accept",
        "accept-encoding",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    ]
    assert request.header("accept-encoding") == "identity"


def test_receivers_with_the_old_and_the_new_secret_both_verify_during_a_rotation(
    sending: Sending, http_sink: HttpSink
) -> None:
    old, new = new_secret(), new_secret()

    sending.send(f"{http_sink.url}/hook", secrets=(new, old))

    request = http_sink.wait_for(1)[0]
    for secret in (old, new):
        Webhook(secret).verify(request.body, _headers(request.headers))


def test_one_connection_serves_many_webhooks(sending: Sending, http_sink: HttpSink) -> None:
    http_sink.status("/ok", 200, body=b"thanks")

    outcomes = {sending.send(f"{http_sink.url}/ok") for _ in range(5)}

    assert outcomes == {Sent("http_200", "200 sink\nthanks")}
    assert http_sink.counters.connections == 1


def test_a_connection_may_carry_the_next_webhook_before_the_last_one_has_its_answer(
    workshop: Workshop, engine: Engine, http_sink: HttpSink
) -> None:
    # Given an endpoint that may use two connections
    sending = workshop.make(connections=10)
    target = AddressGuard(read_networks("127.0.0.1"), http=True).check_url(f"{http_sink.url}/hook")

    # When many webhooks wait for them, so that a reply frees its connection for the next one at once
    async def send_all() -> list[Any]:
        return await asyncio.gather(*(sending.transport.post(target, head_to(target), b"{}") for _ in range(100)))

    answers = engine.run(send_all, LONG)

    # Then each got its own answer
    assert [answer.status for answer in answers] == [204] * 100
    assert http_sink.counters.connections == 2


def test_no_connection_is_kept_as_long_as_receivers_keep_theirs() -> None:
    # Node.js, the shortest of the common ones, closes after 5 s.
    assert KEEPALIVE_S < 5


@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        (410, {}, Refused("http_410", "410 sink", cause=Cause.ENDPOINT_GONE, disable_endpoint=True)),
        (429, {"Retry-After": "120"}, Deferred("http_429", "429 sink", retry_after=120.0, throttled=True)),
        (503, {"Retry-After": "-1"}, Deferred("http_503", "503 sink")),
        (500, {}, Deferred("http_500", "500 sink")),
    ],
)
def test_the_status_decides(
    sending: Sending, http_sink: HttpSink, status: int, headers: dict[str, str], outcome: Outcome
) -> None:
    http_sink.status("/hook", status, headers=headers)

    assert sending.send(f"{http_sink.url}/hook") == outcome


def test_a_retry_after_that_names_a_date_is_obeyed(sending: Sending, http_sink: HttpSink) -> None:
    http_sink.status("/hook", 429, headers={"Retry-After": formatdate(time.time() + 600, usegmt=True)})

    outcome = sending.send(f"{http_sink.url}/hook")

    assert isinstance(outcome, Deferred)
    assert outcome.retry_after is not None
    assert 0 < outcome.retry_after <= 600


def test_a_redirect_is_a_failure_and_is_never_followed(sending: Sending, http_sink: HttpSink) -> None:
    http_sink.redirect("/hook", f"{http_sink.url}/inside")

    outcome = sending.send(f"{http_sink.url}/hook")

    assert outcome.code == "http_302"
    assert isinstance(outcome, Deferred)
    assert [request.path for request in http_sink.requests] == ["/hook"]


def test_an_endpoint_that_never_answers_times_out_and_may_have_acted(workshop: Workshop, http_sink: HttpSink) -> None:
    http_sink.hang("/hook")

    outcome = workshop.make(timeout=SHORT).send(f"{http_sink.url}/hook")

    assert isinstance(outcome, Deferred)
    assert (outcome.code, outcome.uncertain) == ("timeout", True)


def test_an_endpoint_that_takes_no_connection_times_out_and_cannot_have_acted(workshop: Workshop) -> None:
    # Given a listener whose queue of waiting connections is full
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())

        outcome = workshop.make(connect_timeout=SHORT).send(f"http://127.0.0.1:{listener.getsockname()[1]}/")

    assert isinstance(outcome, Deferred)
    assert (outcome.code, outcome.uncertain) == ("timeout", False)


def test_a_dripped_body_ends_at_the_wall_clock_and_the_status_that_came_counts(
    workshop: Workshop, http_sink: HttpSink
) -> None:
    http_sink.drip("/hook", seconds_per_byte=0.01)

    outcome = workshop.make(timeout=SHORT).send(f"{http_sink.url}/hook")

    assert isinstance(outcome, Sent)
    assert outcome.code == "http_200"


def test_a_dripped_head_times_out_at_the_wall_clock(workshop: Workshop) -> None:
    with RawEndpoint([b"HTTP/1.1 100 Continue\r\n\r\n"] * 100_000, pause=0.001) as endpoint:
        outcome = workshop.make(timeout=SHORT).send(endpoint.url)

    assert isinstance(outcome, Deferred)
    assert (outcome.code, outcome.uncertain) == ("timeout", True)


def test_an_endless_body_is_cut_off_and_its_connection_closed(sending: Sending, http_sink: HttpSink) -> None:
    # Given an endpoint that answers with a gigabyte
    http_sink.endless("/hook")

    # When webhooks are sent there and elsewhere
    outcome = sending.send(f"{http_sink.url}/hook")
    sending.send(f"{http_sink.url}/other")

    # Then only the beginning was kept, little more left the endpoint, and the connection was not used again
    assert isinstance(outcome, Sent)
    assert len(outcome.reply) == REPLY_LIMIT
    assert http_sink.counters.bytes_sent < 32 * 1024 * 1024
    assert http_sink.counters.connections == 2


def test_a_body_of_the_largest_size_is_read_whole(sending: Sending, http_sink: HttpSink) -> None:
    http_sink.status("/hook", 200, body=b"x" * (REPLY_BYTES - 1))

    sending.send(f"{http_sink.url}/hook")
    sending.send(f"{http_sink.url}/hook")

    assert http_sink.counters.connections == 1


def test_a_gzip_bomb_is_not_decompressed(sending: Sending, http_sink: HttpSink) -> None:
    http_sink.status("/hook", 200, headers={"Content-Encoding": "gzip"}, body=gzip.compress(b"\0" * 10_000_000))

    assert sending.send(f"{http_sink.url}/hook") == Sent("http_200", "200 sink\n(gzip body, not decoded)")


def test_a_dropped_connection_may_have_carried_the_webhook(sending: Sending, http_sink: HttpSink) -> None:
    http_sink.drop("/hook")

    outcome = sending.send(f"{http_sink.url}/hook")

    assert isinstance(outcome, Deferred)
    assert (outcome.code, outcome.uncertain) == ("connection", True)


@pytest.mark.parametrize("again", [True, False])
def test_a_kept_connection_that_is_closed_as_we_write_is_not_used_for_what_may_not_be_written_twice(
    sending: Sending, again: bool
) -> None:
    # Given an endpoint that answers once on each connection and closes it when it is asked again
    with OneAnswerEach() as endpoint:
        first = sending.send(endpoint.url)
        second = sending.send(endpoint.url, again=again)

    # Then the second webhook was written to a new connection: after the kept one, or at once
    assert first == Sent("http_204", "204 No Content")
    assert isinstance(second, Sent)
    assert ("written twice" in second.reply) is again
    assert endpoint.requests == (3 if again else 2)


def test_a_webhook_that_was_written_twice_may_have_arrived_though_the_second_connection_is_refused(
    sending: Sending,
) -> None:
    # Given an endpoint that stops listening as soon as it is connected to, and closes when it is asked again
    with OneAnswerEach(connections=1) as endpoint:
        sending.send(endpoint.url)
        outcome = sending.send(endpoint.url)

    assert isinstance(outcome, Deferred)
    assert (outcome.code, outcome.uncertain) == ("connection", True)


def test_a_name_whose_first_address_takes_no_connection_is_reached_at_its_second(
    workshop: Workshop, http_sink: HttpSink
) -> None:
    ask = resolving({"partner.example": ["127.0.0.3", "127.0.0.2", "127.0.0.1"]})
    sending = workshop.make(allow="127.0.0.0/8", ask=ask)

    assert sending.send(f"http://partner.example:{http_sink.port}/hook").code == "http_204"


def test_a_name_none_of_whose_addresses_takes_a_connection_is_a_failure(
    workshop: Workshop, http_sink: HttpSink
) -> None:
    ask = resolving({"partner.example": ["127.0.0.3", "127.0.0.2"]})
    sending = workshop.make(allow="127.0.0.0/8", ask=ask)

    outcome = sending.send(f"http://partner.example:{http_sink.port}/hook")

    assert outcome == Deferred("connection", "nothing listens there (connection refused)")


def test_a_large_webhook_arrives_whole(workshop: Workshop, engine: Engine, http_sink: HttpSink) -> None:
    sending = workshop.make()
    target = AddressGuard(read_networks("127.0.0.1"), http=True).check_url(f"{http_sink.url}/hook")
    body = bytes(range(256)) * 8192
    head = opening(target, (), "application/json") + b"content-length: %d\r\n\r\n" % len(body)

    answer: Any = engine.run(lambda: sending.transport.post(target, head, body), LONG)

    assert answer.status == 204
    assert http_sink.requests[0].body == body


def test_a_refused_connection_cannot_have_carried_the_webhook(sending: Sending, http_sink: HttpSink) -> None:
    http_sink.stop()

    outcome = sending.send(f"{http_sink.url}/hook")

    assert outcome == Deferred("connection", "nothing listens there (connection refused)")


def test_a_reply_that_is_not_http_is_a_failure(sending: Sending, http_sink: HttpSink) -> None:
    http_sink.garbage("/hook")

    outcome = sending.send(f"{http_sink.url}/hook")

    assert isinstance(outcome, Deferred)
    assert (outcome.code, outcome.uncertain) == ("protocol", True)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: a\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 200 " + b"O" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Nul: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    ],
    ids=["long header", "many headers", "long reason", "control character", "two lengths", "bare LF"],
)
def test_a_webhook_that_was_answered_200_is_sent_however_odd_the_rest_of_the_head_is(
    sending: Sending, head: bytes
) -> None:
    with RawEndpoint([head]) as endpoint:
        outcome = sending.send(endpoint.url)

    assert isinstance(outcome, Sent)
    assert outcome.code == "http_200"


def test_a_small_web_server_whose_lines_end_in_a_bare_lf_gets_each_webhook_once(
    sending: Sending, busybox: BusyboxHttpd
) -> None:
    outcomes = [sending.send(busybox.url) for _ in range(3)]

    assert outcomes == [Sent("http_200", "200 OK\nstored\n")] * 3
    assert busybox.stored == [BODY] * 3


def test_a_reply_without_a_status_is_a_failure(sending: Sending) -> None:
    with RawEndpoint([b"HTTP/9.9 abc\r\n\r\n"]) as endpoint:
        outcome = sending.send(endpoint.url)

    assert isinstance(outcome, Deferred)
    assert (outcome.code, outcome.uncertain) == ("protocol", True)


def test_a_receiver_that_keeps_idle_connections_for_a_second_gets_a_new_one(
    sending: Sending, http_sink: HttpSink
) -> None:
    http_sink.status("/short", 200, headers={"Keep-Alive": "timeout=1"})
    http_sink.status("/long", 200, headers={"Keep-Alive": "timeout=60, max=99"})

    for path in ("short", "short", "long", "long"):
        sending.send(f"{http_sink.url}/{path}")

    assert http_sink.counters.connections == 3


def test_cookies_are_not_kept(sending: Sending, http_sink: HttpSink) -> None:
    http_sink.status("/hook", 200, headers={"Set-Cookie": "session=stolen; Path=/"})

    sending.send(f"{http_sink.url}/hook")
    sending.send(f"{http_sink.url}/hook")

    assert all(request.header("cookie") is None for request in http_sink.requests)


def test_proxies_of_the_environment_are_not_used(
    sending: Sending, http_sink: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")

    assert sending.send(f"{http_sink.url}/hook").code == "http_204"


def test_a_literal_address_inside_is_refused_though_no_resolver_sees_it(
    workshop: Workshop, http_sink: HttpSink
) -> None:
    # Given a webhook that was prepared while the address was allowed, and a transport that no longer allows it
    lenient, strict = workshop.make(), workshop.make(allow="")
    lenient.transport = strict.transport
    lenient._channel = WebhookChannel(strict.transport, AddressGuard(read_networks("127.0.0.1"), http=True))

    outcome = lenient.send(f"{http_sink.url}/hook")

    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.cause) == ("forbidden_target", Cause.BAD_DESTINATION)
    assert http_sink.counters.connections == 0


def test_a_name_with_a_public_and_a_private_address_is_not_connected_to_and_is_looked_up_again_later(
    workshop: Workshop, http_sink: HttpSink
) -> None:
    ask = resolving({"partner.example": ["93.184.215.14", "127.0.0.1"]})

    outcome = workshop.make(allow="", ask=ask).send(f"http://partner.example:{http_sink.port}/hook")

    assert isinstance(outcome, Deferred)
    assert (outcome.code, outcome.uncertain) == ("forbidden_target", False)
    assert "partner.example" in outcome.reply
    assert http_sink.counters.connections == 0


def test_a_name_is_connected_to_at_the_address_that_was_checked(workshop: Workshop, http_sink: HttpSink) -> None:
    # Given a resolver that answers well once and inside ever after
    answers = iter([["127.0.0.1"], ["10.0.0.1"], ["10.0.0.1"]])
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[tuple[Any, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(answers)]

    # When a webhook is sent
    sending = workshop.make(ask=rebinding)
    outcome = sending.send(f"http://partner.example:{http_sink.port}/hook")

    # Then it went to what the one look-up had given, under its own name
    assert outcome.code == "http_204"
    assert asked == ["partner.example"]
    assert http_sink.requests[0].header("host") == f"partner.example:{http_sink.port}"


def test_a_name_that_does_not_exist_is_tried_again(workshop: Workshop) -> None:
    outcome = workshop.make(ask=resolving({})).send("http://nowhere.example/")

    assert outcome == Deferred("dns", "nowhere.example could not be resolved: Name or service not known")


def test_the_systems_resolver_works_in_a_loop_without_threads(workshop: Workshop, http_sink: HttpSink) -> None:
    sending = workshop.make(allow="127.0.0.1 ::1", ask=look_up)

    assert sending.send(f"http://localhost:{http_sink.port}/hook").code == "http_204"


def test_a_trusted_certificate_is_accepted_for_its_name(
    workshop: Workshop, https_sink: HttpSink, certificate: Certificate
) -> None:
    sending = workshop.make(ca_file=certificate.certificate, ask=resolving({"localhost": ["127.0.0.1"]}))

    assert sending.send(f"https://localhost:{https_sink.port}/hook").code == "http_204"
    assert sending.send(f"https://127.0.0.1:{https_sink.port}/hook").code == "http_204"


def test_a_certificate_for_another_name_is_refused(
    workshop: Workshop, https_sink: HttpSink, certificate: Certificate
) -> None:
    ask = resolving({"partner.example": ["127.0.0.1"]})

    outcome = workshop.make(ca_file=certificate.certificate, ask=ask).send(
        f"https://partner.example:{https_sink.port}/hook"
    )

    assert isinstance(outcome, Deferred)
    assert outcome.code == "tls"
    assert "partner.example" in outcome.reply
    assert https_sink.requests == []


def test_a_certificate_that_names_its_host_only_in_its_subject_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    # Given a trusted certificate of 2010's kind, without alternative names (RFC 9525 §6.3)
    old = make_certificate(tmp_path, names=False)
    sink = HttpSink(certificate=old)
    sending = workshop.make(ca_file=old.certificate, ask=resolving({"localhost": ["127.0.0.1"]}))

    outcome = sending.send(f"https://localhost:{sink.port}/hook")
    sink.close()

    assert isinstance(outcome, Deferred)
    assert outcome.code == "tls"


def test_a_bad_certificate_is_told_though_another_address_took_no_connection(
    workshop: Workshop, https_sink: HttpSink
) -> None:
    ask = resolving({"partner.example": ["127.0.0.1", "127.0.0.2"]})

    outcome = workshop.make(allow="127.0.0.0/8", ask=ask).send(f"https://partner.example:{https_sink.port}/hook")

    assert isinstance(outcome, Deferred)
    assert outcome.code == "tls"
    assert "certificate" in outcome.reply


def test_the_systems_authorities_are_trusted_beside_a_file_of_ones_own(certificate: Certificate) -> None:
    guard = AddressGuard()
    alone = WebhookTransport(guard)._connector._tls.cert_store_stats()["x509_ca"]

    both = WebhookTransport(guard, ca_file=certificate.certificate)._connector._tls.cert_store_stats()["x509_ca"]

    assert both == alone + 1


def test_a_certificate_nobody_trusts_is_refused(sending: Sending, https_sink: HttpSink) -> None:
    outcome = sending.send(f"https://127.0.0.1:{https_sink.port}/hook")

    assert isinstance(outcome, Deferred)
    assert outcome.code == "tls"
    assert "not trusted" in outcome.reply


def test_tls_spoken_to_a_plain_server_is_a_tls_failure(sending: Sending) -> None:
    with RawEndpoint([b"HTTP/1.1 400 Bad Request\r\n\r\n"], until=b"\x16\x03") as endpoint:
        outcome = sending.send(endpoint.url.replace("http:", "https:"))

    assert isinstance(outcome, Deferred)
    assert (outcome.code, outcome.uncertain) == ("tls", False)


def test_a_hanging_endpoint_holds_exactly_its_share_and_its_neighbour_is_served(
    workshop: Workshop, engine: Engine, http_sink: HttpSink
) -> None:
    # Given ten connections in all, of which one endpoint may have two; both endpoints are paths of one server
    http_sink.hang("/hangs")
    sending = workshop.make(timeout=3 * SLOT_PATIENCE_S, connections=10)
    guard = AddressGuard(read_networks("127.0.0.1"), http=True)
    hanging, healthy = guard.check_url(f"{http_sink.url}/hangs"), guard.check_url(f"{http_sink.url}/hook")

    # When twenty webhooks go to it and one to its neighbour
    async def send_all() -> list[Any]:
        posts = [sending.transport.post(hanging, head_to(hanging), b"{}", receiver="ep_hangs") for _ in range(20)]
        neighbour = sending.transport.post(healthy, head_to(healthy), b"{}", receiver="ep_healthy")
        return await asyncio.gather(*posts, neighbour)

    *answers, neighbour = engine.run(send_all, LONG)

    # Then it had two, those that waited in vain were not begun, and the neighbour was served by a third connection
    timeouts, crowded = [a for a in answers if isinstance(a, Failure)], [a for a in answers if isinstance(a, Crowded)]
    assert [answer.code for answer in timeouts] == ["timeout", "timeout"]
    assert len(crowded) == 18
    assert all(answer.seconds >= 1 for answer in crowded)
    assert neighbour.status == 204
    assert http_sink.counters.connections == 3


class RawEndpoint:
    """Accepts one connection, reads up to a mark (the body) and writes what it is given, HTTP or not."""

    def __init__(self, chunks: Sequence[bytes], pause: float = 0.0, until: bytes = BODY) -> None:
        self._chunks = chunks
        self._stopping = threading.Event()
        self._pause = pause
        self._until = until
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> "RawEndpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            received = b""
            try:
                while self._until not in received:
                    chunk = connection.recv(65536)
                    if not chunk:
                        return  # the other side gave up before it had said all
                    received += chunk
                for chunk in self._chunks:
                    connection.sendall(chunk)
                    if self._stopping.wait(self._pause):
                        return
            except OSError:
                return  # the other side has closed, which is what it should do


class OneAnswerEach:
    """Answers the first request on each connection, and closes it when a second one was read."""

    def __init__(self, connections: int = 10) -> None:
        self.requests = 0
        self._connections = connections
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> "OneAnswerEach":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # it has closed itself
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        try:
            for left in reversed(range(self._connections)):
                connection, _ = self._listener.accept()
                if not left:
                    self._listener.close()
                with connection:
                    if self._read(connection):
                        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                        connection.settimeout(LONG if self.requests < 2 else SHORT)
                        self._read(connection)
        except OSError:
            return  # the listener is closed

    def _read(self, connection: socket.socket) -> bool:
        received = b""
        while BODY not in received:
            try:
                chunk = connection.recv(65536)
            except TimeoutError:
                return False
            if not chunk:
                return False
            received += chunk
        self.requests += 1
        return True


def _headers(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in pairs}
