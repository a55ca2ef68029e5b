"""``python -m tests.bench.pressure.lister_process PORT COUNT PATH``: so many that list a path without pause.

Each follows the pages again and again, as a script of an operator does, until SIGTERM. A process of its own: reading
the pages beside whoever measures would be measured too. Prints a line when each has had its first page.
"""

import contextlib
import http.client
import json
import os
import sys
import threading

from tests.acceptance.service import ADMIN_TOKEN
from tests.servers.patience import PATIENCE_S


def follow(port: int, path: str, begun: threading.Barrier) -> None:
    """One client; waits for the others after its first page."""
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        after, is_new = "", True
        while True:
            connection.request("GET", f"{path}?limit=500&after={after}", headers=headers)
            answer = connection.getresponse()
            page = json.loads(answer.read())
            assert answer.status == 200, page
            after = page["next"] if isinstance(page, dict) else ""
            if is_new:
                is_new = False
                begun.wait()


def main() -> None:
    """All of them."""
    port, count, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    begun = threading.Barrier(count + 1)
    for _ in range(count):
        threading.Thread(target=follow, args=(port, path, begun), daemon=True).start()
    begun.wait()
    os.write(1, b"listing\n")
    threading.Event().wait()


if __name__ == "__main__":
    main()
