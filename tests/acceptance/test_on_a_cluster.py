"""The main paths of the service on a Redis Cluster: every role, every family of keys that is divided there."""

import json
from collections.abc import Iterator
from itertools import count

import pytest

from notifier.domain.delivery import DeliveryRecord, Status
from tests.acceptance.place import Place, hook_folder, mail_folder, place
from tests.acceptance.service import Process, ask
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis_cluster import RedisCluster

ITEM = {
    "rules.yaml": "event: item\ncategory: items\nrules:\n"
    "  - {id: mail, channel: digest, to: data.to, key: data.to, window: {after_first: 1h, at_most: 2}}\n",
    "digest.subject.j2": "Digest of {{ digest.total }}",
    "digest.text.j2": "{% for item in digest['items'] %}{{ item.data.say }}\n{% endfor %}",
}
FOLDERS = {
    "news": mail_folder("news", text="Hello"),
    "rare": mail_folder("rare", rule="throttle: {at_most: 1, per: 1h}", text="Hello"),
    "hook": hook_folder("hook"),
    "item": ITEM,
}
PEOPLE = [f"user-{number}" for number in range(30)]


class OnACluster(Place):
    """With the API's process."""

    api: Process

    def mail(self, event: str, to: str) -> str:
        """Publish for one person; the id of their delivery."""
        identity = f"mailto:{to}" if "@" in to else f"recipient:{to}"
        # A digest's items are apart by their key.
        identity += f"\x1f{to}" * (event == "item")
        return self.delivery(self.publish(event, {"to": to, "say": "news"}), f"{event}/mail", identity)

    def until_settled(self, delivery: str) -> DeliveryRecord:
        """Wait until a worker has sent it or said why not."""
        poll(lambda: (r := self.record(delivery)) is not None and (bool(r.reason) or bool(r.attempts)), delivery)
        found = self.record(delivery)
        assert found is not None
        return found

    def run(self, *arguments: str, stdin: str = "") -> str:
        """A verb that succeeds."""
        ran = self.service.run(*arguments, stdin=stdin)
        assert ran.returncode == 0, ran.stderr + ran.stdout
        return ran.stdout


@pytest.fixture(scope="module")
def at(
    rabbitmq: RabbitMQ, redis_cluster: RedisCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OnACluster]:
    directory = tmp_path_factory.mktemp("on-a-cluster")
    with place(rabbitmq, redis_cluster, directory, FOLDERS, NOTIFIER_EMAIL_RETRY="1,1") as here:
        here.service.consumer()
        here.service.worker()
        here.service.beat()
        found = OnACluster(**{name: getattr(here, name) for name in Place.__dataclass_fields__})
        found.api = here.service.api()
        yield found


def test_people_known_by_an_id_get_their_mail_and_the_api_says_so(at: OnACluster) -> None:
    # Given people in the directory, whose ids belong in many slots
    people = "".join(json.dumps({"id": one, "email": f"{one}@example.org"}) + "\n" for one in PEOPLE)
    at.run("recipients", "import", "-", stdin=people)

    # When all of them are told something by one event
    event = at.publish("news", {"to": PEOPLE})

    # Then everybody gets it, and whoever asks for a delivery or a person is told
    deliveries = [at.delivery(event, "news/mail", f"recipient:{one}") for one in PEOPLE]
    assert {at.until(one, Status.SENT).status for one in deliveries} == {Status.SENT}
    assert all(len(at.mails_to(f"{one}@example.org")) == 1 for one in PEOPLE)
    status, found = ask(at.api.health_port, f"/v1/deliveries/{deliveries[0]}")
    assert (status, found["status"]) == (200, "sent")
    assert len(at.run("recipients", "export").splitlines()) == len(PEOPLE)


def test_an_event_that_comes_twice_is_planned_once(at: OnACluster) -> None:
    first = at.publish("news", {"to": "once@example.org"}, event_id="the-same")
    at.until(at.delivery(first, "news/mail", "mailto:once@example.org"), Status.SENT)
    at.publish("news", {"to": "once@example.org"}, event_id="the-same")
    at.until(at.mail("news", "after@example.org"), Status.SENT)
    assert len(at.mails_to("once@example.org")) == 1


