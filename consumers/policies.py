"""RabbitMQ policies of ours: what must not be an argument of a queue, because arguments can never be changed again.

AMQP knows no policies. They are set by RabbitMQ's management API where `NOTIFIER_BROKER_MANAGEMENT_URL` names it; else
people set them with `rabbitmqctl`.
"""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any
from urllib.parse import quote

from notifier.client.server_url import ServerUrl, read_node_urls, read_server_url
from notifier.domain.rule import WORK_KINDS
from notifier.domain.topology import FAILURE_QUEUES
from notifier.errors import BrokerUnavailable

#: First version whose quorum queues have a delivery limit (20) without being asked.
_LIMITS_BY_DEFAULT = 4
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """RabbitMQ applies one policy to a queue: of those that match, the one of the highest priority."""

    name: str
    pattern: str
    definition: dict[str, int | str]
    priority: int = 0


#: A policy and never an argument: -1 means unlimited on 4.x and "drop at the first return" on 3.10.
FAILURES = QueuePolicy("notifier-failures", f"^failed-(intake|{'|'.join(WORK_KINDS)})$", {"delivery-limit": -1})
#: For queues that are declared later: with RabbitMQ's default the node that declares them leads all of them. Below any
#: policy of an operator's, which would otherwise be one of two at random.
LEADERS = QueuePolicy(
    "notifier",
    rf"^(notifier\.intake|{'|'.join(WORK_KINDS)}|waiting-|held-|failed-|dead-letters$|celery_delayed_\d+$)",
    {"queue-leader-locator": "balanced"},
    priority=-1,
)


def policies_for(version: str) -> tuple[QueuePolicy, ...]:
    """Those that this version of RabbitMQ, such as ``4.0.5``, wants."""
    major = version.split(".", maxsplit=1)[0]
    limits = major.isdigit() and int(major) >= _LIMITS_BY_DEFAULT
    return (FAILURES, LEADERS) if limits else (LEADERS,)


def limit_advice(version: str, vhost: str) -> str:
    """What lifts the delivery limit of failure queues on this server; empty where there is none to lift."""
    if FAILURES not in policies_for(version):
        return ""
    return (
        "RabbitMQ 4 drops a message after 20 returns, also from a failure queue. Lift that limit once: name RabbitMQ's "
        "management API in NOTIFIER_BROKER_MANAGEMENT_URL and run `notifier topology apply`, or run "
        f"rabbitmqctl set_policy --vhost '{vhost}' --apply-to quorum_queues {FAILURES.name} '{FAILURES.pattern}' "
        f"'{json.dumps(FAILURES.definition)}'"
    )


class Management:
    """RabbitMQ's management API. Every call raises `BrokerUnavailable` with what to do."""

    def __init__(self, url: str, broker_urls: str, ca_file: str | PathLike[str] | None = None) -> None:
        """An address without a user is asked with the one of the broker's addresses."""
        self._address = read_server_url(url, ("http", "https"))
        login = self._address if self._address.has_login else read_node_urls(broker_urls, ("amqp", "amqps"))[0]
        self._authorization = _basic(login)
        self._context = ssl.create_default_context(cafile=ca_file) if self._address.scheme == "https" else None

    def set(self, policy: QueuePolicy, vhost: str) -> None:
        """Set it, or replace the one of its name."""
        body = {
            "pattern": policy.pattern,
            "definition": policy.definition,
            "priority": policy.priority,
            "apply-to": "queues",
        }
        self._ask("PUT", f"/api/policies/{quote(vhost, safe='')}/{policy.name}", body)

    def limit_problems(self, vhost: str) -> list[str]:
        """Which failure queues still have a delivery limit, each with the policy that is in the way."""
        return [
            f"queue {name!r} has a delivery limit: "
            + (f"the policy {other!r} applies instead of {FAILURES.name!r}" if other else "no policy lifts it")
            for name, other in self._limited(vhost).items()
        ]

    def leaders(self, vhost: str) -> dict[str, int]:
        """Node → how many quorum queues it leads."""
        found: dict[str, int] = {}
        for queue in self._ask(
            "GET", f"/api/queues/{quote(vhost, safe='')}?disable_stats=true&enable_queue_totals=true"
        ):
            if queue.get("type") == "quorum" and (leader := queue.get("leader") or queue.get("node")):
                found[leader] = found.get(leader, 0) + 1
        return found

    def _limited(self, vhost: str) -> dict[str, str]:
        found = {}
        for name in FAILURE_QUEUES:
            policy, definition = self._policy_of(name, vhost)
            if definition.get("delivery-limit") != -1:
                found[name] = policy
        return found

    def _policy_of(self, name: str, vhost: str) -> tuple[str, Mapping[str, Any]]:
        """The policy of a queue, and what it and an operator's come to."""
        where = quote(vhost, safe="")
        queue = self._ask("GET", f"/api/queues/{where}/{name}")
        if (effective := queue.get("effective_policy_definition")) is not None:
            return str(queue.get("policy") or ""), effective
        # That is a statistic: for up to ten seconds after the queue was declared there is none.
        queue = self._ask("GET", f"/api/queues/{where}/{name}?disable_stats=true&enable_queue_totals=true")
        if not (policy := str(queue.get("policy") or "")):
            return "", {}
        return policy, self._ask("GET", f"/api/policies/{where}/{quote(policy, safe='')}")["definition"]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        address = self._address
        host = f"[{address.host}]" if ":" in address.host else address.host
        port = f":{address.port}" if address.port else ""
        base = f"/{address.path.strip('/')}" if address.path.strip("/") else ""
        request = urllib.request.Request(  # noqa: S310 - http or https, by `read_server_url`
            f"{address.scheme}://{host}{port}{base}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": self._authorization, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=self._context) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                raise BrokerUnavailable(_refusal(str(address), error.code)) from None
        except (OSError, ValueError) as error:
            what = f"RabbitMQ's management API at {address} cannot be reached: {error}"
            raise BrokerUnavailable(f"{what}; is rabbitmq_management enabled there?") from None


def _refusal(where: str, status: int) -> str:
    what = f"RabbitMQ's management API at {where} answered {status}"
    if status == 401:
        return f"{what}: wrong user or password, or the user lacks the tag `policymaker` (rabbitmqctl set_user_tags)"
    if status == 403:
        return f"{what}: the user lacks the tag `policymaker`, or permissions in this virtual host"
    return what


def _basic(login: ServerUrl) -> str:
    pair = f"{login.username or 'guest'}:{login.password or 'guest'}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
