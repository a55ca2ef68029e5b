"""The demo's page as people meet it: what it shows, by keyboard, in the dark, and when its content is hostile."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notifier.demo.page import Page
from tests.browser.chromium import Tab
from tests.browser.conftest import Open
from tests.servers.processes import start, stop_group, wait_until

#: WCAG 2.2, level AA, for text of ordinary size.
READABLE = 4.5

#: Every piece of visible text with its contrast to whatever is behind it, worst first.
CONTRASTS = """
(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const linear = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = channels(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    throw new Error(`nothing behind ${element.outerHTML}`);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = walker.nextNode());) {
    const element = text.parentElement;
    if (!text.data.trim() || !element.checkVisibility()) continue;
    const a = light(channels(getComputedStyle(element).color)), b = light(behind(element));
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text.data.trim().slice(0, 40)]);
  }
  return found.sort((one, other) => one[0] - other[0]);
})()
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a running demo that has told its story serves its page."""
    folder = tmp_path_factory.mktemp("demo")
    log = folder / "demo.log"
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(folder)}
    process = start([sys.executable, "-m", "notifier.cli", "demo"], log, environment)
    wait_until(lambda: "Ctrl-C ends the demo" in log.read_text(), process, log)
    assert "each exactly once" in log.read_text(), log.read_text()
    yield next(word for word in log.read_text().split() if word.startswith("http") and word.endswith("/"))
    stop_group(process, signal.SIGTERM)


def number(tab: Tab, name: str) -> int:
    """One of the counters at the top."""
    return int(tab.run(f"document.getElementById('n-{name}').textContent"))


def drawn(tab: Tab) -> Tab:
    """The page once it has drawn what the demo told it."""
    tab.until("document.getElementById('n-calls').textContent !== '0' && document.querySelector('#mails button')")
    return tab


def test_the_page_shows_events_deliveries_mails_webhooks_and_sms(browse: Open, address: str) -> None:
    # When the page of a demo whose story is told is opened
    tab = drawn(browse(address))

    # Then its counters say that all was sent
    assert number(tab, "events") > 100
    assert number(tab, "sent") == number(tab, "deliveries") > number(tab, "events")
    assert "each exactly once" in tab.run("document.getElementById('says').textContent")

    # And each event shows its deliveries as sent
    tags = tab.run("[...document.querySelectorAll('#events .tag')].map(tag => tag.textContent)")
    assert (len(tags), set(tags)) == (number(tab, "deliveries"), {"sent"})

    # And every mail can be chosen, one of them is shown, and every webhook was verified
    assert tab.run("document.querySelectorAll('#mails button').length") == number(tab, "mails")
    tab.wait(lambda: "Fernhill" in tab.frame_text(), "a mail in the frame")
    verified = tab.run("document.querySelectorAll('#calls .verified').length")
    assert verified == number(tab, "calls") == tab.run("document.querySelectorAll('#calls .tag').length")

    # And every SMS stands there with its number and its text
    messages = tab.run("[...document.querySelectorAll('#messages li')].map(item => item.textContent)")
    assert len(messages) == number(tab, "messages") == 1
    assert messages[0].startswith("+4366012345678 Your parcel waits at")

    # And nothing went wrong on the way
    assert tab.complaints == []


def test_a_mail_is_chosen_and_read_by_keyboard_alone(browse: Open, address: str) -> None:
    # Given the page, with nothing but a keyboard
    tab = drawn(browse(address))
    focused = "document.activeElement.textContent"

    def tab_to(condition: str) -> None:
        for _ in range(40):
            tab.press("Tab")
            if tab.run(condition):
                return
        raise AssertionError(f"40 times Tab never reached {condition}; last: {tab.run(focused)}")

    # When Tab has reached the mail about a password, and Enter is pressed
    tab_to("document.activeElement.matches('#mails button') && document.activeElement.textContent.includes('password')")
    outline = tab.run("getComputedStyle(document.activeElement).outlineStyle")
    tab.press("Enter")

    # Then it was visible where the focus is, the mail is marked as the chosen one, and the frame shows it
    assert outline == "solid"
    chosen = "[...document.querySelectorAll('#mails [aria-current=true]')].map(button => button.textContent)"
    assert tab.run(chosen) == [tab.run(focused)]
    tab.wait(lambda: "password" in tab.frame_text(), "the mail about a password in the frame")

    # And a webhook unfolds the same way
    tab_to("document.activeElement.matches('#calls summary')")
    tab.press("Enter")
    tab.until("document.activeElement.parentElement.open")
    assert '"specversion"' in tab.run("document.activeElement.parentElement.querySelector('pre').textContent")
    assert tab.complaints == []


@pytest.mark.parametrize("dark", [False, True])
def test_every_word_is_readable_in_light_and_dark_and_fits_a_telephone(
    browse: Open, address: str, tmp_path: Path, dark: bool
) -> None:
    tab = drawn(browse(address))

    for width in (1200, 390):
        tab.look(dark=dark, width=width)
        tab.picture(tmp_path / f"{width}.png")

        contrasts = tab.run(CONTRASTS)
        assert len(contrasts) > 50
        assert [(ratio, text) for ratio, text in contrasts if ratio < READABLE] == []
        # Nothing sticks out to the right
        assert tab.run("document.documentElement.scrollWidth") <= width
    is_dark = tab.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(c => c < 80)")
    assert is_dark == dark


HOSTILE = "<script>window.stolen = 1</script><img src=x onerror='window.stolen = 1'>\u202e&lt;"


def hostile_state() -> dict[str, Any]:
    """What the demo would tell if every word of it came from an attacker."""
    delivery = {"status": HOSTILE, "rule": HOSTILE, "channel": HOSTILE, "destination": HOSTILE, "reason": HOSTILE}
    return {
        "says": HOSTILE,
        "events": [{"type": HOSTILE, "key": HOSTILE, "deliveries": [delivery]}],
        "mails": [{"subject": HOSTILE, "to": HOSTILE, "delivery": HOSTILE}],
        "calls": [
            {"delivery": HOSTILE, "verified": True, "body": {"type": HOSTILE}},
            {"delivery": HOSTILE, "verified": False, "body": HOSTILE},
            {"delivery": HOSTILE, "verified": False, "body": None},
        ],
        "messages": [{"to": HOSTILE, "text": HOSTILE, "delivery": HOSTILE}],
    }


@pytest.fixture
def hostile_address() -> Iterator[str]:
    page = Page(hostile_state, lambda _: f"<p>A mail</p>{HOSTILE}<script>parent.stolen = top.stolen = 1</script>")
    yield page.start()
    page.stop()


def test_hostile_words_are_shown_as_words_and_run_nothing(browse: Open, hostile_address: str) -> None:
    # When everything on the page comes from an attacker
    tab = browse(hostile_address)
    tab.until("document.querySelector('#mails button') && document.querySelectorAll('#calls .tag').length === 3")
    tab.wait(lambda: "A mail" in tab.frame_text(), "the mail in the frame")

    # Then every word stands where it belongs, as it is
    subject, says = "#mails button span", "#says"
    message, call = "#messages span", "#calls details:last-child strong"
    for place in (subject, says, message, call, "#events strong", "#events .tag"):
        assert tab.run(f"document.querySelector('{place}').textContent") == HOSTILE

    # And none of it became part of the page or ran, in the page or in the frame
    assert tab.run("document.querySelectorAll('main script, main img, header script, header img').length") == 0
    assert tab.run("window.stolen === undefined")
    # The browser says itself that it stopped the mail's scripts; the page's own have no complaint
    assert [words for words in tab.complaints if "sandboxed" not in words and "Content Security" not in words] == []
