"""An SMS provider at the edge of the world, with the channel file, rule and text that use it, added to the shop's."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from notifier.demo.listener import Listener, QuietHandler

#: Path below templates/ → text; ``URL`` stands for the gateway's.
FILES = {
    "_channels/sms.yaml": """\
url: URL/messages
to: phone
auth: {bearer: NOTIFIER_CHANNEL_SMS_TOKEN}
headers: {Idempotency-Key: "{{ delivery_id }}"}
form: {To: "{{ address }}", Body: "{{ text }}"}
message_id: sid
answers:
  - {status: 400, body: {code: 21211}, means: bad_recipient, suppress: true}
""",
    "parcel.arrived/rules.yaml": """\
event: parcel.arrived
rules:
  - {id: pick-up, channel: sms, to: data.customer, transactional: true, priority: high}
""",
    "parcel.arrived/sms.text.j2": "Your parcel waits at {{ data.shop }}. Pick it up with the code {{ data.code }}.\n",
    "parcel.arrived/sample.json": """\
{
  "specversion": "1.0", "id": "1", "source": "/shop", "type": "parcel.arrived",
  "data": {"customer": {"phone": "+4366012345678", "name": "Mira"}, "shop": "Juniper & Co.", "code": "4711"}
}
""",
}


def write_files(templates: Path, url: str) -> None:
    """The provider's files, into a folder that is ours."""
    for name, text in FILES.items():
        file = templates / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text.replace("URL", url, 1) if name.startswith("_channels") else text, encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Message:
    """One SMS that was taken."""

    delivery: str
    to: str
    text: str


class Gateway(Listener):
    """An HTTP server on a free loopback port that answers as SMS providers do."""

    def __init__(self) -> None:
        super().__init__("gateway", _Handler)
        self.token = secrets.token_urlsafe(24)
        self._messages: list[Message] = []

    @property
    def messages(self) -> list[Message]:
        """Everything taken so far, oldest first."""
        with self.lock:
            return list(self._messages)

    def take(self, authorization: str, delivery: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and answer."""
        if not secrets.compare_digest(authorization, f"Bearer {self.token}"):
            return 401, {"code": 20003, "message": "Authenticate"}
        fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if not fields.get("To", "").startswith("+"):
            return 400, {"code": 21211, "message": "The To number is not valid"}
        with self.lock:
            self._messages.append(Message(delivery, fields["To"], fields.get("Body", "")))
            return 201, {"sid": f"SM{len(self._messages)}"}


class _Handler(QuietHandler):
    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        authorization, key = self.headers.get("Authorization", ""), self.headers.get("Idempotency-Key", "")
        status, answer = self.server.owner.take(authorization, key, body)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
