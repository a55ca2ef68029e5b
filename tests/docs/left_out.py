"""What of the documents' blocks cannot run here, with the reason and what is done instead: the only such table."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class LeftOut:
    """Lines of shell blocks that are only read by the shell (`bash -n`)."""

    line: str
    """A regular expression of the whole line."""
    because: str


#: Each must leave out at least one line, so that nothing stays here for longer than it is needed.
LINES = (
    LeftOut(
        r"(scripts/make-secrets|docker compose .*|alias notifier='docker compose .*)",
        "needs a container engine; "
        "compose.yaml is checked by its schema and by test_packaging, the verbs run without the alias",
    ),
    LeftOut(r"make (demo|test)\b.*", "a test of its own runs it: tests/acceptance/test_demo.py; this is the other"),
    LeftOut(
        r"(make bench|python -m tests\.bench).*",
        "takes minutes to half an hour and wants the machine for itself; its target and modules are looked for below",
    ),
    LeftOut(
        r"(useradd|install -d|cp docs/|systemctl).*",
        "changes the machine; the units are verified by systemd-analyze below",
    ),
    LeftOut(
        r"(python3\.12 -m venv|/opt/notifier/bin/pip|export PATH=/opt/notifier).*",
        "installs into /opt; test_distributions.py installs the same wheel into an environment of its own",
    ),
    LeftOut(
        r"createdb .*|createuser .*|pip install 'notifier-events\[history\]'|(NOTIFIER_HISTORY_URL=\S+ )?notifier history (init|run).*",
        "needs a PostgreSQL to administrate, and runs until it is stopped; tests/acceptance/test_history.py runs both",
    ),
    LeftOut(r"notifier (demo --check|config docs --check)", "run by test_demo.py and by test_verbs.py"),
    LeftOut(
        r"(export )?NOTIFIER_BROKER_MANAGEMENT_URL=http://rabbitmq:15672( notifier topology (apply|check))? +#.*",
        "the node beside these pages has no management plugin; tests/integration/consumers/test_policies.py has one",
    ),
    LeftOut(r"rabbitmqctl .*", "needs the node's cookie; test_servers.py and test_topology.py say the same to a node"),
)

#: Languages that nothing here can run, and what is done instead.
LANGUAGES = {
    "go": "there is no Go in Debian's packages of the tests; brackets are matched, and its event is published by us",
    "java": "Spring AMQP comes from Maven; brackets are matched, and its event is published by us",
}


def runnable(text: str) -> str:
    """A shell block without the lines that cannot run."""
    return "".join(line for line in text.splitlines(keepends=True) if left_out(line) is None)


def left_out(line: str) -> LeftOut | None:
    """Why this line cannot run, if it cannot."""
    return next((one for one in LINES if re.fullmatch(one.line, line.rstrip("\n"))), None)
