"""Every curve, by name."""

from tests.bench.scale import rules
from tests.bench.scale.curve import Curve

CURVES: dict[str, Curve] = {curve.name: curve for module in (rules,) for curve in module.CURVES}
