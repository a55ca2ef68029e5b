"""One saved template of many: how long a worker's hub stands still meanwhile, and what the idle watch costs."""

import subprocess
import sys
from pathlib import Path

from tests.bench.scale.curve import Curve

#: Run as its own process, patched as a worker is. Prints the longest lag in milliseconds, and the watch's CPU.
_WORKER = """
from gevent import monkey
monkey.patch_all()
import gc, sys, time
from pathlib import Path
from types import SimpleNamespace
import gevent
from notifier.wiring.content import build_content

root, idle = Path(sys.argv[1]), 10
live = build_content(SimpleNamespace(templates=root), rules_only=True)
gc.collect()
gc.freeze()
began = time.process_time()
gevent.sleep(idle)
cpu = (time.process_time() - began) / idle
lags, first = [0.0], live.current
(root / "order.1" / "email.text.j2").write_text("saved")
while live.current is first:
    began = time.monotonic()
    gevent.sleep(0.001)
    lags.append(time.monotonic() - began - 0.001)
print(max(lags) * 1000, cpu * 1000)
"""
_TEXT = "{% for item in data.items %}{{ item.name }}: {{ item.price }}\n{% endfor %}" * 10


def _measured(size: int, folder: Path) -> tuple[float, float]:
    for number in range(size):
        own = folder / f"order.{number}"
        own.mkdir()
        (own / "email.subject.j2").write_text("Order {{ data.number }}")
        (own / "email.text.j2").write_text(_TEXT)
        (own / "rules.yaml").write_text(
            f"event: order.{number}\ntransactional: true\nrules:\n  - id: one\n    channel: email\n    to: data.email\n"
        )
    done = subprocess.run([sys.executable, "-c", _WORKER, str(folder)], capture_output=True, text=True, check=True)
    lag, cpu = done.stdout.split("\n")[-2].split()
    return float(lag), float(cpu)


CURVES = (
    Curve(
        "reload",
        "longest lag of a worker's hub while one template of so many folders is saved",
        "ms",
        (10, 100, 1_000),
        lambda size, folder: _measured(size, folder)[0],
        50.0,
    ),
    Curve(
        "watch",
        "CPU of the watch over so many folders, of three files each, while nothing changes",
        "CPU-ms/s",
        (10, 100, 1_000),
        lambda size, folder: _measured(size, folder)[1],
        20.0,
    ),
)
