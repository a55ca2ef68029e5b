"""Makes the readme's pictures of the demo's page anew: ``.venv/bin/python -m tests.browser.pictures ADDRESS``.

``ADDRESS`` is what ``make demo`` prints. The numbers of the picture's description are printed, for the readme.
"""

import sys
import tempfile
from pathlib import Path

from tests.browser.chromium import Chromium

IMAGES = Path(__file__).parents[2] / "docs" / "images"
COUNTER = "document.getElementById('n-%s').textContent"
COUNTERS = ("events", "deliveries", "sent", "mails", "calls", "messages")


def main(address: str) -> None:
    """Both pictures."""
    with tempfile.TemporaryDirectory() as folder:
        browser = Chromium(Path(folder))
        tab = browser.open(address)
        tab.until("document.getElementById('n-calls').textContent !== '0'")
        tab.wait(lambda: "Fernhill" in tab.frame_text(), "a mail in the frame")
        for name, dark in (("demo-light.png", False), ("demo-dark.png", True)):
            tab.look(dark=dark, width=1200, height=760)
            tab.picture(IMAGES / name)
        for name in COUNTERS:
            sys.stdout.write(f"{name}: {tab.run(COUNTER % name)}\n")
        tab.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
