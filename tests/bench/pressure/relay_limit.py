"""Four worker processes and a relay that may get 100 mails a second, counted at the relay for a minute."""

from statistics import median

from tests.bench.pressure.findings import Finding
from tests.bench.pressure.mailing import finish, start_workers, waiting_mails
from tests.bench.relay import Relay
from tests.bench.stage import Stage

WORKERS, RATE, WINDOW_S = 4, 100, 60
#: Share of rate × window that may be too many or too few.
_OFF = 0.02


def run(stage: Stage, *, quick: bool) -> Finding:
    """Enough mails for the minute and ten seconds more, all waiting when the workers start."""
    window = 10 if quick else WINDOW_S
    count = RATE * (window + 10)
    finding = Finding(
        "relay-limit", f"{WORKERS} worker processes, a limit of {RATE}/s on the relay, {count:,} mails wait"
    )
    relay = Relay(stage.folder("limited-relay"))
    try:
        workers = start_workers(stage, relay, WORKERS, NOTIFIER_LIMITS=f"relay={RATE}/s")
        with waiting_mails(stage, workers, count, "limited"):
            pass
        tally = finish(stage, relay, workers, finding, count, "limited")
    finally:
        relay.close()
    seconds = tally.taken_within(window)
    off = sum(seconds) / (RATE * window) - 1
    finding.add(
        f"mails in the first {window} s", f"{sum(seconds):,} ({off:+.1%})", f"{RATE * window:,} ± 2%", abs(off) <= _OFF
    )
    later = seconds[1:]
    finding.add("mails of the first second, burst included", f"{seconds[0]}")
    finding.add(
        "mails of each second after it, median (min–max)", f"{median(later):.0f} ({min(later)}–{max(later)})", f"{RATE}"
    )
    finding.add("seconds with more than 102", f"{sum(1 for number in later if number > RATE * (1 + _OFF))}")
    return finding
