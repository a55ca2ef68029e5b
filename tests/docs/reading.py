"""One running service and a shell beside it, as a reader of the documents has them."""

import json
import os
import shutil
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from notifier.domain.ids import event_key
from notifier.domain.recipient import Recipient
from notifier.domain.suppression import bounced
from notifier.storage.cipher import Cipher
from notifier.storage.recipients import Recipients
from tests.acceptance.place import SOURCE, Place, place
from tests.acceptance.service import ADMIN_TOKEN, SECRET_KEY, Process, ask
from tests.docs.left_out import runnable
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer
from tests.servers.warm_cli import WarmCommandLine
from tests.shop_folders import SHOP

SHIM = Path(__file__).with_name("notifier_shim.py")


@dataclass
class Reader:
    """Somebody who types what the pages show."""

    at: Place
    api: Process
    directory: Path
    line: WarmCommandLine
    endpoint: str
    secret: str
    socket: str
    used: int = field(default=0)

    def prepared(self) -> Mapping[str, str]:
        """What the pages speak of is there; what they leave to the reader, by what stands for it in a block."""
        self.used += 1
        endpoints = {one.id for one in self.at.endpoints.list("default")}
        if self.endpoint not in endpoints:
            made = self.at.endpoints.add("default", f"{self.at.http.url}/hook", event_types=["*"])
            self.endpoint, self.secret = made.id, made.secrets[0]
        Recipients(self.at.store, Cipher(SECRET_KEY)).put([Recipient("user-17", "kim@example.org")])
        key = self.at.suppressions.key_of("kim@example.org")
        self.at.suppressions.add(key, bounced("smtp_550_5.1.1", 1.0))
        parked = self._parked(f"gone{self.used}@example.org")
        unplanned = self._unplanned()
        return {
            "ep_5t2v…": self.endpoint,
            "ep_…": self.endpoint,
            "dlv_7qk2…": parked,
            "dlv_…": parked,
            "evt_3kxq…": unplanned,
            "evt_…": unplanned,
            "amqp://user:password@rabbitmq/": self.at.broker_url,
            "amqp://notifier:password@rabbitmq:5672/": self.at.broker_url,
            "redis://:password@redis:6379/0": self.at.redis.url,
            "smtp://user:password@relay.example.org:587": f"smtp+plain://127.0.0.1:{self.at.smtp.port}",
            "http://localhost:8080": f"http://127.0.0.1:{self.api.health_port}",
            "$(openssl rand -base64 32)": SECRET_KEY,
            ".venv/bin/notifier": "notifier",
            "curl ": "curl --silent --show-error --fail-with-body ",
        }

    def _parked(self, address: str) -> str:
        data = {"user": {"email": address, "name": "Gone"}, "url": "https://shop.example.org/"}
        identity = self.at.publish("account.welcome", data)
        delivery = self.at.delivery(identity, "account.welcome/greeting", f"mailto:{address}")
        self.at.until_parked(delivery)
        return delivery

    def _unplanned(self) -> str:
        """An event that breaks its schema."""
        key = event_key(SOURCE, self.at.publish("account.welcome", {}))
        self.at.until_parked(key)
        return key

    def types(
        self, text: str, stands_for: Mapping[str, str], stdin: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """A shell block, but for what is left out."""
        checked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        script = runnable(text)
        for shown, meant in stands_for.items():
            script = script.replace(shown, meant)
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            input=stdin,
            cwd=self.directory,
            env={
                **self.at.service.environment,
                "PATH": f"{self.directory / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "SHIM_SOCKET": self.socket,
                "TOKEN": ADMIN_TOKEN,
                "COLUMNS": "200",
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            # Without a terminal of its own nothing can ask on the terminal of whoever runs the tests.
            start_new_session=True,
            check=False,
        )

    def until_sent(self, source: str, identity: str) -> None:
        """Wait until the service says that all that this event caused was sent."""
        poll(lambda: self._is_sent(source, identity), f"{identity} of {source} is sent")

    def _is_sent(self, source: str, identity: str) -> bool:
        status, found = ask(self.api.health_port, f"/v1/events/{identity}?source={source}")
        assert status in (200, 404), found
        return status == 200 and bool(found["deliveries"]) and all(d["status"] == "sent" for d in found["deliveries"])


@contextmanager
def reader(rabbit: RabbitMQ, redis: RedisServer, directory: Path) -> Iterator[Reader]:
    """The shop's service with all its parts, and the files that pages name."""
    shutil.copytree(SHOP, directory / "templates")
    shutil.copy(SHOP / "order.placed/sample.json", directory / "sample.json")
    order = json.loads((SHOP / "order.placed/sample.json").read_text())["data"]
    (directory / "order.json").write_text(json.dumps(order))
    (directory / "people.csv").write_text("id,email\nuser-4711,kim@example.org\n")
    with place(rabbit, redis, directory, {}) as at, ExitStack() as closing:
        at.smtp.reply("RCPT", "554 5.6.0 no", matching="gone")
        at.service.consumer()
        at.service.worker()
        api = at.service.api()
        made = at.endpoints.add("default", f"{at.http.url}/hook", event_types=["*"])
        line = closing.enter_context(WarmCommandLine(at.service.environment, directory))
        socket = closing.enter_context(_served(line, directory))
        data = {"user": {"email": "jo@example.org", "name": "Jo"}, "url": "https://shop.example.org/"}
        for identity in ("1234", "order-17-shipped"):
            event = {"specversion": "1.0", "id": identity, "source": "/shop/orders", "type": "account.welcome"}
            at.publish("account.welcome", data, event_id=identity, source=event["source"])
        yield Reader(at, api, directory, line, made.id, made.secrets[0], socket)


@contextmanager
def _served(line: WarmCommandLine, directory: Path) -> Iterator[str]:
    """`notifier` on the shell's path, and the socket on which it is answered, one after the other."""
    (directory / "bin").mkdir()
    program = directory / "bin" / "notifier"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {SHIM} "$@"\n')
    program.chmod(0o755)
    lock = threading.Lock()

    class Answering(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked: dict[str, Any] = json.loads(self.rfile.readline())
            with lock:
                done = line.run(*asked["arguments"], stdin=asked["stdin"], **asked["environment"])
            answer = {"status": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    path = str(directory / "bin" / "socket")
    with socketserver.ThreadingUnixStreamServer(path, Answering) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield path
        finally:
            server.shutdown()
