"""Every verb that changes something leaves a line: what, who, when; as the API's calls do."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from notifier.domain.ids import recipient_key
from notifier.settings import Settings
from tests.integration.cli.test_operating import Run, _park, environment, line, run, settings, vhost
from tests.servers.patience import PATIENCE_S, poll

__all__ = ["environment", "line", "run", "settings", "vhost"]

ME = pwd.getpwuid(os.getuid()).pw_name


def test_every_change_leaves_a_line_with_who_asked(run: Run, settings: Settings, tmp_path: Path) -> None:
    # Given a file for audit lines, two parked deliveries and an endpoint
    kept = tmp_path / "audit.log"
    first, second = _park(settings, 2)

    def done(*arguments: str, stdin: str = "") -> str:
        ended = run(*arguments, "--as", "kim", stdin=stdin, NOTIFIER_AUDIT_FILE=str(kept))
        assert ended.returncode == 0, ended.stderr
        assert '"by"' not in ended.stderr
        return ended.stdout

    endpoint = json.loads(done("endpoints", "add", "https://example.com/hooks", "--tenant", "acme", "--json"))["id"]
    key = recipient_key("ann@example.org")
    expected = [{"message": "endpoint.added", "id": endpoint, "tenant": "acme"}]

    # When everything is changed that can be
    for verb, said in {
        "disable": "disabled",
        "enable": "enabled",
        "pause": "paused",
        "resume": "resumed",
        "rotate": "rotated",
    }.items():
        done("endpoints", verb, endpoint)
        if verb == "resume":
            expected.append({"message": "endpoint.resume_begun", "id": endpoint})
        expected.append({"message": f"endpoint.{said}", "id": endpoint, "tenant": "acme"})
    steps: dict[tuple[str, ...], dict[str, object]] = {
        ("endpoints", "remove", endpoint, "--yes"): {"message": "endpoint.removed", "id": endpoint, "tenant": "acme"},
        ("recipients", "set", "user-7", "--email", "ann@example.org"): {
            "message": "recipient.put",
            "id": recipient_key("user-7"),
        },
        ("recipients", "remove", "user-7", "--yes"): {"message": "recipient.removed", "id": recipient_key("user-7")},
        ("suppressions", "add", "ann@example.org"): {"message": "suppression.added", "key": key, "part": "operator"},
        ("suppressions", "remove", "ann@example.org", "--yes"): {
            "message": "suppression.lifted",
            "key": key,
            "parts": ["operator"],
        },
        ("limits", "set", "relay", "100/s"): {"message": "limit.set", "scope": "relay", "rate": "100/s"},
        ("limits", "reset", "relay"): {"message": "limit.reset", "scope": "relay"},
        ("failures", "replay", first, "--yes"): {"message": "failures.replayed", "chosen": 1, "done": 1},
        ("failures", "discard", second, "--yes"): {"message": "failures.discarded", "chosen": 1, "done": 1},
        ("failures", "reindex"): {"message": "failures.reindexed", "found": 0},
        ("recipients", "set", "user-8", "--email", "ann@example.org"): {
            "message": "recipient.put",
            "id": recipient_key("user-8"),
        },
        ("forget", "ann@example.org", "--yes"): {"message": "person.forgotten", "key": key},
    }
    begun: dict[tuple[str, ...], dict[str, object]] = {
        ("failures", "replay"): {"message": "failures.replay_begun", "chosen": 1},
        ("failures", "discard"): {"message": "failures.discard_begun", "chosen": 1},
        ("failures", "reindex"): {"message": "failures.reindex_begun"},
        ("forget", "ann@example.org"): {"message": "person.forget_begun", "key": key},
    }
    for arguments, left in steps.items():
        done(*arguments)
        expected += [*([begun[arguments[:2]]] if arguments[:2] in begun else []), left]

    # Then each has left its line, and one before if it takes steps, in order, by whom it was asked and by whose account
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert all(line.pop("time") and line.pop("logger") == "notifier.audit" for line in lines)
    assert lines == [{"level": "info", **line, "by": "kim", "account": ME} for line in expected]
    assert "example" not in kept.read_text()


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_who_is_killed_halfway_has_left_a_line_before(
    verb: str, settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    # Given three parked deliveries, and an operator who replays or discards them, in a process of their own
    kept = tmp_path / "audit.log"
    _park(settings, 3)
    told = {**environment, "NOTIFIER_AUDIT_FILE": str(kept)}
    slowly = ["--rate", "0.01"] if verb == "replay" else []
    command = [sys.executable, "-m", "notifier.cli", "failures", verb, "--all", "--yes", "--as", "kim", *slowly]
    asked = subprocess.Popen(command, env=told, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    # When it is killed as soon as it has begun
    poll(lambda: kept.exists() and kept.read_text().endswith("\n"), "it has begun")
    asked.kill()
    asked.wait()

    # Then its line says what was wanted, and by whom
    begun = json.loads(kept.read_text().splitlines()[0])
    assert (begun["message"], begun["chosen"], begun["by"]) == (f"failures.{verb}_begun", 3, "kim")


def test_a_step_that_fails_leaves_a_line_with_the_error(
    settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    # Given a parked delivery, and a broker that is not there
    kept = tmp_path / "audit.log"
    _park(settings, 1)
    told = {**environment, "NOTIFIER_AUDIT_FILE": str(kept), "NOTIFIER_BROKER_URL": "amqp://127.0.0.1:1/"}

    # When it is discarded
    command = [sys.executable, "-m", "notifier.cli", "failures", "discard", "--all", "--yes"]
    ended = subprocess.run(command, env=told, capture_output=True, text=True, check=False, timeout=PATIENCE_S)

    # Then it says that it was cut off, and by what
    assert ended.returncode != 0
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [line["message"] for line in lines] == ["failures.discard_begun", "failures.discard_cut_off"]
    assert lines[1]["error"] == "BrokerUnavailable"


def test_without_a_file_or_a_name_the_line_is_on_standard_error_by_the_account(run: Run) -> None:
    done = run("limits", "set", "relay", "100/s", SUDO_USER="")

    line = json.loads(done.stderr)
    assert (line["message"], line["by"], line["account"]) == ("limit.set", ME, ME)


def test_what_changes_nothing_leaves_no_line(run: Run, settings: Settings) -> None:
    _park(settings, 1)

    assert '"by"' not in run("failures", "replay", "--all", "--dry-run").stderr
    assert '"by"' not in run("limits", "reset", "relay").stderr
