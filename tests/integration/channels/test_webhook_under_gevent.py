"""Webhooks from a process whose sockets, threads and TLS gevent has replaced, as in a worker."""

import json
import subprocess
import sys
from pathlib import Path

from notifier.engine.bridge import LIBUV_THREADS
from tests.servers.certificates import Certificate
from tests.servers.http import HttpSink
from tests.servers.patience import PATIENCE_S


def test_greenlets_send_webhooks_and_no_connection_is_left_open(
    http_sink: HttpSink, https_sink: HttpSink, certificate: Certificate
) -> None:
    # Given an endpoint that answers, one that drops connections, a name to be looked up, and one behind TLS
    http_sink.drop("/drop")
    urls = [
        f"{http_sink.url}/hook",
        f"{http_sink.url}/drop",
        f"http://localhost:{http_sink.port}/named",
        f"{https_sink.url}/hook",
    ]

    # When greenlets of a patched process send to each of them
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("patched_sender.py")), "40", str(certificate.certificate), *urls],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    # Then each got its answer, other greenlets ran meanwhile, and every socket was closed
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [report["answers"][url] for url in urls] == [
        {"Reply 204": 40},
        {"Failure connection": 40},
        {"Reply 204": 40},
        {"Reply 204": 40},
    ]
    assert report["left_open"] <= 0
    assert report["ticks"] > 1
    assert "Traceback" not in done.stderr

    # And the loop had threads enough that a few names with silent servers do not stall every other look-up
    assert report["threads"] > LIBUV_THREADS
