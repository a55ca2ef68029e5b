"""Every curve, by name. A module is imported only where it is measured: an earlier build may lack what it needs."""

from collections.abc import Iterator
from importlib import import_module

from tests.bench.scale.curve import Curve

#: Modules of this package with ``CURVES``, in the order they are printed.
MODULES = (
    "rules",
    "endpoints",
    "changes",
    "reload",
    "digests",
    "delays",
    "parked",
    "forget",
    "imports",
    "pages",
    "history",
)


def curves_in(module: str) -> dict[str, Curve]:
    """Those of one module, by name."""
    return {curve.name: curve for curve in import_module(f"tests.bench.scale.{module}").CURVES}


def all_curves() -> Iterator[tuple[str, Curve]]:
    """Module and curve."""
    for module in MODULES:
        for curve in curves_in(module).values():
            yield module, curve
