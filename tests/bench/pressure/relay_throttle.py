"""A relay that takes 50 mails a second and answers the rest with 450 4.7.1: how fast its rate is found."""

import time

from tests.bench.pressure.findings import Finding
from tests.bench.pressure.mailing import finish, start_workers, waiting_mails
from tests.bench.pressure.tally import spread
from tests.bench.progress import rest
from tests.bench.relay import Behaviour, Relay
from tests.bench.stage import Stage

WORKERS, TAKES, WATCHED_S = 2, 50, 120
#: The rate counts as found in the first second from which ten seconds pass with at least this share of the mails the
#: relay would take, and at most so many refusals for each of them.
_USED, _REFUSED = 0.8, 0.1
_STEADY_S = 10
_SOON_S = 60


def run(stage: Stage, *, quick: bool) -> Finding:
    """No limit is configured: what the relay takes must be found out. Then it takes everything."""
    watched = 40 if quick else WATCHED_S
    count = TAKES * watched * 2
    finding = Finding(
        "relay-throttle", f"a relay that takes {TAKES}/s, no limit set, {WORKERS} workers, {count:,} mails wait"
    )
    relay = Relay(stage.folder("throttling-relay"))
    try:
        relay.behave(Behaviour(per_second=TAKES))
        workers = start_workers(stage, relay, WORKERS)
        with waiting_mails(stage, workers, count, "throttled"):
            pass
        rest(watched, "seconds of throttling")
        lifted = time.time()
        relay.behave(Behaviour())
        tally = finish(stage, relay, workers, finding, count, "throttled")
    finally:
        relay.close()
    _report(finding, tally.taken_within(watched), tally.refused_within(watched))
    finding.add("after it stopped throttling, the last mail came after", f"{tally.last - lifted:.0f} s")
    return finding


def _report(finding: Finding, taken: list[int], refused: list[int]) -> None:
    found = first_steady(taken, refused)
    if found is None:
        finding.add("the rate is found after", "never", "within a minute", met=False)
    else:
        finding.add("the rate is found after", f"{found} s", "within a minute", found <= _SOON_S)
        tries = sum(refused[found:]) + sum(taken[found:])
        finding.add("refused before that", f"{sum(refused[:found]):,}")
        finding.add("refused after that", f"{sum(refused[found:]):,} of {tries:,} tries")
        finding.add("taken a second after that, median (min–max)", spread(taken[found:]), f"{TAKES}")
    finding.add("refused in all while it throttled", f"{sum(refused):,}")
    finding.add("taken in all while it throttled", f"{sum(taken):,} of {TAKES * len(taken):,} it would have taken")


def first_steady(taken: list[int], refused: list[int]) -> int | None:
    """The first second from which on little is refused and most of what would be taken is sent."""
    for second in range(len(taken) - _STEADY_S + 1):
        accepted, denied = (sum(numbers[second : second + _STEADY_S]) for numbers in (taken, refused))
        if accepted >= _USED * TAKES * _STEADY_S and denied <= _REFUSED * accepted:
            return second
    return None
