"""Arithmetic and rounding of exact decimals (`domain.json_text`), which Python rounds to 28 digits in silence.

A number of an event is a `Decimal` only where no float is that number. Beside one, a float counts as what it prints.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import (
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    Inexact,
    InvalidOperation,
    Overflow,
    Subnormal,
)
from typing import Any

from notifier.domain.json_text import MAX_DIGITS
from notifier.rendering.meter import ExhaustedError

_TRAPS = (InvalidOperation, Overflow, Subnormal)
#: Digits of a number that a template makes, written out.
_MOST = 2 * MAX_DIGITS
#: Twice what an event may bring: a sum or product of two is exact, and what is not is an error.
_EXACT = Context(prec=_MOST, Emax=_MOST, Emin=-_MOST, traps=[Inexact, *_TRAPS])
#: For the whole part of a quotient, and for rounding.
_WIDE = Context(prec=2 * _MOST, Emax=2 * _MOST, Emin=-2 * _MOST, traps=[*_TRAPS])
#: Digits of a quotient: what a person reads, as of a double's 17.
_ROUGH = Context(prec=50, Emax=_MOST, Emin=-_MOST, traps=[*_TRAPS])


def calculate(symbol: str, left: Any, right: Any) -> Any:
    """``left symbol right`` of which at least one is a `Decimal`, with the meaning of Python's numbers."""
    try:
        first, second = _decimal(left), _decimal(right)
        if symbol in ("/", "//", "%") and not second:
            raise ZeroDivisionError("division by zero")
        return _OPERATIONS[symbol](first, second)
    except (Inexact, *_TRAPS):
        raise ExhaustedError(f"made a number of more than {_MOST:,} digits") from None


def signed(sign: str, value: Any) -> Any:
    """``-value`` or ``+value``, which of a `Decimal` would round."""
    if type(value) is Decimal:
        return value.copy_negate() if sign == "-" else value
    return -value if sign == "-" else +value


def rounded(value: Decimal, decimals: int) -> Any:
    """As ``round`` of a float: halves to even, and a whole number without decimals."""
    made = value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN, _WIDE)
    return made if decimals else int(made)


def printed(value: Decimal) -> str:
    """All its digits, never an exponent."""
    return f"{value:f}"


def _decimal(value: Any) -> Decimal:
    number = value if type(value) is Decimal else Decimal(repr(value) if type(value) is float else int(value))
    if not number.is_finite():
        raise InvalidOperation
    return number


def _floor_divide(left: Decimal, right: Decimal) -> int:
    return int(_WIDE.divide(left, right).to_integral_value(ROUND_FLOOR))


def _modulo(left: Decimal, right: Decimal) -> Decimal:
    return _EXACT.subtract(left, _EXACT.multiply(Decimal(_floor_divide(left, right)), right))


_OPERATIONS: dict[str, Callable[[Decimal, Decimal], Any]] = {
    "+": _EXACT.add,
    "-": _EXACT.subtract,
    "*": _EXACT.multiply,
    "/": _ROUGH.divide,
    "//": _floor_divide,
    "%": _modulo,
    "**": _ROUGH.power,
}
