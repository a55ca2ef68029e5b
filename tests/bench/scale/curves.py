"""Every curve, by name."""

from tests.bench.scale import digests, endpoints, rules
from tests.bench.scale.curve import Curve

CURVES: dict[str, Curve] = {curve.name: curve for module in (rules, endpoints, digests) for curve in module.CURVES}
