"""Numbers, money and moments for people: `number`, `money`, `date`, `time`, `datetime`, `plural`.

English and German are built in, other languages get ISO dates and English numbers: honest and readable everywhere.
Babel would know all of them, but costs 30 MB and 20-60 µs a value.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

from notifier.domain.json_text import MAX_DIGITS
from notifier.domain.moment import read_moment
from notifier.rendering.meter import RefusedError, current
from notifier.rendering.operators import text_of
from notifier.rendering.registry import deep
from notifier.rendering.values import describe
from notifier.zones import find_zone

_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
}
_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹", "CNY": "CN¥", "KRW": "₩", "BRL": "R$"}
_WHOLE = frozenset({"JPY", "KRW", "CLP", "VND", "ISK", "HUF"})
#: A no-break space: an amount never stands on two lines.
_NBSP = "\u00a0"


def language() -> str:
    """The language of the texts being rendered: ``de`` for ``de-AT``, English for the default."""
    return current().locale.split("-")[0] or "en"


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise RefusedError(f"expected a number, not {describe(value)}")
    try:
        number = Decimal(value) if isinstance(value, int | Decimal) else Decimal(str(value)[: MAX_DIGITS + 1])
    except InvalidOperation:
        raise RefusedError("expected a number, not another text") from None
    exponent = number.as_tuple().exponent
    digits = max(abs(number.adjusted()), abs(exponent)) if isinstance(exponent, int) else MAX_DIGITS
    if digits >= MAX_DIGITS:
        raise RefusedError(f"the number is not finite or has {MAX_DIGITS} digits or more")
    return number


def _grouped(value: Any, decimals: int | None, tongue: str) -> str:
    number = _decimal(value)
    if decimals is not None:
        if not 0 <= decimals <= 15:
            raise RefusedError("0 to 15 decimals can be shown")
        number = number.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _WIDE)
    text = f"{number:,f}"
    return text.translate({44: ".", 46: ","}) if tongue == "de" else text


#: Characters that Python's reader of ISO 8601 is given.
_LONGEST = 40
#: Digits while rounding; the default 28 would refuse large exact amounts.
_WIDE = Context(prec=2 * MAX_DIGITS)


@deep("number")
def _number(value: Any, decimals: int | None = None) -> str:
    """``1,234.5`` (de: ``1.234,5``); ``decimals`` rounds half up."""
    return _grouped(value, decimals, language())


@deep("money")
def _money(value: Any, currency: str = "") -> str:
    """``€1,234.50`` (de: ``1.234,50 €``) from an amount in whole units; unknown currencies keep their code."""
    tongue = language()
    if not isinstance(currency, str) or len(currency) > 8:
        raise RefusedError("money needs a currency code such as 'EUR'")
    amount = _grouped(value, 0 if currency in _WHOLE else 2, tongue)
    symbol = _SYMBOLS.get(currency, currency)
    if not symbol:
        return amount
    if tongue == "de":
        return f"{amount}{_NBSP}{symbol}"
    sign, digits = ("-", amount[1:]) if amount.startswith("-") else ("", amount)
    return f"{sign}{symbol}{digits}" if currency in _SYMBOLS else f"{sign}{symbol}{_NBSP}{digits}"


@deep("date")
def _date(value: Any, tz: str = "") -> str:
    """``21 November 2026`` (de: ``21. November 2026``, others: ``2026-11-21``)."""
    return _day(_moment(value, tz), language())


@deep("time")
def _time(value: Any, tz: str = "") -> str:
    """``16:05``."""
    return f"{_moment(value, tz):%H:%M}"


@deep("datetime")
def _datetime(value: Any, tz: str = "") -> str:
    """``21 November 2026, 16:05 CET``: always with its zone, because a mail is read anywhere."""
    moment = _moment(value, tz)
    return f"{_day(moment, language())}, {moment:%H:%M %Z}".rstrip()


def _day(moment: datetime, tongue: str) -> str:
    months = _MONTHS.get(tongue)
    if months is None:
        return f"{moment:%Y-%m-%d}"
    return f"{moment.day}{'.' if tongue == 'de' else ''} {months.split()[moment.month - 1]} {moment.year}"


def _moment(value: Any, tz: str) -> datetime:
    if isinstance(value, str):
        moment = _parsed(value)
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool) and -(2**37) < value < 2**37:
        moment = datetime.fromtimestamp(float(value), UTC)
    else:
        raise RefusedError(f"expected an ISO 8601 date or Unix seconds, not {describe(value)}")
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(_zone(tz) if tz else _recipient_zone())
    except OverflowError:
        return moment


def _parsed(value: str) -> datetime:
    if len(value) > _LONGEST:  # cut, it would lose its offset, and be taken for a local time
        return _parsed_as_attribute(value)
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return _parsed_as_attribute(value)


def _parsed_as_attribute(value: str) -> datetime:
    """What CloudEvents takes and Python does not: a leap second, small letters, more decimals than 40 characters."""
    try:
        return read_moment(value)
    except ValueError:
        raise RefusedError("expected an ISO 8601 date such as 2026-11-21T16:05:00Z, not another text") from None


def _recipient_zone() -> tzinfo:
    """The recipient's own zone; a wrong one is data, not a template's mistake, so the mail goes out in UTC."""
    try:
        return _zone(current().timezone or "UTC")
    except RefusedError:
        return _zone("UTC")


def _zone(name: Any) -> tzinfo:
    if not isinstance(name, str):
        raise RefusedError(f"expected the name of a time zone such as Europe/Vienna, not {describe(name)}")
    try:
        return find_zone(name)
    except ValueError:
        # Without the name, which may be a value of the data; the line of the template is told.
        raise RefusedError("there is no such time zone in the tz database; one is Europe/Vienna") from None


@deep("plural")
def _plural(value: Any, one: str, many: str) -> str:
    """``{{ n | plural('item', 'items') }}`` gives ``1 item`` or ``3 items``."""
    number = _decimal(value)
    return f"{text_of(value)} {one if number == 1 else many}"
