"""The test servers themselves: what the other tests rely on is shown here once, with the libraries the service uses."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterator
from email.message import EmailMessage
from typing import Any, TypeVar

import aiohttp
import aiosmtplib
import pika
import pytest
import redis

from tests.servers.certificates import Certificate
from tests.servers.faults import DROP, GARBAGE, HANG
from tests.servers.http import HttpSink
from tests.servers.loop_thread import LoopThread
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.servers.smtp import SmtpSink

T = TypeVar("T")


clients: list[LoopThread] = []


@pytest.fixture(scope="module", autouse=True)
def loop_of_clients() -> Iterator[None]:
    """One loop for all of them: a TLS connection that is closed first waits for the other side's goodbye, which
    aiosmtplib does not await, and a loop that ends with its test (`asyncio.run`) would leave the socket open."""
    clients.append(LoopThread("clients"))
    yield
    clients.pop().close()


def run(work: Coroutine[Any, Any, T]) -> T:
    return clients[-1].call(work)


def publish(url: str, body: bytes) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("letters", durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_publish("", "letters", body, pika.BasicProperties(delivery_mode=2))


def get(url: str) -> bytes | None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        _, _, body = connection.channel().basic_get("letters", auto_ack=True)
        return body


def until(connection: pika.BlockingConnection, condition: Callable[[], bool], what: str) -> None:
    """Take in what the broker says until the condition holds; pika returns early, at whatever it says."""

    def holds() -> bool:
        connection.process_data_events(time_limit=0.1)
        return condition()

    poll(holds, what)


def mail(to: str = "anna@example.com") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@example.com", to, "Hello"
    message.set_content("first line\n.second line starts with a dot\n")
    return message


async def send(sink: SmtpSink, message: EmailMessage, **options: Any) -> None:
    await aiosmtplib.send(message, hostname="127.0.0.1", port=sink.port, timeout=PATIENCE_S, **options)


async def post(url: str, body: bytes = b"{}", **options: Any) -> tuple[int, bytes]:
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, data=body, **options) as response:
        return response.status, await response.content.read(100)


def test_a_message_on_a_quorum_queue_can_be_counted_and_fetched(rabbitmq: RabbitMQ, broker_url: str) -> None:
    publish(broker_url, b"hello")

    assert rabbitmq.queue_depths(broker_url) == {"letters": 1}
    assert get(broker_url) == b"hello"


def test_virtual_hosts_do_not_see_each_other(rabbitmq: RabbitMQ, broker_url: str) -> None:
    publish(broker_url, b"hello")

    assert rabbitmq.queue_depths(rabbitmq.new_vhost()) == {}


@pytest.mark.slow
def test_a_durable_message_survives_a_restart_and_a_kill_of_the_broker(rabbitmq: RabbitMQ, broker_url: str) -> None:
    publish(broker_url, b"still here")

    rabbitmq.restart()
    assert rabbitmq.queue_depths(broker_url) == {"letters": 1}

    rabbitmq.kill()
    rabbitmq.start()
    assert get(broker_url) == b"still here"


def test_a_stopped_broker_refuses_connections_until_it_is_started_again(rabbitmq: RabbitMQ, broker_url: str) -> None:
    rabbitmq.stop()
    try:
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            publish(broker_url, b"nobody listens")
    finally:
        rabbitmq.start()

    publish(broker_url, b"welcome back")


def test_a_disk_alarm_blocks_publishers_until_it_is_cleared(rabbitmq: RabbitMQ, broker_url: str) -> None:
    blocked: list[object] = []
    unblocked: list[object] = []
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        connection.add_on_connection_blocked_callback(lambda *reason: blocked.append(reason))
        connection.add_on_connection_unblocked_callback(lambda *reason: unblocked.append(reason))
        channel = connection.channel()
        rabbitmq.set_disk_alarm()
        try:
            # RabbitMQ blocks a connection at the first body it sends, so the body must not be empty.
            channel.basic_publish("", "nowhere", b"x")
            until(connection, lambda: bool(blocked), "the broker says that it blocks")
        finally:
            rabbitmq.clear_disk_alarm()
        until(connection, lambda: bool(unblocked), "the broker says that it goes on")


def test_the_broker_can_close_every_connection(rabbitmq: RabbitMQ, broker_url: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(broker_url))
    poll(lambda: rabbitmq.connection_count(broker_url) == 1, "the broker counts the one connection")

    rabbitmq.close_connections()

    with pytest.raises(pika.exceptions.AMQPConnectionError):
        until(connection, lambda: False, "the broker closes the connection")


def test_redis_keeps_its_data_and_its_port_over_a_restart(redis_server: RedisServer, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("greeting", "hello")
        redis_server.restart()

        assert client.get("greeting") == b"hello"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_redis_is_empty_at_the_start_of_every_test(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


def test_a_mail_arrives_byte_for_byte(smtp_sink: SmtpSink) -> None:
    run(send(smtp_sink, mail()))

    [received] = smtp_sink.wait_for(1)
    assert received.sender == "shop@example.com"
    assert received.recipients == ("anna@example.com",)
    assert b"\r\n.second line starts with a dot\r\n" in received.data
    assert received.data.endswith(b"\r\n")


def test_a_mail_whose_first_line_starts_with_a_dot_arrives_byte_for_byte(smtp_sink: SmtpSink) -> None:
    async def send_raw() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=smtp_sink.port) as client:
            await client.sendmail("a@example.com", ["b@example.com"], b".\r\n..\r\nend\r\n")
            await client.sendmail("a@example.com", ["b@example.com"], b"")

    run(send_raw())

    first, second = smtp_sink.wait_for(2)
    assert first.data == b".\r\n..\r\nend\r\n"
    assert second.data in (b"", b"\r\n")


def test_pipelined_commands_are_answered_in_order(smtp_sink: SmtpSink) -> None:
    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", smtp_sink.port)
        writer.write(
            b"EHLO me\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nhello\r\n.\r\nQUIT\r\n"
        )
        answer = await reader.read()
        writer.close()
        return answer

    codes = [line[:3] for line in run(talk()).splitlines() if line[3:4] == b" "]

    assert codes == [b"220", b"250", b"250", b"250", b"354", b"250", b"221"]
    assert smtp_sink.mails[0].data == b"hello\r\n"


def test_starttls_and_login_are_required_when_asked_for(tls_smtp_sink: SmtpSink, certificate: Certificate) -> None:
    trusted = ssl.create_default_context(cafile=certificate.certificate)
    with pytest.raises(aiosmtplib.SMTPAuthenticationError):
        run(send(tls_smtp_sink, mail(), username="user", password="wrong", tls_context=trusted))

    run(send(tls_smtp_sink, mail(), username="user", password="secret", tls_context=trusted))

    [received] = tls_smtp_sink.wait_for(1)
    assert received.encrypted
    assert received.user == "user"


@pytest.mark.parametrize(
    ("step", "answer", "error"),
    [
        ("CONNECT", "554 5.3.2 go away", aiosmtplib.SMTPConnectError),
        ("MAIL", "421 4.3.2 shutting down", aiosmtplib.SMTPResponseException),
        ("RCPT", "450 4.2.1 busy", aiosmtplib.SMTPRecipientsRefused),
        ("RCPT", HANG, aiosmtplib.SMTPReadTimeoutError),
        ("DATA", GARBAGE, aiosmtplib.SMTPException),
        ("BODY", DROP, aiosmtplib.SMTPServerDisconnected),
        ("DOT", "552 5.3.4 too big", aiosmtplib.SMTPDataError),
        ("ACCEPTED", DROP, aiosmtplib.SMTPServerDisconnected),
    ],
)
def test_a_scripted_fault_reaches_the_client(
    smtp_sink: SmtpSink, step: str, answer: str, error: type[Exception]
) -> None:
    smtp_sink.reply(step, answer, times=1)

    with pytest.raises(error):
        run(send(smtp_sink, mail()) if answer is not HANG else _send_impatiently(smtp_sink))

    assert len(smtp_sink.mails) == (1 if step == "ACCEPTED" else 0)
    run(send(smtp_sink, mail()))


async def _send_impatiently(sink: SmtpSink) -> None:
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=sink.port) as client:
        await client.send_message(mail(), timeout=0.2)


def test_a_fault_can_be_limited_to_one_address(smtp_sink: SmtpSink) -> None:
    smtp_sink.reply("RCPT", "550 5.1.1 no such user", matching="ghost@")

    run(send(smtp_sink, mail("anna@example.com")))
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
        run(send(smtp_sink, mail("ghost@example.com")))


def test_random_refusals_are_the_same_for_the_same_seed(smtp_sink: SmtpSink) -> None:
    async def refusals() -> list[int]:
        codes = []
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=smtp_sink.port) as client:
            await client.ehlo()
            for _ in range(50):
                await client.execute_command(b"MAIL FROM:<a@example.com>")
                codes.append((await client.execute_command(b"RCPT TO:<b@example.com>")).code)
        return codes

    smtp_sink.misbehave(temporary=0.3, permanent=0.1, seed=7)
    first = run(refusals())
    smtp_sink.misbehave(temporary=0.3, permanent=0.1, seed=7)

    assert run(refusals()) == first
    assert {250, 451, 550} == set(first)


def test_a_post_arrives_with_its_headers(http_sink: HttpSink) -> None:
    status, _ = run(post(f"{http_sink.url}/hook?x=1", b'{"a": 1}', headers={"Webhook-Id": "7"}))

    [request] = http_sink.wait_for(1)
    assert status == 204
    assert (request.method, request.path, request.body) == ("POST", "/hook?x=1", b'{"a": 1}')
    assert ("Webhook-Id", "7") in request.headers
    assert request.header("webhook-id") == "7"


def test_a_path_answers_as_told_and_then_well_again(http_sink: HttpSink) -> None:
    http_sink.status("/hook", 503, headers={"Retry-After": "120"}, times=1)

    assert run(post(f"{http_sink.url}/hook"))[0] == 503
    assert run(post(f"{http_sink.url}/hook"))[0] == 204


def test_an_endpoint_that_hangs_drips_or_drops_makes_the_client_give_up(http_sink: HttpSink) -> None:
    http_sink.hang("/hang")
    http_sink.drop("/drop")
    http_sink.garbage("/garbage")
    http_sink.drip("/drip", seconds_per_byte=0.05)

    async def all_of(path: str, seconds: float = PATIENCE_S) -> None:
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(http_sink.url + path) as response:
            await response.read()

    for path in ("/hang", "/drip"):
        with pytest.raises(TimeoutError):
            run(all_of(path, 0.5))
    for path in ("/drop", "/garbage"):
        with pytest.raises(aiohttp.ClientError):
            run(all_of(path))


def test_an_endless_body_stops_when_the_client_leaves(http_sink: HttpSink) -> None:
    http_sink.endless("/flood")

    status, start = run(post(f"{http_sink.url}/flood"))

    assert (status, start) == (200, b"x" * 100)
    assert http_sink.counters.bytes_sent < 100_000_000


def test_a_redirect_names_its_target(http_sink: HttpSink) -> None:
    http_sink.redirect("/old", "http://169.254.169.254/latest")

    assert run(post(f"{http_sink.url}/old", allow_redirects=False))[0] == 302


def test_https_works_for_whoever_trusts_the_certificate(https_sink: HttpSink, certificate: Certificate) -> None:
    trusted = ssl.create_default_context(cafile=certificate.certificate)

    assert run(post(f"{https_sink.url}/hook", ssl=trusted))[0] == 204
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        run(post(f"{https_sink.url}/hook"))


def test_a_stopped_sink_refuses_connections_until_it_is_started_again(http_sink: HttpSink) -> None:
    http_sink.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        run(post(f"{http_sink.url}/hook"))

    http_sink.start()
    assert run(post(f"{http_sink.url}/hook"))[0] == 204
