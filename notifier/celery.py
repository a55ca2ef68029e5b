"""The Celery app, ``celery -A notifier``: every setting that is not Celery's default, each with its reason.

Nothing is read from the environment until Celery asks for its configuration. Celery's own settings stay reachable as
``CELERY_<SETTING>`` variables and win over ours, except the ones a `NOTIFIER_*` variable owns.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from celery import Celery, signals
from celery.app.defaults import NAMESPACES, flatten
from celery.utils.nodenames import default_nodename
from kombu import Exchange, Queue

from notifier.broker import nodes
from notifier.broker.alarm import ALARM, Callback
from notifier.client.server_url import MASK, split_urls
from notifier.domain import topology
from notifier.domain.rule import LANES, WORK_QUEUES, lane_queues
from notifier.errors import Problem, SettingsError
from notifier.process import node_name, settings
from notifier.settings import SEVERAL_HOSTS, Settings

#: One setting, one owner: these come from NOTIFIER_* so that all roles talk to the same servers.
_OWNED = {
    "broker_url": "NOTIFIER_BROKER_URL",
    "broker_read_url": "NOTIFIER_BROKER_URL",
    "broker_write_url": "NOTIFIER_BROKER_URL",
    "result_backend": "NOTIFIER_REDIS_URL",
}

app = Celery("notifier", include=["notifier.worker.celery_side.tasks"], amqp="notifier.broker.nodes:NodeAMQP")


class Address(str):
    """A server's address as Celery reads it, and stars where somebody looks at all settings.

    `celery report`, `inspect conf` and Flower mask it themselves; `repr(app.conf)`, a debugger and the local variables
    of a traceback do not.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


@app.add_defaults
def configuration() -> dict[str, Any]:
    """Celery's settings from ours, then from ``CELERY_*`` variables."""
    return {**from_settings(settings()), **from_environment(os.environ)}


@signals.celeryd_init.connect
def _install_worker(instance: Any, **_: Any) -> None:
    """Only a worker needs the engine, the channels and gevent: beat, Flower and the API never import them."""
    from notifier.wiring.worker import build_worker
    from notifier.worker.celery_side.lifecycle import install

    if instance.hostname == default_nodename(""):
        # Celery names every worker of a host alike: the second one could not be inspected, and on RabbitMQ may be
        # locked out of the first one's control queue (trap T7). A name given with `-n` is kept.
        instance.hostname = node_name("worker")
    install(app, build_worker)


@signals.celeryd_after_setup.connect
def _read_whole_lanes(instance: Any, **_: Any) -> None:
    """``-Q email-low`` reads the lane's shards too: left out, crowded tenants' deliveries would wait for ever."""
    queues = instance.app.amqp.queues
    for name in list(queues.consume_from):
        for queue in lane_queues(name) if name in LANES else ():
            if queue in queues and queue not in queues.consume_from:
                queues.select_add(queues[queue])


@signals.setup_logging.connect
def _configure_logs(**_: Any) -> None:
    """Worker, beat and Flower log like the other roles, instead of in Celery's format."""
    from notifier.process import configure_logs

    configure_logs()


@signals.beat_init.connect
def _install_beat(**options: Any) -> None:
    from notifier.wiring.beat import start_beat

    start_beat(**options)


def from_settings(ours: Settings) -> dict[str, Any]:
    """The settings of every process that runs this app."""
    return {
        # kombu's list has semicolons; only the first of such an address is ever shown by Celery's tools.
        "broker_url": Address(";".join(split_urls(ours.broker_url))),
        "broker_use_ssl": _tls(ours),
        "result_backend": _result_backend(ours),
        # JSON only: a pickled message would run code.
        "accept_content": ["json"],
        "task_queues": work_queues(embedded=ours.embedded),
        "task_default_queue": "email-normal",
        "task_default_exchange": topology.TASKS_EXCHANGE,
        # Native delayed delivery is served on topic exchanges only; on direct ones a delay waits in worker memory.
        "task_default_exchange_type": "topic",
        "task_default_routing_key": "email-normal",
        # What it would be anyway, said here because a message without one counts as 4 on RabbitMQ 4.3.
        "task_default_priority": topology.TASK_PRIORITY,
        "task_default_queue_type": "classic" if ours.embedded else "quorum",
        # A typing mistake in a queue's name must be an error, not a new classic queue nobody reads.
        "task_create_missing_queues": False,
        # At least once: acknowledged after the deliveries are recorded, returned when the worker dies.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # An exception nobody expected goes to failed-*, instead of being acknowledged away.
        "task_acks_on_failure": False,
        "task_acks_on_timeout": False,
        # The ledger is the result store: with Celery's results on, Redis being away at a task's end leaves its
        # message unacknowledged for ever under gevent (trap T5), and costs 1 ms a task.
        "task_ignore_result": True,
        "result_backend_thread_safe": True,
        "result_expires": int(ours.retention_sent),
        # Prefetch = concurrency × 1 for each queue, static with quorum queues: what a crash can return is bounded.
        "worker_prefetch_multiplier": 1,
        "worker_concurrency": ours.worker_concurrency,
        "worker_enable_remote_control": True,
        # Each task event is published with a confirm of its own: off, a batch of one costs half the CPU (2.3 → 1.1 ms)
        # and of fifty the same. Flower's task list wants them: start workers with -E.
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        # A channel error (one message past the broker's consumer_timeout) must not end the worker.
        "broker_channel_error_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # What runs when the connection is lost finishes and is recorded; the copy the broker redelivers finds that in
        # the ledger. Cancelling it would cut mails between their last byte and the relay's answer.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # None waits for ever for a pooled connection while the broker is away.
        "broker_pool_acquire_timeout": 5,
        "broker_pool_limit": max(10, ours.worker_concurrency),
        "broker_transport_options": _transport_options(ours),
        **_several_nodes(ours),
        "beat_scheduler": "notifier.worker.celery_side.scheduler:SharedScheduler",
        "beat_schedule": {
            # Without `expires`: RabbitMQ dead-letters what expires, so each sweep that found no worker for ten seconds
            # lay in failed-digest. A thousand that waited cost one look at Redis each.
            "notifier.sweep": {
                "task": "notifier.sweep",
                "schedule": 2.0,
                # The next run is the retry; beat would stand still for four times a silent broker's five seconds.
                "options": {"queue": "digest", "retry": False},
            },
        },
        "timezone": "UTC",
    }


