"""Marked words, and a service that has them in every secret and in the data of events that go well and wrong.

Without a mark are: an event's own attributes (specversion, id, source, type, time) and the id or masked address of a
recipient, which are shown to say whose failure it is; and what callers send to be named in the answer, such as a path.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.acceptance.place import SOURCE, STRUCTURED, Place, hook_folder, mail_folder, place
from tests.acceptance.service import ADMIN_TOKEN, SECRET_KEY, Process, ask
from tests.servers.certificates import Certificate
from tests.servers.faults import HANG
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.servers.rights import PASSWORD
from tests.servers.smtp import SmtpSink

SECRET, DATA = "kanarienvogel", "zaunkoenig"
PUBLISH_TOKEN = f"{SECRET}-publishes"
_DKIM_KEY = (
    rsa.generate_private_key(public_exponent=65537, key_size=1024)
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)
_WEBHOOK_SECRET = base64.b64encode(f"{SECRET}-of-the-endpoint-32-bytes-long".encode()).decode()
MARKS = (DATA, SECRET, _WEBHOOK_SECRET, SECRET_KEY, ADMIN_TOKEN, PASSWORD, _DKIM_KEY.splitlines()[1])
MARKED = {"to": "kim@example.org", "mark": DATA, "kind": DATA, "deep": {"mark": [DATA, {"mark": DATA}]}}
EVENT = {"specversion": "1.0", "id": "1", "source": SOURCE, "type": "a.schema", "data": MARKED}
_STRICT = json.dumps({"type": "object", "properties": {"mark": {"type": "integer"}, "kind": {"pattern": "^[0-9]+$"}}})
_TO_MARK = mail_folder("a.address")["rules.yaml"].replace("data.to", "data.deep")
FOLDERS = {
    "a.fine": mail_folder("a.fine"),
    "a.hook": hook_folder("a.hook"),
    "a.undefined": mail_folder("a.undefined", text="{{ data[data.mark] }}\n"),
    "a.sum": mail_folder("a.sum", text="{{ data.mark + 1 }}\n"),
    "a.filter": mail_folder("a.filter", text="{{ data.deep.mark | map(data.mark) | list }}\n"),
    "a.address": mail_folder("a.address") | {"rules.yaml": _TO_MARK},
    "a.when": mail_folder("a.when", rule="when: data.mark > 1"),
    "a.schema": mail_folder("a.schema", **{"schema.json": _STRICT}),
}


@contextmanager
def marked_place(
    rabbitmq: RabbitMQ, redis: RedisServer, certificate: Certificate, directory: Path
) -> Iterator[tuple[Place, Process]]:
    """Every role of a service whose secrets are all marked, and its API."""
    relay = SmtpSink(certificate=certificate, credentials=("user", SECRET))
    # One mail stays on its way, for the views of running tasks.
    relay.reply("DOT", HANG, matching="", times=1)
    settings = {
        "NOTIFIER_SMTP_CA_FILE": str(certificate.certificate),
        "NOTIFIER_SECRET_KEY": f"{SECRET_KEY} {SECRET * 4}",
        "NOTIFIER_API_TOKENS": f"admin:{ADMIN_TOKEN} publish:{PUBLISH_TOKEN}",
        "NOTIFIER_DKIM_DOMAIN": "example.org",
        "NOTIFIER_DKIM_SELECTOR": "s1",
        "NOTIFIER_DKIM_KEY": _DKIM_KEY,
        "NOTIFIER_LOG_LEVEL": "debug",
        "NOTIFIER_PUBLIC_URL": "https://notifier.example.com",
        "NOTIFIER_API_HEAD_SECONDS": "1",
    }
    with place(rabbitmq, redis, directory, FOLDERS, relays=relay.url, **settings) as at:
        at.service.consumer()
        at.service.worker("-E")
        at.service.beat()
        api = at.service.api()
        # A receiver that refuses, and says what it was sent.
        at.http.status("/hook", 400, body=f"Authorization: Bearer {SECRET}".encode())
        headers = {"Authorization": f"Bearer {SECRET}"}
        endpoint = {"url": f"{at.http.url}/hook", "secret": f"whsec_{_WEBHOOK_SECRET}", "headers": headers}
        assert ask(api.health_port, "/v1/endpoints", method="POST", body=endpoint)[0] == 201
        yield at, api
    relay.close()


def publish_everything(at: Place) -> None:
    """Events that go well and wrong in each place, and messages that are none."""
    for folder in FOLDERS:
        at.publish(folder, MARKED, event_id=f"{folder}-1")
    for body, content_type in (
        (f'{{"mark": "{DATA}"'.encode(), STRUCTURED),
        (f"\xff{DATA}".encode("latin-1"), STRUCTURED),
        (json.dumps([DATA]).encode(), STRUCTURED),
        (json.dumps({**EVENT, "data_base64": DATA}).encode(), STRUCTURED),
        (DATA.encode(), "text/plain"),
    ):
        at.publish_raw("notifier.events", "a.fine", body, content_type)
    for task in ("notifier.email", "notifier.webhook", "nobody.knows"):
        for args in ([[{"events": [{"data": DATA}]}], {}, {}], {"args": DATA}, [[DATA], {DATA: DATA}, {}]):
            headers = {"task": task, "id": "1", "argsrepr": "(…)", "kwargsrepr": "{}", "lang": "py"}
            body = json.dumps(args).encode()
            at.publish_raw(
                "notifier.tasks", "email-normal", body, "application/json", headers=headers, encoding="utf-8"
            )
