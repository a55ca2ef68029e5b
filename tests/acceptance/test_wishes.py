"""People's wishes through the running service: what somebody switched off stays off, whatever else happens to it."""

import email
import email.policy
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from notifier.domain.delivery import DeliveryRecord, Status
from notifier.domain.ids import recipient_key
from tests.acceptance.place import Place, mail_folder, place
from tests.acceptance.service import Process
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

PUBLIC = "https://mail.example.org"
VITAL = "event: wish.vital\ntransactional: true\nrules: [{id: mail, channel: email, to: data.to}]"
COLLECTED = {
    "rules.yaml": "event: wish.collected\ncategory: news\nrules:\n"
    "  - {id: mail, channel: digest, to: data.to, key: data.to, window: {after_first: 8s}}",
    "digest.subject.j2": "Digest",
    "digest.text.j2": "{{ digest.total }} items",
}
FOLDERS = {
    "wish.news": mail_folder("wish.news"),
    "wish.slow": mail_folder("wish.slow", rule="retry: [6s, 6s]"),
    "wish.vital": mail_folder("wish.vital") | {"rules.yaml": VITAL},
    "wish.collected": COLLECTED,
}
NO_SUCH = "550 5.1.1 no such user"


@dataclass
class Wishes(Place):
    """A place with an API that answers links."""

    api: Process | None = None

    def publish_to(self, event_type: str, to: str) -> str:
        """One event for one person, by address or id; the id of its delivery."""
        event_id = self.publish(event_type, {"to": to})
        identity = f"mailto:{to}" if "@" in to else f"recipient:{to}"
        suffix = f"\x1f{to}" if event_type == "wish.collected" else ""
        return self.delivery(event_id, f"{event_type}/mail", identity + suffix)

    def ends(self, event_type: str, to: str) -> DeliveryRecord:
        """How a delivery that is published now ends."""
        return self.until(self.publish_to(event_type, to), Status.SENT, Status.SUPPRESSED, Status.REFUSED)

    def link(self, address: str) -> str:
        """The one-click link of the last mail to an address."""
        poll(lambda: self.mails_to(address), f"{address} got a mail")
        mail = email.message_from_bytes(self.mails_to(address)[-1], policy=email.policy.default)
        return str(mail["List-Unsubscribe"]).strip("<>").removeprefix(PUBLIC)

    def click(self, link: str) -> None:
        """What a mail program does (RFC 8058)."""
        assert self.api is not None
        url = f"http://127.0.0.1:{self.api.health_port}{link}"
        request = urllib.request.Request(url, data=b"List-Unsubscribe=One-Click", method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200
            assert "Done" in answer.read().decode()

    def parts(self, address: str) -> tuple[str, ...]:
        """What is known against writing to an address."""
        return self.suppressions.get(recipient_key(address)).names


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wishes]:
    with place(rabbitmq, redis_server, tmp_path_factory.mktemp("wishes"), FOLDERS, NOTIFIER_PUBLIC_URL=PUBLIC) as here:
        here.service.consumer()
        here.service.worker()
        here.service.beat()
        wishes = Wishes(**{name: getattr(here, name) for name in Place.__dataclass_fields__})
        wishes.api = here.service.api()
        yield wishes


def test_what_somebody_unsubscribes_from_while_bounced_stays_off_after_a_replay(at: Wishes) -> None:
    # Given somebody with a mail of ours, whose mailbox the relay then does not know for once
    address = "busy@example.com"
    assert at.ends("wish.news", address).status is Status.SENT
    at.smtp.reply("RCPT", NO_SUCH, matching=address, times=1)
    refused = at.publish_to("wish.news", address)
    at.until_parked(refused)
    # When they unsubscribe, and an operator replays what bounced
    at.click(at.link(address))
    assert at.parts(address) == ("bounce", "category:news")
    at.failures("replay", "--cause", "bad_recipient", "--yes")
    # Then the bounce is lifted, and the wish is not
    assert at.until(refused, Status.SUPPRESSED).reason == "unsubscribed:news"
    record = at.ends("wish.news", address)
    assert (record.status, record.reason) == (Status.SUPPRESSED, "unsubscribed:news")
    assert at.ends("wish.vital", address).status is Status.SENT
    assert len(at.mails_to(address)) == 2


