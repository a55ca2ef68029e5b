"""One sample of a metric that has labels, from the page of a process."""

import re
import urllib.request

from tests.acceptance.service import Process


def labelled(process: Process, name: str, label: str, value: str) -> float:
    """The sum of the samples whose label has this value; 0 while there is none."""
    with urllib.request.urlopen(f"http://127.0.0.1:{process.health_port}/metrics", timeout=10) as page:
        text = page.read().decode()
    samples = re.findall(rf"^{name}\{{([^}}]*)\}} (\S+)$", text, re.MULTILINE)
    return sum(float(number) for labels, number in samples if f'{label}="{value}"' in labels)
