"""Every curve, by name."""

from tests.bench.scale import changes, digests, endpoints, forget, imports, rules
from tests.bench.scale.curve import Curve

CURVES: dict[str, Curve] = {
    curve.name: curve for module in (rules, endpoints, changes, digests, forget, imports) for curve in module.CURVES
}
