"""Three RabbitMQ nodes, the service, and its publishers: one node is killed, and another one freezes."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

from notifier.client import Publisher, PublishError
from tests.acceptance.place import SOURCE, Place, mail_folder, post_event
from tests.acceptance.service import Process, is_ready
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.rabbitmq_cluster import RabbitCluster

FOLDERS = {"nodes.mail": mail_folder("nodes.mail")}
#: Events of each publisher after each fault: enough that all of them have met it.
MORE = 50


class Publishing:
    """A thread that publishes one event after the other, each until it is taken."""

    def __init__(self, name: str, publish: Callable[[str], bool]) -> None:
        self.name = name
        self.confirmed: dict[str, float] = {}
        """Id → when the broker had it."""
        self._publish = publish
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wait_for_more(self) -> None:
        """Until it has published again."""
        before = len(self.confirmed)
        poll(lambda: len(self.confirmed) >= before + MORE, f"{self.name}: {MORE} more events after {before}")

    def stop(self) -> None:
        """After the event that it is at."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(0.02):
            event = f"{self.name}{len(self.confirmed)}"
            if self._publish(event):
                self.confirmed[event] = time.time()


@dataclass(frozen=True)
class Outcome:
    """What two faults did."""

    lost: int
    """Events that were confirmed and of which no mail came."""
    twice: int
    silence: dict[str, float]
    """Longest time without a confirm, of each publisher, and without a mail."""
    told: str
    """All logs."""


def fail_nodes(cluster: RabbitCluster, at: Place) -> Outcome:
    """All use the first node; it is killed and comes back, and then the one that leads freezes."""
    roles = [at.service.consumer(), at.service.worker(), at.service.api()]
    client = Publisher(at.broker_url, source=SOURCE)
    publishers = [
        Publishing("client", lambda event: _by_client(client, event)),
        Publishing("api", lambda event: _by_api(roles[2], event)),
    ]
    _until_all_go_on(publishers, roles, at)
    first = cluster.nodes[0]
    assert cluster.leader_of(at.broker_url, "notifier.intake") is first
    cluster.kill(first)
    _until_all_go_on(publishers, roles, at)
    cluster.start(first)
    cluster.freeze(cluster.leader_of(at.broker_url, "notifier.intake"))
    _until_all_go_on(publishers, roles, at)
    for publisher in publishers:
        publisher.stop()
    client.close()
    return _outcome(publishers, roles, at)


def _until_all_go_on(publishers: list[Publishing], roles: list[Process], at: Place) -> None:
    for publisher in publishers:
        publisher.wait_for_more()
    before = len(at.smtp.mails)
    poll(lambda: len(at.smtp.mails) > before, f"a mail after {before}")
    poll(lambda: all(is_ready(role.health_port) for role in roles), "every role is ready")


def _outcome(publishers: list[Publishing], roles: list[Process], at: Place) -> Outcome:
    wanted = {f"{event}@example.org" for publisher in publishers for event in publisher.confirmed}

    def missing() -> set[str]:
        return wanted - {to for mail in at.smtp.mails for to in mail.recipients}

    # What is missing all the same is told by `lost`.
    with suppress(AssertionError):
        poll(lambda: not missing(), "every mail", 2 * PATIENCE_S)
    arrived = Counter(to for mail in at.smtp.mails for to in mail.recipients)
    silence = {publisher.name: _longest(list(publisher.confirmed.values())) for publisher in publishers}
    silence["mails"] = _longest([mail.received_at for mail in at.smtp.mails])
    twice = sum(count - 1 for count in arrived.values())
    return Outcome(len(missing()), twice, silence, "".join(role.output() for role in roles))


def _longest(moments: list[float]) -> float:
    ordered = sorted(moments)
    return max((after - before for before, after in pairwise(ordered)), default=0.0)


def _by_client(publisher: Publisher, event: str) -> bool:
    try:
        publisher.publish("nodes.mail", {"to": f"{event}@example.org"}, id=event)
    except PublishError:
        return False
    return True


def _by_api(api: Process, event: str) -> bool:
    data = {"to": f"{event}@example.org"}
    wire = {"specversion": "1.0", "id": event, "source": SOURCE, "type": "nodes.mail", "data": data}
    status, _ = post_event(api, json.dumps(wire).encode())
    return status == 202
