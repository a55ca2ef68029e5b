"""A mail whose styles were written into its elements looks as it did: every computed style of every element."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from notifier.rendering.meter import Meter
from notifier.rendering.styles import StyleInliner
from tests.browser.chromium import Chromium, Tab
from tests.browser.real_mails import real_mails
from tests.servers.processes import ServerMissing

#: Where the inliner alone changed mails: (rules, elements).
CASES = {
    "a later shorthand": ("p{margin:0 1px;margin-top:2px} p{margin:5px}", "<p>x</p>"),
    "a later shorthand of one class": (".a{border-top:1px solid red} .a{border:3px solid blue}", "<p class=a>x</p>"),
    "a shorthand of lower specificity": (".a{border-top:1px solid red} p{border:3px solid blue}", "<p class=a>x</p>"),
    "font before its size": ("p{font:12px Arial} p{font-size:14px} p{font:16px Verdana}", "<p>x</p>"),
    "a fallback": (
        "p{width:100px;width:calc(100px + 2%)} p{background:#fff;background:linear-gradient(red,blue)}",
        "<p>x</p>",
    ),
    "a value that no browser knows": ("p{color:red;color:frobnicate(1)}", "<p>x</p>"),
    "importance": (
        ".a{margin-top:1px!important} .a{margin:3px} p{color:red!important}",
        "<p class=a style='color:blue'>x</p>",
    ),
    "what an element says itself": (
        "p{padding:1px;color:red} .a{top:3px}",
        "<p class=a style='padding-top:9px;color:blue'>x</p>",
    ),
    "order of classes": (".b{color:red} .a{color:blue}", "<p class='a b'>x</p><p class='b a'>y</p>"),
    "specificity": (
        "#i{color:red} p.a.b{color:blue} div p{color:green} p:first-child{color:pink}",
        "<p id=i class='a b'>x</p>",
    ),
    "print": ("", "<style media=print>p{color:red}</style><p>x</p>"),
    "two sheets": ("p{color:red;margin:1px}", "<style>p{color:blue}</style><p>x</p>"),
    "is and where": (":is(p,b){color:red} :where(i){color:blue} b{color:green}", "<p>x<i>y</i></p>"),
    "has": ("div:has(> b){color:red} div{margin:1px}", "<div><b>x</b></div><div>y</div>"),
    "nesting": (".a{color:red; b{color:blue} & i{color:green}} .a{margin:2px}", "<p class=a>x<b>y</b><i>z</i></p>"),
    "pseudo-elements": ("p::before{content:'»'; color:red} p{color:blue}", "<p>x</p>"),
    "capitals": ("P{color:red} P.A{margin:1px} P[TITLE='X']{padding:2px}", "<p class=A title=X>x</p><P>y</P>"),
    "attributes": (
        "p[title~=x]{color:red} a[href$='}']{color:blue} [data-x='a,b']{margin:1px}",
        "<p title='x y'>x<a href='#}'>y</a><b data-x='a,b'>z</b></p>",
    ),
    "places": (
        "li:nth-child(2n+1){color:red} li:not(.a):last-child{color:blue} li + li{margin:3px} ul > li ~ .c{padding:1px}",
        "<ul><li class=a>1<li>2<li class=c>3</ul>",
    ),
    "comments and strings": (
        "/* p{color:red} */ p{color:/**/blue;font-family:'a;b}\"c',serif;background:url(data:,a;b)}",
        "<p>x</p>",
    ),
    "at-rules": (
        "@media screen{p{color:red!important}} @supports (top:0){b{color:blue}} @font-face{} p{color:green}",
        "<p>x<b>y</b></p>",
    ),
    "custom properties": ("p{--gap:7px;margin:var(--gap)} p{--Gap:9px}", "<p>x</p>"),
    "what is broken": ("p{color:red;;color;:;margin:2px} q{ } {color:red} b{color:blue", "<p>x<b>y</b><q>z</q></p>"),
    "Outlook's comments": ("p{color:red}", "<!--[if mso]><style>p{color:blue}</style><![endif]--><p>x</p>"),
}

#: Every property that a rule or an element says, of every element; all 400 of each would take minutes for real mails.
_CHANGED = """((pages) => {
  const shown = (html) => {
    document.open(); document.write(html); document.close();
    const said = (rule) => [...(rule.style || []), ...[...(rule.cssRules || [])].flatMap(said)];
    const elements = [...document.querySelectorAll('html, body, body *')].filter((e) => e.tagName !== 'STYLE');
    const names = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules].flatMap(said));
    return [elements, [...names, ...elements.flatMap((e) => [...(e.style || [])])]];
  };
  const values = (names, elements) => elements.map((e) => ['', '::before'].map((pseudo) => {
    const style = getComputedStyle(e, pseudo || null);
    return names.map((name) => style.getPropertyValue(name));
  }));
  const names = [...new Set(pages.flatMap((page) => shown(page)[1]))];
  const [before, after] = pages.map((page) => values(names, shown(page)[0]));
  if (before.length !== after.length) return [`${before.length} elements became ${after.length}`];
  const found = [];
  before.forEach((element, e) => element.forEach((said, p) => said.forEach((one, n) => {
    if (one !== after[e][p][n]) found.push(`element ${e}: ${names[n]}: ${one} became ${after[e][p][n]}`);
  })));
  return found.slice(0, 5);
})(%s)"""


def _page(rules: str, elements: str) -> str:
    return f"<!DOCTYPE html><html><head><title>x</title><style>{rules}</style></head><body>{elements}</body></html>"


def _changes(tab: Tab, page: str) -> list[str]:
    with Meter():
        inlined = StyleInliner().inlined(page)
    found: list[str] = tab.run(_CHANGED % json.dumps([page, inlined]))
    return found


@pytest.fixture(scope="module")
def tab(chromium: Chromium) -> Iterator[Tab]:
    opened = chromium.open("about:blank#styles")
    yield opened
    opened.close()


@pytest.mark.parametrize("case", CASES)
def test_what_the_inliner_alone_got_wrong_looks_the_same(tab: Tab, case: str) -> None:
    assert _changes(tab, _page(*CASES[case])) == []


def test_real_mails_look_the_same(tab: Tab) -> None:
    # Given the pages of Foundation for Emails, all of whose rules are in <style>
    try:
        mails = real_mails()
    except ServerMissing as missing:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(missing))
    assert len(mails) > 30
    # When the rules are written into the elements, Then no element has changed
    assert {name: changes for name, page in mails.items() if (changes := _changes(tab, page))} == {}
