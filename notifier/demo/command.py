"""``notifier demo`` and ``notifier demo --check``: put it on stage, tell its story, say how it went."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from notifier.demo.interrupts import Interrupted, Interrupts
from notifier.demo.page import Page
from notifier.demo.stage import Stage
from notifier.demo.story import events
from notifier.demo.summary import Row, is_over, summarise
from notifier.errors import ConfigurationError, NotifierError, Problem
from notifier.rules.content import Content

#: Seconds the whole story may take until every delivery has ended; it takes about 5, on a busy machine more.
STORY_TIMEOUT_S = 300.0


def shop_templates() -> Path:
    """The shop's templates: beside the package in a checkout, inside it when installed from a wheel."""
    places = (Path(__file__).parent / "templates", Path(__file__).parents[2] / "templates")
    for place in places:
        if place.is_dir():
            return place
    tried = " and ".join(str(place) for place in places)
    raise ConfigurationError([Problem("notifier demo", f"found no sample templates in {tried}", "reinstall notifier")])


def chosen_templates(environment: Mapping[str, str]) -> Path:
    """Those that NOTIFIER_TEMPLATES names, else the shop's. Raises `ConfigurationError` with every mistake in them."""
    named = environment.get("NOTIFIER_TEMPLATES", "")
    root = Path(named) if named else shop_templates()
    if not events(Content.load(root)):
        fix = "add sample.json beside a rules.yaml, or unset NOTIFIER_TEMPLATES for the shop's"
        raise ConfigurationError([Problem(str(root), "has no sample events, which the demo publishes", fix)])
    return root


@dataclass
class Demo:
    """One run."""

    console: Console
    stage: Stage
    keys: list[str]
    says: str = "Starting…"

    def tell(self) -> list[Row]:
        """Publish the story and wait until every delivery has ended."""
        story = events(Content.load(self.stage.templates))
        self.keys += self.stage.api.publish(story)
        self.say(f"published {len(story)} events")
        deadline = time.monotonic() + STORY_TIMEOUT_S
        seen: list[dict[str, Any]] = []
        while time.monotonic() < deadline:
            seen = self.look()
            if is_over(seen) and all(row.is_right for row in self._rows(seen)):
                break
            time.sleep(0.1)
        return self._rows(seen)

    def look(self) -> list[dict[str, Any]]:
        """Every event as the API shows it now."""
        return [self.stage.api.event(key) for key in self.keys]

    def state(self) -> dict[str, Any]:
        """What the page draws."""
        return {
            "says": self.says,
            "events": self.look(),
            "mails": [{"subject": m.subject, "to": m.to, "delivery": m.delivery} for m in self.stage.inbox.mails],
            "calls": [
                {"delivery": c.delivery, "verified": c.verified, "body": c.body} for c in self.stage.catcher.calls
            ],
            "messages": [{"to": m.to, "text": m.text, "delivery": m.delivery} for m in self.stage.gateway.messages],
        }

    def mail(self, number: int) -> str | None:
        """One mail's HTML."""
        mails = self.stage.inbox.mails
        return mails[number].html or f"<pre>{_escaped(mails[number].text)}</pre>" if number < len(mails) else None

    def say(self, line: str) -> None:
        """A line for people, on the terminal and on the page."""
        self.says = line
        self.console.print(f"  {line}", highlight=False)

    def _rows(self, seen: Sequence[dict[str, Any]]) -> list[Row]:
        return summarise(seen, self.stage.inbox.mails, self.stage.catcher.calls, self.stage.gateway.messages)


def run(*, is_check: bool, console: Console | None = None, wait: Callable[[], None] | None = None) -> int:
    """The whole demo; returns the exit status: 0 when every expected delivery arrived exactly once.

    Asked to end before its story is told, it returns 128 and the signal's number, as shells do.
    """
    console = console or Console()
    console.print("[bold]Notifier demo[/] (embedded: Redis as broker, no RabbitMQ; loopback only)")
    templates = chosen_templates(os.environ)
    console.print(f"  events and templates of {escape(str(templates))}", highlight=False, soft_wrap=True)
    with Interrupts() as interrupts:
        demo = Demo(console, Stage(templates, lambda line: demo.say(line), interrupts), [])  # noqa: PLW0108 - demo does not exist yet
        try:
            is_right = _play(demo)
            if not is_check:
                _show(demo, wait or _forever)
        except Interrupted as interrupted:
            return interrupted.exit_status
        except NotifierError as error:
            # Its words may hold brackets, which are markup to the console.
            console.print(f"[red]The demo failed:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
            return 1
        else:
            return 0 if is_right else 1
        finally:
            interrupts.ignore()
            console.print("  stopping…")
            demo.stage.stop()


def _play(demo: Demo) -> bool:
    """Start everything, tell the story and say how it went; returns whether it went well."""
    began = time.monotonic()
    demo.stage.start()
    rows = demo.tell()
    demo.console.print(table(rows))
    is_right = bool(rows) and all(row.is_right for row in rows)
    if is_right:
        demo.say(_verdict(rows, time.monotonic() - began))
    else:
        demo.say("Something did not arrive; see above. The worker's last words:")
        demo.console.print(demo.stage.log("worker"), markup=False, highlight=False, soft_wrap=True)
    return is_right


def _show(demo: Demo, wait: Callable[[], None]) -> None:
    """Serve the page until somebody ends it, which is no failure."""
    page = Page(demo.state, demo.mail)
    try:
        demo.console.print(f"\n  Look at it: [bold]{page.start()}[/]   (Ctrl-C ends the demo)")
        wait()
    except Interrupted:
        return
    finally:
        page.stop()


def table(rows: Sequence[Row]) -> Table:
    """The summary for the terminal."""
    drawn = Table("Event", "Rule", "Channel", "Expected", "Sent", "Arrived", "", title="Deliveries")
    drawn.caption = "of a digest its items are counted; many arrive in one mail"
    for row in rows:
        mark = "[green]ok[/]" if row.is_right else "[red]missing[/]"
        numbers = [str(number) for number in (row.expected, row.sent, row.arrived)]
        drawn.add_row(row.event_type, row.rule.rpartition("/")[2], row.channel, *numbers, mark)
    return drawn


def _verdict(rows: Sequence[Row], seconds: float) -> str:
    total = sum(row.expected for row in rows)
    return f"all {total} deliveries arrived, each exactly once, {seconds:.1f} s after the start"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _forever() -> None:
    while True:
        time.sleep(3600)
