"""`Breaker`: whether an endpoint is tried at all, as values from pure functions: no clock, no storage of their own.

It opens when most tries fail, or when the endpoint asks for time; while it is open nothing is sent and no try is spent.
When its time is up exactly one delivery probes it, whatever worker has it; the probe closes it or opens it for longer.
None stands for an endpoint about which there is nothing to remember: that is the usual state, and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from notifier.domain.retry import MAX_RETRY_AFTER_S

#: Failures that open it, and the share of all tries of a window they must be. Five, so that a delivery or two that
#: nobody can take do not stop the others.
LEAST_FAILURES = 5
FAILING_SHARE = 0.5
#: Seconds after which counts start anew, unless there were only failures: an endpoint with one webhook an hour must
#: open too.
WINDOW_S = 60.0
#: Seconds it stays open: the first time, then twice as long after each failed probe, up to the longest.
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 900.0
#: Seconds of trouble after which deliveries are put aside instead of coming back to look again and again.
ASIDE_AFTER_S = 60.0
#: Seconds beyond an exchange's deadline until its probe counts as lost, with its worker.
PROBE_SLACK_S = 15.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is remembered of an endpoint that fails, or failed lately. Times are unix seconds."""

    ok: int = 0
    failed: int = 0
    since: float = 0
    """Start of the window that is counted."""
    failing_since: float = 0
    """First failure after the last success; 0 when the last try succeeded."""
    opened: float = 0
    """When it opened; 0 while it is closed."""
    until: float = 0
    """Nothing is sent before; from then on it may be probed."""
    openings: int = 0
    """How often in a row it opened: each probe that fails doubles the wait."""
    probe: str = ""
    """Token of whoever probes now."""
    lease: float = 0
    """When a probe counts as lost, with its worker."""
    code: str = ""
    """What the last failure was."""
    stamp: str = field(default="", compare=False)
    """Of whoever wrote it: two workers that count from the same state to the same state must not count once."""

    @property
    def is_open(self) -> bool:
        """Whether nothing may be sent but a probe."""
        return self.opened > 0

    def probe_is_due(self, now: float) -> bool:
        """Whether somebody may send one delivery to see."""
        return self.is_open and now >= self.until and (not self.probe or now >= self.lease)

    def left(self, now: float) -> float:
        """Seconds until it may be probed, if whoever probes now is lost."""
        return max(self.until, self.lease if self.probe else 0.0) - now

    def describe(self, now: float) -> str:
        """For people: in one line, what it is and why."""
        if not self.is_open:
            return f"failing: {self.failed} of {self.ok + self.failed} lately, last {self.code}"
        if self.probe:
            return f"probed just now, after {self.code}"
        return f"left alone for {max(0.0, self.until - now):.0f} s, after {self.code}"

    def is_long(self, now: float) -> bool:
        """Whether deliveries are put aside until somebody resumes them, instead of coming back by themselves."""
        return self.is_open and max(now - self.opened, self.until - now) > ASIDE_AFTER_S


@dataclass(frozen=True, slots=True)
class Observed:
    """What one batch saw of one endpoint."""

    ok: int = 0
    failed: int = 0
    wait: float = 0
    """Seconds it asked for with Retry-After; 0 when it named none."""
    too_much: bool = False
    """It answered 429 or 503: it is left alone at once, without waiting for `LEAST_FAILURES`."""
    code: str = ""
    probe: str = ""
    """The token of the probe this batch was, if it was one."""


def observe(breaker: Breaker | None, seen: Observed, now: float) -> Breaker | None:
    """The breaker after ``seen``; the same for every order of observations that come at once, near enough."""
    if breaker is not None and breaker.is_open:
        return _observe_open(breaker, seen, now)
    counted = _count(breaker or Breaker(since=now), seen, now)
    if not counted.failed:
        return None
    if seen.failed and (seen.wait or seen.too_much or _fails_too_often(counted)):
        return replace(counted, opened=now, until=now + _wait(1, seen), openings=1)
    return counted


def begin_probe(breaker: Breaker | None, token: str, now: float, lease: float) -> Breaker | None:
    """The breaker with ``token`` as its only probe, for ``lease`` seconds; unchanged when none is due."""
    if breaker is None or not breaker.probe_is_due(now):
        return breaker
    return replace(breaker, probe=token, lease=now + lease)


def _count(breaker: Breaker, seen: Observed, now: float) -> Breaker:
    ended = now - breaker.since > WINDOW_S and breaker.ok > 0
    start = Breaker(since=now, failing_since=breaker.failing_since, code=breaker.code) if ended else breaker
    return replace(
        start,
        ok=start.ok + seen.ok,
        failed=start.failed + seen.failed,
        failing_since=_failing_since(start, seen, now),
        code=seen.code or start.code,
    )


def _failing_since(breaker: Breaker, seen: Observed, now: float) -> float:
    if seen.ok:
        return now if seen.failed else 0.0
    return (breaker.failing_since or now) if seen.failed else breaker.failing_since


def _fails_too_often(breaker: Breaker) -> bool:
    return breaker.failed >= LEAST_FAILURES and breaker.failed >= FAILING_SHARE * (breaker.ok + breaker.failed)


def _observe_open(breaker: Breaker, seen: Observed, now: float) -> Breaker | None:
    if not seen.probe or seen.probe != breaker.probe:
        # Tries that were under way when it opened. Only a probe closes it, but a longer rest that is asked for counts.
        rest = now + min(seen.wait, MAX_RETRY_AFTER_S) if seen.wait else 0.0
        failing = _failing_since(breaker, seen, now)
        return replace(breaker, until=max(breaker.until, rest), failing_since=failing, code=seen.code or breaker.code)
    if seen.failed:
        openings = breaker.openings + 1
        return replace(
            breaker,
            until=now + _wait(openings, seen),
            openings=openings,
            probe="",
            lease=0.0,
            failing_since=_failing_since(breaker, seen, now),
            code=seen.code or breaker.code,
        )
    if seen.ok:
        return None
    return replace(breaker, until=now, probe="", lease=0.0)  # the probe could not be sent: somebody else's turn


def _wait(openings: int, seen: Observed) -> float:
    """Whoever says how long gets that; doubling is for those who say nothing."""
    if seen.wait:
        return min(seen.wait, MAX_RETRY_AFTER_S)
    # Capped before the power: a year of failing must not make a number that no float holds.
    return min(FIRST_WAIT_S * 2.0 ** min(openings - 1, 30), LONGEST_WAIT_S)
