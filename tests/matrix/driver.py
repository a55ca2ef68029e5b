"""Sends mails with the engine of the checkout it is run from. A program of its own, so that two builds can be compared.

Reads one JSON object: url, connections, seconds (deadline in all), ca_file, refused (a file that is made as soon as a
mail has to be tried again), mails as [sender, recipient, content in base64, whether it needs SMTPUTF8]. Mails that have
not arrived are tried again, as a worker would, but sooner. Prints one JSON object: how many were accepted, the seconds,
the tries that ended otherwise, how, and what the refusals among them were taken for.
"""

import asyncio
import base64
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import notifier
from notifier.engine import replies
from notifier.engine.relays import SmtpRelays, checked
from notifier.engine.transaction import Accepted, Broken, Paused, Rejected, Transaction

BATCH = 50
#: Seconds until what was deferred goes out again; paused mails as soon as the relay may be used, looked at this often.
AGAIN_S, LOOK_S = 1.0, 0.1


async def send(asked: dict[str, Any]) -> dict[str, Any]:
    """All mails, batches side by side."""
    ca_file = Path(asked["ca_file"]) if asked.get("ca_file") else None
    relays = SmtpRelays(
        [asked["url"]], hostname="worker.example.org", connections=asked["connections"], ca_file=ca_file
    )
    mails = [checked(s, to, base64.b64decode(content), utf8) for s, to, content, utf8 in asked["mails"]]
    ends: Counter[str] = Counter()
    meanings: Counter[str] = Counter()
    final: dict[int, Transaction] = {}
    begun = time.monotonic()

    async def batch(places: list[int]) -> None:
        while places and time.monotonic() < begun + asked["seconds"]:
            left: list[int] = []
            wait = LOOK_S

            def told(place: int, end: Transaction, _: float, batch: list[int] = places, left: list[int] = left) -> None:
                nonlocal wait
                final[batch[place]] = end
                ends[_name(end)] += 1
                meanings.update(_meaning(end))
                if not _is_over(end):
                    left.append(batch[place])
                    wait = LOOK_S if isinstance(end, Paused) and wait == LOOK_S else AGAIN_S
                    Path(asked["refused"]).touch()

            await relays.deliver_all([mails[place] for place in places], told)
            places = sorted(left)
            if places:
                await asyncio.sleep(wait)

    every = list(range(len(mails)))
    work = asyncio.gather(*(batch(every[at : at + BATCH]) for at in range(0, len(every), BATCH)))
    try:
        await asyncio.wait_for(work, asked["seconds"])
    except TimeoutError:
        ends["still on its way when time was up"] = len(mails) - sum(isinstance(e, Accepted) for e in final.values())
    seconds = time.monotonic() - begun
    up = relays.states()[0].up
    await relays.close()
    return {
        "code": str(Path(notifier.__file__).parent),
        "accepted": sum(isinstance(end, Accepted) for end in final.values()),
        "seconds": round(seconds, 2),
        "tries": sum(count for name, count in ends.items() if name.startswith(("Rejected", "Broken"))),
        "ends": dict(ends),
        "meanings": dict(meanings),
        "up": up,
    }


def _is_over(end: Transaction) -> bool:
    """Whether a worker would not send it again; what a build without classes takes for final is told by its code."""
    if isinstance(end, Rejected):
        return _meaning(end)[0] in ("mail_refused", "no_mailbox") if _meaning(end) else end.code >= 500
    return isinstance(end, Accepted)


def _name(end: Transaction) -> str:
    if isinstance(end, Rejected):
        return f"Rejected at {end.phase}: {end.code} {end.text[:60]}"
    if isinstance(end, Broken):
        return f"Broken at {end.phase}: {end.why[:60]}"
    return type(end).__name__


def _meaning(end: Transaction) -> list[str]:
    """The class of a refusal; builds that have no such table tell none."""
    return [replies.classify(end)] if isinstance(end, Rejected) and hasattr(replies, "classify") else []


if __name__ == "__main__":
    json.dump(asyncio.run(send(json.load(sys.stdin))), sys.stdout)
