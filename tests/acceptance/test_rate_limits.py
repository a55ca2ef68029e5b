"""Rate limits as the other side sees them: four workers together, Redis gone for a moment, changes while running."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from notifier.domain.delivery import Status
from tests.acceptance.place import Place, hook_folder, mail_folder, metric, place
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import RedisServer

FOLDERS = {
    "news": mail_folder("news", text="Hello"),
    "slow": mail_folder("slow", rule="limit: 5/s\npriority: low", text="Hello"),
    "hook": hook_folder("hook"),
}
RATE, BURST = 100, 10
#: Mails that may come closer together than they were granted: what leaves 100 ms late meets what leaves on time.
JITTER = 0.3 * RATE


@pytest.fixture(scope="module")
def at(rabbitmq: RabbitMQ, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("limits")
    with place(rabbitmq, redis_server, directory, FOLDERS, NOTIFIER_LIMITS=f"relay={RATE}/s") as here:
        here.service.consumer()
        for number in range(4):
            here.service.worker("-n", f"w{number}@%h")
        yield here


def people(number: int, domain: str) -> list[str]:
    return [f"p{i}@{domain}" for i in range(number)]


def arrivals(at: Place, domain: str) -> list[float]:
    """When mails to a domain came, in order."""
    return sorted(mail.received_at for mail in at.smtp.mails if mail.recipients[0].endswith("@" + domain))


def most_ahead(times: list[float], rate: float) -> float:
    """By how many the fullest window of any length exceeds what the rate alone allows in it."""
    least, most = 0.0, 0.0
    for number, moment in enumerate(times):
        ahead = number - (moment - times[0]) * rate
        least = min(least, ahead)
        most = max(most, ahead - least + 1)
    return most


def test_four_workers_together_keep_a_relays_rate_and_use_all_of_it(at: Place) -> None:
    # When fifteen seconds' worth of mail comes at once
    event = at.publish("news", {"to": people(1500, "a.example.org")})
    poll(lambda: len(arrivals(at, "a.example.org")) == 1500, "all of it has arrived")

    # Then no window of any length held more than the rate and the burst
    times = arrivals(at, "a.example.org")
    assert most_ahead(times, RATE) <= BURST + JITTER
    # And it took no longer than it had to
    assert 0.98 * (RATE * (times[-1] - times[0]) + BURST) <= 1500
    # And every worker took its part, once for each mail, with one try
    assert all(metric(worker, "notifier_rate_limited_total") > 100 for worker in at.service.processes[1:])
    assert len({mail.recipients[0] for mail in at.smtp.mails}) == 1500
    last = at.delivery(event, "news/mail", "mailto:p1499@a.example.org")
    record = at.until(last, Status.SENT)
    assert (record.tries, record.reason) == (1, "")


def test_what_waits_says_for_what_and_until_when(at: Place) -> None:
    # When more comes than can go soon
    event = at.publish("slow", {"to": people(200, "b.example.org")})
    waiting = at.delivery(event, "slow/mail", "mailto:p199@b.example.org")

    # Then the ledger and the command line say why nothing happens to the last one
    poll(lambda: (found := at.record(waiting)) is not None and bool(found.reason), "it waits")
    shown = json.loads(at.service.run("show", waiting, "--json").stdout)
    assert (shown["status"], shown["reason"], shown["tries"]) == ("queued", "rate_limited: rule:slow/mail", 0)
    assert shown["next_try"] is not None
    limits = {limit["scope"]: limit for limit in json.loads(at.service.run("limits", "list", "--json").stdout)}
    assert limits["rule:slow/mail"]["origin"] == "rules.yaml"
    assert limits["rule:slow/mail"]["waiting"] > 50
    # And explain tells the rate before anybody waits
    assert limits["relay"]["rate"] == f"{RATE}/s"


def test_a_full_limit_holds_up_nothing_but_its_own(at: Place) -> None:
    # Given thousands that wait for a limit of five a second, in the same lane as all other news
    at.service.run("limits", "set", "domain:c.example.org", "5/s")
    poll(lambda: "domain:c.example.org" in at.service.run("limits", "list").stdout, "the limit is there")
    at.publish("news", {"to": people(3000, "c.example.org")})
    poll(lambda: bool(arrivals(at, "c.example.org")), "the first of them has gone")

    # When others come behind them
    at.publish("news", {"to": people(200, "d.example.org")})
    poll(lambda: len(arrivals(at, "d.example.org")) == 200, "all of the others have arrived")

    # Then nearly all of the thousands still wait, and none of them in a worker
    assert len(arrivals(at, "c.example.org")) < 500

    # When the limit is lifted
    assert at.service.run("limits", "set", "domain:c.example.org", "unlimited").returncode == 0
    before = len(arrivals(at, "c.example.org"))

    # Then they come faster than it had let them
    poll(lambda: len(arrivals(at, "c.example.org")) >= before + 60, "more of them")


def test_an_endpoint_may_ask_for_a_rate_of_its_own(at: Place) -> None:
    # Given an endpoint that wants two a second
    url = f"{at.http.url}/slowly"
    added = at.service.run("endpoints", "add", url, "--event", "hook", "--rate", "2/s", "--json")
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["rate"] == "2/s"

    # When eight events come at once
    for number in range(8):
        at.publish("hook", {"number": number})
    times = sorted(request.received_at for request in at.http.wait_for(8))

    # Then it gets them at its rate
    assert most_ahead(times, 2) <= 2

    # And a rate nobody can keep is refused
    refused = at.service.run("endpoints", "add", url, "--rate", "2")
    assert refused.returncode == 2
    assert "2/s" in refused.stderr or "rate" in refused.stderr


def test_while_redis_is_away_nothing_goes_and_afterwards_nothing_floods(at: Place) -> None:
    # Given mails on their way at the relay's rate
    at.publish("news", {"to": people(1000, "e.example.org")})
    poll(lambda: len(arrivals(at, "e.example.org")) > 150, "they are on their way")

    # When Redis is killed, and comes back with what it had kept
    at.redis.kill()
    until_still(at)
    at.redis.start()
    poll(lambda: len(arrivals(at, "e.example.org")) >= 1000, "all have arrived")

    # Then they kept the rate throughout: what was granted ahead had gone before Redis came back
    times = arrivals(at, "e.example.org")
    assert most_ahead(times, RATE) <= BURST + JITTER
    # And each came once
    assert len({mail.recipients[0] for mail in at.smtp.mails if "@e." in mail.recipients[0]}) == len(times)


def until_still(at: Place) -> None:
    """Wait until nothing came between two looks, a tenth of a second apart, ten times in a row."""
    seen: list[int] = []

    def is_still() -> bool:
        seen.append(len(at.smtp.mails))
        return len(seen) > 10 and len(set(seen[-10:])) == 1

    poll(is_still, "what was granted before has gone")
