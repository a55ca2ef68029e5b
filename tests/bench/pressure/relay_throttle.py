"""A relay that takes 50 mails a second and answers the rest with 450 4.7.1: how fast its rate is found."""

import time

from tests.bench.pressure.findings import Finding
from tests.bench.pressure.mailing import finish, start_workers, waiting_mails
from tests.bench.progress import rest
from tests.bench.relay import Behaviour, Relay
from tests.bench.stage import Stage

WORKERS, TAKES, WATCHED_S = 2, 50, 120
#: Spans of ten seconds are judged: in a quiet one there is at most this many refusals for each mail taken, in a used
#: one at least this share of what the relay would take is sent.
_SPAN_S, _REFUSED, _USED = 10, 0.1, 0.8
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
    quiet, used = (first(spans) for spans in (quiet_spans(taken, refused), used_spans(taken)))
    soon = quiet is not None and quiet <= _SOON_S
    finding.add("refusals are rare (1 in 10 or fewer) from", _second(quiet), "within a minute", soon)
    finding.add("refused before that", f"{sum(refused[:quiet]):,}")
    finding.add("sends at four fifths of the rate or more from", _second(used))
    finding.add("refused in all while it throttled", f"{sum(refused):,} of {sum(refused) + sum(taken):,} tries")
    finding.add("taken in all while it throttled", f"{sum(taken):,} of {TAKES * len(taken):,} it would have taken")
    for name, numbers in (("taken", taken), ("refused", refused)):
        means = [sum(numbers[at : at + _SPAN_S]) / _SPAN_S for at in range(0, len(numbers), _SPAN_S)]
        finding.add(f"{name} a second, means of {_SPAN_S} s in turn", " ".join(f"{mean:.0f}" for mean in means))


def quiet_spans(taken: list[int], refused: list[int]) -> list[bool]:
    """For each second, whether little is refused in the span that begins with it."""
    pairs = zip(_spans(taken), _spans(refused), strict=True)
    return [denied <= _REFUSED * accepted for accepted, denied in pairs]


def used_spans(taken: list[int]) -> list[bool]:
    """For each second, whether most of what the relay would take is sent in the span that begins with it."""
    return [accepted >= _USED * TAKES * _SPAN_S for accepted in _spans(taken)]


def first(spans: list[bool]) -> int | None:
    """The first span that is as wanted."""
    return next((second for second, wanted in enumerate(spans) if wanted), None)


def _spans(numbers: list[int]) -> list[int]:
    return [sum(numbers[second : second + _SPAN_S]) for second in range(len(numbers) - _SPAN_S + 1)]


def _second(second: int | None) -> str:
    return "never" if second is None else f"{second} s"