def work_queues(*, embedded: bool) -> list[Queue]:
    """The work queues with exactly the arguments `domain.topology` declares; on the embedded Redis broker none.

    Embedded intake puts nothing into shards, and each further queue is one more key Redis is polled for.
    """
    exchange = Exchange(topology.TASKS_EXCHANGE, type="topic", durable=True)
    arguments = {queue.name: queue.arguments for queue in topology.QUEUES}
    return [
        Queue(name, exchange, routing_key=name, durable=True, queue_arguments={} if embedded else arguments[name])
        for name in (LANES if embedded else WORK_QUEUES)
    ]


def from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """``CELERY_WORKER_CONCURRENCY=8`` and the like, converted to the type Celery gives the setting.

    Raises `SettingsError` for a name a NOTIFIER_* variable owns and for a value of the wrong type.
    """
    known = dict(flatten(NAMESPACES))
    found: dict[str, Any] = {}
    problems = []
    for name, option in known.items():
        variable = "CELERY_" + name.upper()
        if not environment.get(variable):
            continue
        if name in _OWNED:
            problems.append(Problem(variable, "would split the roles' configuration", f"set {_OWNED[name]} instead"))
            continue
        try:
            found[name] = option.to_python(environment[variable])
        except (ValueError, TypeError):
            # In our words: Python's quote the value, and this may be a password in the wrong variable.
            problems.append(Problem(variable, "is not what Celery takes there", f"Celery wants {option.type}"))
    if problems:
        raise SettingsError(problems)
    return found


def _transport_options(ours: Settings) -> dict[str, Any]:
    if ours.embedded:
        # Longer than any batch: the Redis transport hands a message out again after this time.
        return {"visibility_timeout": 3600}
    return {
        # Without confirms a task published during a memory alarm is lost in silence (trap T16).
        "confirm_publish": True,
        "client_properties": {"connection_name": "notifier worker"},
        "on_blocked": Callback(ALARM.begin),
        "on_unblocked": Callback(ALARM.end),
    }


def _several_nodes(ours: Settings) -> dict[str, Any]:
    """Leave a node that is silent soon, where there is another one."""
    if len(split_urls(ours.broker_url)) == 1:
        return {}
    return {
        "broker_heartbeat": nodes.HEARTBEAT_S,
        "broker_heartbeat_checkrate": nodes.HEARTBEAT_LOOKS,
        "broker_connection_timeout": nodes.CONNECT_TIMEOUT_S,
    }


def _tls(ours: Settings) -> Any:
    if not ours.broker_url.startswith("amqps://"):
        return None
    import ssl

    ca = str(ours.broker_ca_file) if ours.broker_ca_file else None
    return {"cert_reqs": ssl.CERT_REQUIRED, **({"ca_certs": ca} if ca else {})}


def _result_backend(ours: Settings) -> Address | None:
    """Redis for the tasks that keep results; sockets in the spelling Celery's backend reads.

    None behind Sentinel and on a Cluster, which Celery's backend does not know.
    """
    url = ours.redis_url
    if url.startswith(SEVERAL_HOSTS):
        return None
    if url.startswith("unix://"):
        return Address("redis+socket://" + url.removeprefix("unix://"))
    if url.startswith("rediss://"):
        ca = f"&ssl_ca_certs={ours.redis_ca_file}" if ours.redis_ca_file else ""
        return Address(f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required{ca}")
    return Address(url)
