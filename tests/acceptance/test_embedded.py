"""Embedded mode, as a developer runs it: the API plans events itself, and tells its caller what it cannot plan."""

from pathlib import Path

from tests.acceptance.place import SOURCE, mail_folder, write_templates
from tests.acceptance.service import Service, ask, environment

EVENT = "emb.mail"


def test_an_event_of_which_a_part_cannot_be_planned_is_refused_with_the_part(redis_url: str, tmp_path: Path) -> None:
    # Given the API in embedded mode
    # Celery's broker is this Redis, too, by a user who may do anything: none of the roles' users may.
    url = redis_url.replace("//", "//default:any@")
    templates = write_templates(tmp_path / "templates", {EVENT: mail_folder(EVENT)})
    service = Service(
        tmp_path,
        environment(broker_url=url, redis_url=url, smtp_url="smtp+plain://127.0.0.1:1", templates=templates),
    )
    try:
        port = service.api().health_port
        event = {"specversion": "1.0", "id": "1", "source": SOURCE, "type": EVENT}
        people = ["kim@example.org", {"name": "Nobody"}]

        # When an event comes that one of two people cannot be written to about
        status, told = ask(port, "/v1/events", method="POST", body={**event, "data": {"to": people}})

        # Then its publisher is told which, and nothing of it was taken
        assert (status, told["type"]) == (422, "urn:notifier:problem:planning")
        assert "rule emb.mail/mail: to[1]: " in told["detail"]
        assert ask(port, f"/v1/events/1?source={SOURCE}")[0] == 404

        # And when it is mended under the same id, it is planned
        assert ask(port, "/v1/events", method="POST", body={**event, "data": {"to": people[:1]}})[0] == 202
        status, known = ask(port, f"/v1/events/1?source={SOURCE}")
        assert (status, known["status"], len(known["deliveries"])) == (200, "planned", 1)
    finally:
        service.close()