def test_who_unsubscribed_and_bounces_then_gets_nothing_more(at: Wishes) -> None:
    # Given somebody who switched news off
    address = "reader1@example.com"
    assert at.ends("wish.news", address).status is Status.SENT
    at.click(at.link(address))
    # When their mailbox is gone
    at.smtp.reply("RCPT", NO_SUCH, matching=address, times=None)
    assert at.ends("wish.vital", address).status is Status.REFUSED
    poll(lambda: "bounce" in at.parts(address), "the bounce is kept")
    # Then nothing is sent there again, and both reasons are told
    vital, news = at.ends("wish.vital", address), at.ends("wish.news", address)
    assert (vital.status, vital.reason) == (Status.SUPPRESSED, "bounced: smtp_550_5.1.1")
    assert (news.status, news.reason) == (Status.SUPPRESSED, "bounced: smtp_550_5.1.1; unsubscribed:news")
    assert not vital.attempts
    # And when an operator lifts the bounce, the wish stays
    lifted = at.service.run("suppressions", "remove", address, "--part", "bounce", "--yes")
    assert lifted.returncode == 0, lifted.stderr
    assert at.ends("wish.news", address).reason == "unsubscribed:news"


def test_a_wish_follows_a_person_to_their_new_address(at: Wishes) -> None:
    # Given somebody known by an id, with two mails at the old address
    old, new = "kim-old@example.org", "kim-new@example.org"
    at.service.run("recipients", "set", "kim", "--email", old)
    assert at.ends("wish.news", "kim").status is Status.SENT
    link = at.link(old)
    # When their address changes, and they use the link in a mail of before
    at.service.run("recipients", "set", "kim", "--email", new)
    assert at.ends("wish.news", "kim").status is Status.SENT
    assert len(at.mails_to(new)) == 1
    at.click(link)
    # Then the new address gets no more news either, nor the next one
    assert at.ends("wish.news", "kim").reason == "unsubscribed:news"
    at.service.run("recipients", "set", "kim", "--email", "kim-last@example.org")
    assert at.ends("wish.news", "kim").reason == "unsubscribed:news"
    assert at.ends("wish.vital", "kim").status is Status.SENT
    assert len(at.mails_to("kim-last@example.org")) == 1


def test_a_replay_writes_again_to_a_person_known_by_id(at: Wishes) -> None:
    # Given somebody known by an id, whose mailbox the relay does not know for once
    at.service.run("recipients", "set", "jo", "--email", "jo@example.org")
    at.smtp.reply("RCPT", NO_SUCH, matching="jo@example.org", times=1)
    refused = at.publish_to("wish.vital", "jo")
    at.until_parked(refused)
    assert at.parts("jo@example.org") == ("bounce",)
    # When it is replayed, then it is sent
    at.failures("replay", refused, "--yes")
    assert at.until(refused, Status.SENT, Status.SUPPRESSED).status is Status.SENT
    assert at.parts("jo@example.org") == ()


def test_a_bounce_that_came_later_is_not_lifted_by_the_replay_of_an_older_one(at: Wishes) -> None:
    # Given an address that bounced, was written to again on an operator's word, and bounced again
    address = "gone@example.net"
    at.smtp.reply("RCPT", NO_SUCH, matching=address, times=None)
    first = at.publish_to("wish.vital", address)
    at.until_parked(first)
    at.service.run("suppressions", "remove", address, "--yes")
    second = at.publish_to("wish.vital", address)
    at.until_parked(second)
    # When the older one is replayed
    at.failures("replay", first, "--yes")
    # Then nothing is sent
    assert at.until(first, Status.SUPPRESSED, Status.REFUSED).status is Status.SUPPRESSED
    assert at.parts(address) == ("bounce",)


def test_what_waits_for_its_next_try_is_not_sent_after_a_click(at: Wishes) -> None:
    # Given a mail that the relay puts off
    address = "waiting@example.net"
    assert at.ends("wish.news", address).status is Status.SENT
    at.smtp.reply("RCPT", "450 4.2.1 busy", matching=address, times=1)
    waiting = at.publish_to("wish.slow", address)
    at.until(waiting, Status.DEFERRED)
    # When its reader unsubscribes meanwhile
    at.click(at.link(address))
    # Then it is not sent
    assert at.until(waiting, Status.SUPPRESSED, Status.SENT).reason == "unsubscribed:news"
    assert len(at.mails_to(address)) == 1


def test_what_is_collected_for_a_digest_is_not_sent_after_a_click(at: Wishes) -> None:
    # Given items of a digest whose window is open
    address = "collected@example.net"
    assert at.ends("wish.news", address).status is Status.SENT
    item = at.publish_to("wish.collected", address)
    at.until(item, Status.HELD)
    # When their reader unsubscribes
    at.click(at.link(address))
    # Then the digest is not sent, and its items say so
    record = at.until(item, Status.SUPPRESSED, Status.SENT)
    assert record.status is Status.SUPPRESSED
    assert re.match(r"in digest dlv_\w+: unsubscribed:news", record.reason), record.reason
    assert len(at.mails_to(address)) == 1
