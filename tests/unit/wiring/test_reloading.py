"""Rules and templates are read again beside a worker's work: on a thread of the kernel, while its hub turns."""

import subprocess
import sys
from pathlib import Path

_WORKER = """
from gevent import monkey
monkey.patch_all()
import sys
from pathlib import Path
from types import SimpleNamespace
import gevent
from notifier.rules.content import Content
from notifier.wiring.content import build_content

root, ident = Path(sys.argv[1]), monkey.get_original("_thread", "get_ident")
load, threads, turns = Content.load, [], []

def seen(*args, **options):
    threads.append(ident())
    if len(threads) > 1:
        # Until the hub has turned: it would never, if it waited for this.
        for _ in range(1000):
            if turns:
                break
            monkey.get_original("time", "sleep")(0.01)
        turns.append("in time" if turns else "too late")
    return load(*args, **options)

Content.load = seen
live = build_content(SimpleNamespace(templates=root), rules_only=True)
first = live.current
(root / "a" / "email.text.j2").write_text("after")
with gevent.Timeout(60):
    while len(threads) < 2:
        gevent.sleep(0.01)
    turns.append("turned")
    while live.current is first:
        gevent.sleep(0.01)
print(threads[0] == ident(), threads[1] == ident(), turns, live.current.renderer.email("a", {}).text)
"""


def test_a_worker_reloads_on_a_native_thread_while_its_hub_turns(tmp_path: Path) -> None:
    # Given a process as a worker is
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "email.subject.j2").write_text("Hello")
    (tmp_path / "a" / "email.text.j2").write_text("before")

    # When a template is saved
    done = subprocess.run(
        [sys.executable, "-c", _WORKER, str(tmp_path)], capture_output=True, text=True, check=True, timeout=120
    )

    # Then only the first load ran on the hub's thread
    assert done.stdout.split("\n")[-2] == "True False ['turned', 'in time'] after"
