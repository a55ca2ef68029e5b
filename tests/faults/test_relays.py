"""A relay that refuses everybody: the second one takes over, and without a second nobody's mail is given up."""

import pytest

from notifier.domain.delivery import Status
from tests.acceptance.place import mail_folder, place
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.servers.smtp import SmtpSink


def test_a_refused_connection_or_login_goes_to_the_second_relay_without_spending_a_try(
    rabbitmq: RabbitMQ, redis_server: RedisServer, smtp_sink: SmtpSink, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Given a first relay that turns everybody away at the door, and a second one
    refusing = SmtpSink()
    refusing.reply("CONNECT", "554 5.7.1 you are not welcome")
    relays = f"smtp+plain://127.0.0.1:{refusing.port} smtp+plain://127.0.0.1:{smtp_sink.port}"
    folders = {"relay.mail": mail_folder("relay.mail")}
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("relays"), folders, relays=relays) as at:
        at.service.consumer()
        at.service.worker("-n", "one@%h")

        # When a mail is sent
        at.publish("relay.mail", {"to": "a@example.org"}, event_id="a")

        # Then the second relay has it, with the first try
        record = at.until(at.delivery("a", "relay.mail/mail", "mailto:a@example.org"), Status.SENT)
        assert [attempt.code for attempt in record.attempts] == ["smtp_250"]
        assert [mail.recipients for mail in smtp_sink.mails] == [("a@example.org",)]
    refusing.close()