def test_a_webhook_goes_to_the_endpoints_of_its_tenant_from_the_moment_they_are_added(at: OnACluster) -> None:
    # Given tenants with an endpoint each, in many slots
    tenants = [f"tenant-{number}" for number in range(6)]
    added = {one: at.endpoints.add(one, f"{at.http.url}/{one}").id for one in tenants}

    # When something happens at each, and at one of them again after a second endpoint was added
    events = {one: at.publish("hook", {}, tenant=one) for one in tenants}
    for tenant, event in events.items():
        at.until(at.delivery(event, "hook/hook", f"endpoint:{added[tenant]}"), Status.SENT)
    second = at.endpoints.add(tenants[0], f"{at.http.url}/second").id
    again = at.publish("hook", {}, tenant=tenants[0])

    # Then each endpoint has what is its own
    for endpoint in (added[tenants[0]], second):
        at.until(at.delivery(again, "hook/hook", f"endpoint:{endpoint}"), Status.SENT)
    paths = [request.path for request in at.http.requests]
    assert {one: paths.count(f"/{one}") for one in [*tenants, "second"]} == {
        **dict.fromkeys(tenants, 1),
        tenants[0]: 2,
        "second": 1,
    }
    assert sorted(e.id for e in at.endpoints.list()) == sorted([*added.values(), second])


def test_items_become_one_mail(at: OnACluster) -> None:
    readers = [f"reader{number}@example.org" for number in range(5)]
    items = [at.mail("item", to) for to in readers for _ in range(2)]

    assert {at.until(one, Status.SENT).status for one in items} == {Status.SENT}
    assert all(len(at.mails_to(to)) == 1 for to in readers)
    assert all(b"Digest of 2" in at.mails_to(to)[0] for to in readers)


def test_what_the_relay_defers_is_tried_again(at: OnACluster) -> None:
    at.smtp.reply("RCPT", "450 4.2.1 try later", matching="later@example.org", times=1)
    record = at.until(at.mail("news", "later@example.org"), Status.SENT)
    assert [one.outcome for one in record.attempts] == ["deferred", "sent"]


def test_what_is_refused_is_parked_and_a_replay_sends_it(at: OnACluster) -> None:
    # Given an address that the relay does not know for once
    at.smtp.reply("RCPT", "550 5.1.1 no such user", matching="nobody@example.org", times=1)
    refused = at.mail("news", "nobody@example.org")
    at.until_parked(refused)
    assert at.until(at.mail("news", "nobody@example.org"), Status.SUPPRESSED).reason.startswith("bounced")
    assert [one["id"] for one in at.failures("list", "--json")["entries"]] == [refused]

    # When an operator replays it, then it is sent and nothing stands against the address any more
    at.failures("replay", "--yes", refused)
    at.until(refused, Status.SENT)
    at.until(at.mail("news", "nobody@example.org"), Status.SENT)


def test_a_throttle_lets_one_through_for_each_person(at: OnACluster) -> None:
    first = [at.mail("rare", f"calm{number}@example.org") for number in range(5)]
    for delivery in first:
        at.until(delivery, Status.SENT)
    second = [at.mail("rare", f"calm{number}@example.org") for number in range(5)]
    assert {at.until(one, Status.SUPPRESSED).reason for one in second} != {""}


def test_a_limit_that_is_set_while_it_runs_is_kept(at: OnACluster) -> None:
    # Given a limit that an operator sets for one domain, by which its second mail waits for minutes
    at.run("limits", "set", "domain:slow.example.org", "1/h")
    _, found = ask(at.api.health_port, "/v1/limits")
    assert "domain:slow.example.org" in json.dumps(found)
    numbers = count()

    def waits() -> bool:
        """Whether the next mail there does, by what the ledger says of it."""
        one = at.mail("news", f"p{next(numbers)}@slow.example.org")
        return "rate_limited: domain:slow.example.org" in at.until_settled(one).reason

    # Then mails there wait from the moment the worker knows it, and others do not
    poll(waits, "the limit is kept")
    at.until(at.mail("news", "p@fast.example.org"), Status.SENT)


def test_a_person_who_is_forgotten_leaves_nothing(at: OnACluster) -> None:
    # Given somebody with a mail that was sent, an open digest and a record in the directory
    at.run("recipients", "set", "gone", "--email", "gone@example.org")
    sent, item = at.mail("news", "gone"), at.mail("item", "gone@example.org")
    at.until(sent, Status.SENT)
    poll(lambda: (found := at.record(item)) is not None and found.status is Status.HELD, "the item is collected")

    # When they are forgotten
    found = json.loads(at.run("forget", "gone@example.org", "--yes", "--json"))

    # Then all of it was found, and nobody is known by that address
    assert (found["recipients"], found["windows"], found["items"]) == (1, 1, 1)
    assert found["deliveries"] >= 2
    assert at.service.run("forget", "gone@example.org", "--yes").returncode == 1
    assert at.until(item, Status.SKIPPED).destination == "forgotten"
