"""What a server refuses: what it is about is told as its class and not sent again, and everything else arrives once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.matrix.builds import Build
from tests.matrix.scenarios import SERVERS, Row, ends, mails, sent, serving
from tests.servers.mail.options import Options, Phase, Refusal
from tests.servers.patience import poll

#: Some of many mails: the phase, the reply, what is refused, and what it is to be taken for.
SOME: tuple[tuple[Refusal, str], ...] = (
    (
        Refusal("mail", "550 5.7.60 Client does not have permissions to send as this sender", "bad@example.org"),
        "sender_refused",
    ),
    (Refusal("rcpt", "550 5.7.1 Recipient address rejected: Access denied", "no@other.example"), "mail_refused"),
    (Refusal("dot", "550 5.7.1 Message content rejected", "unwanted"), "mail_refused"),
)
#: Everybody, before any mail is named.
EVERYBODY: tuple[tuple[Refusal, str], ...] = (
    (Refusal("connect", "554 5.7.1 No mail from your network"), "client_refused"),
    (Refusal("connect", "421 4.3.2 Service not available, closing transmission channel"), "relay_ill"),
    (Refusal("helo", "550 5.7.1 Helo command rejected: Access denied"), "client_refused"),
    (Refusal("helo", "504 5.5.2 Helo command rejected: need fully-qualified hostname"), "dialogue"),
)
#: Servers that answer in words or codes of their own, which mean something else.
OTHERWISE: dict[tuple[str, Phase, str], str] = {
    ("postfix", "connect", "421"): "client_refused",  # "Client host rejected", whatever the code
    ("haraka", "helo", "504"): "client_refused",  # 550, whatever the code
    ("courier", "rcpt", "550"): "no_mailbox",  # it refuses users that it does not know
}
#: Courier waits eight seconds before it refuses anything and longer before the next: a few fill its five connections.
REFUSED, FEW = 20, {"courier": 4}
OTHERS, SECONDS, SLOW_S = 100, 10, {"courier": 45}


def refused(build: Build, name: str) -> Iterator[Row]:
    """A rule of the server at each phase: what it is about is refused, everything else arrives."""
    for refusal, meaning in _offered(name, SOME):
        phase, marked = refusal.phase, refusal.containing
        count = FEW.get(name, REFUSED)
        with serving(name, Options(refusals=(refusal,))) as server:
            bad = mails(
                count,
                sender=marked if phase == "mail" else "s@example.org",
                to=marked if phase == "rcpt" else "b{}@example.net",
                subject=marked if phase == "dot" else "hello",
            )
            scenario = f"refuses {count} of {count + OTHERS} at {phase}"
            row, answer = sent(build, server, scenario, bad + mails(OTHERS), seconds=SLOW_S.get(name, SECONDS))
            told = answer["meanings"]
            right = set(told) == {meaning} and (phase == "mail" or told[meaning] == count)
            met = row.arrived == OTHERS and not row.twice and answer["up"] and right
            yield replace(row, met=met, note=_told(told) + ("" if answer["up"] else "; relay paused"))


def turned_away(build: Build, name: str) -> Iterator[Row]:
    """Everybody is refused at the door, and then nobody: what was said is told, nothing given up, each comes once."""
    for refusal, meaning in _offered(name, EVERYBODY):
        scenario = f"{refusal.code} at {refusal.phase}, then open"
        with serving(name, Options(refusals=(refusal,))) as server, ThreadPoolExecutor(1) as beside:
            refused = server.directory.with_suffix(".refused")
            ending = beside.submit(sent, build, server, scenario, mails(20), seconds=60, refused=str(refused))
            # A server must be started by a thread that lives as long: it ends with it.
            poll(refused.exists, f"{name} refused the first")
            server.start_anew(Options())
            row, answer = ending.result()
            refused.unlink()
            met = row.arrived == 20 and not row.twice and set(answer["meanings"]) == {meaning}
            yield replace(row, met=met, note=_told(answer["meanings"]) + ends(answer, row))


def _offered(name: str, refusals: tuple[tuple[Refusal, str], ...]) -> Iterator[tuple[Refusal, str]]:
    for refusal, meaning in refusals:
        if refusal.phase in SERVERS[name].phases:
            yield refusal, OTHERWISE.get((name, refusal.phase, refusal.code), meaning)


def _told(meanings: dict[str, int]) -> str:
    return ", ".join(f"{count} {meaning}" for meaning, count in meanings.items()) or "no class told"
