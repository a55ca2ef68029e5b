"""Policies, set and read by RabbitMQ's management API: the delivery limit of failure queues, and who leads queues."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pika
import pytest

from consumers.policies import FAILURES, LEADERS, Management, limit_advice, policies_for
from consumers.topology import apply_topology, queues
from notifier.errors import BrokerUnavailable
from tests.conftest import _start
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.rabbitmq import RabbitMQ

#: RabbitMQ 4 drops after 20; once more, to be sure.
RETURNS = 22


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A node with the management plugin."""
    server = _start(lambda directory: RabbitMQ(directory, management=True), tmp_path_factory.mktemp("managed"))
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def url(managed: RabbitMQ) -> Iterator[str]:
    url = managed.new_vhost()
    yield url
    managed.delete_vhost(url)


def notifier(url: str, managed: RabbitMQ | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {"NOTIFIER_BROKER_URL": url}
    if managed is not None:
        variables["NOTIFIER_BROKER_MANAGEMENT_URL"] = managed.management_url
    command = [sys.executable, "-m", "notifier.cli", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def limits(managed: RabbitMQ) -> bool:
    """Whether this version has a limit of its own."""
    return FAILURES in policies_for(managed.version())


def test_apply_sets_what_keeps_failures_however_often_they_are_looked_at(url: str, managed: RabbitMQ) -> None:
    # Given the topology, applied with the management API
    applied = notifier(url, managed, "topology", "apply")
    assert applied.returncode == 0, applied.stderr
    assert applied.stdout.splitlines()[0] == ("2 policies" if limits(managed) else "1 policy")
    assert "rabbitmqctl" not in applied.stderr

    # When a failure is looked at more often than RabbitMQ 4 allows, as the management page's "Get messages" does
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", "failed-email", b"kept", mandatory=True)
        for _ in range(RETURNS):
            looked: list[int] = []

            def got(looked: list[int] = looked) -> bool:
                method, _, _ = channel.basic_get("failed-email")
                looked.extend([] if method is None else [method.delivery_tag])
                return method is not None

            poll(got, "the failure can be looked at again")
            channel.basic_reject(looked[0], requeue=True)

        # Then it is still there
        poll(lambda: channel.basic_get("failed-email", auto_ack=True)[2] == b"kept", "the failure")

    # And `check` agrees
    checked = notifier(url, managed, "topology", "check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert f"RabbitMQ {managed.version()} has everything" in checked.stdout


def test_check_names_what_is_missing_and_who_is_in_the_way(url: str, managed: RabbitMQ) -> None:
    # Given a virtual host with nothing in it
    empty = notifier(url, managed, "topology", "check")
    assert empty.returncode == 1
    assert "queue 'failed-email' is missing; run `notifier topology apply`" in empty.stderr

    # When everything is declared, but a policy of somebody else's wins over ours
    apply_topology(url, management=Management(managed.management_url, url))
    managed.limit_queue(url, "failed-email", 10, priority=1)
    other = notifier(url, managed, "topology", "check")

    # Then that is told where it matters
    if limits(managed):
        assert other.returncode == 1
        assert "'failed-email' has a delivery limit: the policy 'failed-email' applies instead of" in other.stderr
    else:
        assert (other.returncode, other.stderr) == (0, "")


def test_without_the_management_api_people_are_told_what_to_do(url: str, managed: RabbitMQ) -> None:
    applied, checked = (notifier(url, None, "topology", verb) for verb in ("apply", "check"))
    assert (applied.returncode, checked.returncode) == (0, 0)
    for told in (applied.stderr, checked.stderr):
        assert ("rabbitmqctl set_policy" in told) == limits(managed)


@pytest.mark.parametrize(
    ("version", "vhost", "told"),
    [("3.10.8", "/", False), ("3.13.7", "/", False), ("4.0.5", "shop", True), ("4.3.6", "/", True), ("", "/", False)],
)
def test_the_command_is_given_for_versions_that_have_a_limit(version: str, vhost: str, told: bool) -> None:
    assert (f"--vhost '{vhost}'" in limit_advice(version, vhost)) == told


def test_a_wrong_password_and_a_missing_api_are_told_without_the_password(managed: RabbitMQ) -> None:
    wrong = managed.management_url.replace("//", "//guest:verysecret@")
    for url, words in ((wrong, "answered 401"), ("http://guest:verysecret@127.0.0.1:1", "cannot be reached")):
        with pytest.raises(BrokerUnavailable, match=words) as caught:
            Management(url, managed.url()).set(LEADERS, "/")
        assert "verysecret" not in str(caught.value)


def test_an_operators_policy_wins_over_ours_for_leaders(url: str, managed: RabbitMQ) -> None:
    # Given ours, and one that limits a queue's length
    apply_topology(url, management=Management(managed.management_url, url))
    managed.limit_queue(url, "email-low", 2)

    # Then that is in force
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()

        def is_full() -> bool:
            try:
                channel.basic_publish("", "email-low", b"x", mandatory=True)
            except pika.exceptions.NackError:
                return True
            return False

        poll(is_full, "the queue is full")


def test_our_policies_match_our_queues_and_no_others() -> None:
    assert [queue.name for queue in queues() if not re.search(LEADERS.pattern, queue.name)] == []
    others = ("amq.gen-x", "shop.orders", "celery@host.celery.pidbox", "celeryev.x", "my-email-low")
    assert [name for name in others if re.search(LEADERS.pattern, name)] == []
