"""With a history the service tells what became of a mail after Redis has forgotten it, by every way one can ask."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.domain.delivery import Status
from tests.acceptance.place import SOURCE, Place, mail_folder, metric, place
from tests.acceptance.service import ask
from tests.servers.patience import poll
from tests.servers.postgresql import USER, PostgresServer
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

FOLDERS = {"past.mail": mail_folder("past.mail")}
KIM, RULE = "kim@example.org", "past.mail/mail"


@pytest.fixture
def at(
    rabbitmq: RabbitMQ, redis_server: RedisServer, postgres: PostgresServer, history_database: str, tmp_path: Path
) -> Iterator[Place]:
    url = postgres.url(history_database, USER)
    with place(rabbitmq, redis_server, tmp_path, FOLDERS, NOTIFIER_HISTORY_URL=url) as found:
        yield found


def test_a_mail_is_told_from_the_history_and_forgotten_there(at: Place, postgres: PostgresServer) -> None:
    # Given a mail that was sent, moved, and is in Redis no more
    at.service.consumer()
    worker, history, api = at.service.worker(), at.service.history(), at.service.api()
    event = at.publish("past.mail", {"to": KIM})
    sent = at.delivery(event, RULE, f"mailto:{KIM}")
    at.until(sent, Status.SENT)
    poll(lambda: metric(history, "notifier_history_moved_total") >= 2, "the delivery and its event are moved")
    at.until_quiet()
    worker.terminate()
    at.redis.flush()

    # When, then
    _, delivery = ask(api.health_port, f"/v1/deliveries/{sent}")
    assert (delivery["status"], delivery["kept_in"], delivery["destination"]) == ("sent", "history", "k…@example.org")
    assert delivery["attempts"][0]["code"] == "smtp_250"
    _, told = ask(api.health_port, f"/v1/events/{event}?source={SOURCE}")
    assert (told["status"], told["kept_in"], told["missing"]) == ("planned", "history", "")
    assert [one["id"] for one in told["deliveries"]] == [sent]
    shown = json.loads(at.service.run("show", event, "--source", SOURCE, "--json").stdout)
    assert (shown["kept_in"], shown["deliveries"][0]["id"]) == ("history", sent)
    assert "Kept in      history" in at.service.run("show", sent).stdout

    # And whoever is forgotten is so here too
    ran = at.service.run("forget", KIM, "--yes", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["history"] == 1
    _, delivery = ask(api.health_port, f"/v1/deliveries/{sent}")
    assert (delivery["status"], delivery["destination"]) == ("sent", "forgotten")

    # And what nobody can know is no "not found"
    postgres.stop()
    try:
        status, problem = ask(api.health_port, f"/v1/deliveries/{sent}")
        assert (status, problem["type"]) == (503, "urn:notifier:problem:history_away")
        ran = at.service.run("show", sent)
        assert (ran.returncode, "PostgreSQL" in ran.stderr) == (3, True)
    finally:
        postgres.start()
    poll(lambda: ask(api.health_port, "/v1/deliveries/dlv_unknown")[0] == 404, "it can be asked again")


def test_mails_go_out_while_postgresql_is_away_and_are_told_as_redis_knows_them(
    at: Place, postgres: PostgresServer
) -> None:
    # Given
    postgres.stop()
    try:
        at.service.consumer()
        at.service.worker()
        api = at.service.api()

        # When
        event = at.publish("past.mail", {"to": KIM})
        sent = at.delivery(event, RULE, f"mailto:{KIM}")
        at.until(sent, Status.SENT)

        # Then
        _, told = ask(api.health_port, f"/v1/events/{event}?source={SOURCE}")
        assert [one["kept_in"] for one in told["deliveries"]] == ["ledger"]
        assert told["missing"] == ""
        assert at.mails_to(KIM)
    finally:
        postgres.start()
