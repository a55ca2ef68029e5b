"""Style sheets are taken apart: what elements can say in which order, and what stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.rendering.meter import Meter
from notifier.rendering.styles import StyleInliner, staying_rules
from notifier.rendering.stylesheets import read_sheet, specificity


def inlined(rules: str, body: str = "<p class=a>x</p>", head: str = "") -> str:
    with Meter():
        return StyleInliner().inlined(f"<html><head>{head}<style>{rules}</style></head><body>{body}</body></html>")


@pytest.mark.parametrize(
    ("selector", "weight"),
    [
        ("*", (0, 0, 0)),
        ("p", (0, 0, 1)),
        ("ul ol + li.red", (0, 1, 3)),
        ("#i.a.b[title='#x .y']", (1, 3, 0)),
        ("a:not(.q):first-child", (0, 2, 1)),
        ("li:nth-child(2n+1)", (0, 1, 1)),
        (".a\\:b", (0, 1, 0)),
        *((name, None) for name in ("a:hover", "p::before", ":is(a, b)", "div:has(p)", "a:not(b, c)", "x|y", "")),
    ],
)
def test_specificity_is_counted_as_selectors_level_4_says(selector: str, weight: tuple[int, int, int] | None) -> None:
    assert specificity(selector) == weight


@pytest.mark.parametrize(
    ("rules", "style"),
    [
        ("p{margin:0 1px;margin-top:2px} p{margin:5px}", "margin-top: 2px;margin: 5px;"),
        (
            "p{background:#fff;background:linear-gradient(red,blue)}",
            "background: #fff;background: linear-gradient(red,blue);",
        ),
        ("p{color:red} p{color:blue}", "color: blue;"),
        ("p{color:red} p{color:rgb(0 0 0/1)}", "color: red;color: rgb(0 0 0/1);"),
        (".a{color:red} p{color:blue}", "color: red;"),
        ("p{color:red!important} .a{color:blue}", "color: red !important;"),
        ("p{font-family:'A', \"B\"}", "font-family: 'A', &quot;B&quot;;"),
    ],
)
def test_what_an_element_says_is_what_the_cascade_gives_it(rules: str, style: str) -> None:
    assert f'<p class="a" style="{style}">x</p>' in inlined(rules)


def test_rules_for_other_media_and_those_no_element_can_say_stay(caplog: pytest.LogCaptureFixture) -> None:
    # Given a sheet for printers, and rules for moments and places that no element knows
    html = inlined(
        "a:hover, p{color:red} @media (max-width: 9px){p{top:0}} :is(b,i){left:0}",
        head="<style media=print>p{right:0}</style>",
    )

    # Then the printer's stays as it was, and so do they, without the part that was written
    assert '<style media="print" data-css-inline="ignore">p{right:0}</style>' in html
    assert "a:hover{color:red}" in html
    assert "@media (max-width: 9px){p{top:0}}" in html
    assert '<p class="a" style="color: red;">x</p>' in html
    assert staying_rules(html) == ("a:hover", ":is(b,i)"), caplog.text


def test_a_style_that_is_ignored_stays_beside_one_that_is_not() -> None:
    kept = '<style data-css-inline="ignore">p{right:0}</style>'
    html = inlined("p{left:0}", head=kept)
    assert kept in html
    assert '<p class="a" style="left: 0;">x</p>' in html


@given(st.text("ab{};:,.#'\"/*\\()[]!@ \n-", max_size=60))
def test_any_sheet_is_read_and_loses_no_rule_silently(source: str) -> None:
    sheet = read_sheet(source)
    assert all(f"--ntf-{place}:0" in sheet.marks for place in range(len(sheet.declarations)))
    inlined(source.replace("<", ""))
