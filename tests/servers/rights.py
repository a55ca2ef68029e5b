"""The users that docs/operations/security.md tells operators to make, read from that page: it is what is tried."""

import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "operations" / "security.md"
#: Stands in the page where everybody writes a password of their own.
PLACEHOLDER = "PASSWORD"
PASSWORD = "the-password-of-a-role"
#: Role → user, as the page names them.
PUBLISHER, API, CONSUMER, WORKER, BEAT, OPERATOR = (
    "shop",
    "notifier-api",
    "notifier-consumer",
    "notifier-worker",
    "notifier-beat",
    "notifier-operator",
)
HISTORY = "notifier-history"


@dataclass(frozen=True, slots=True)
class BrokerRights:
    """What a user may do in the service's virtual host: three regular expressions."""

    user: str
    configure: str
    write: str
    read: str


@cache
def broker_rights() -> tuple[BrokerRights, ...]:
    """What the page's commands say to RabbitMQ, run by a shell that has another `rabbitmqctl`."""
    (block,) = [block for block in _blocks("sh") if "set_permissions" in block]
    script = 'rabbitmqctl() { printf "%s\\n" "$@" END; }\n' + block
    words = subprocess.run(["sh", "-eu"], input=script, capture_output=True, text=True, check=True).stdout
    # set_permissions -p notifier USER CONFIGURE WRITE READ
    rights = tuple(BrokerRights(*command.split("\n")[3:7]) for command in words.split("END\n")[:-1])
    assert {one.user for one in rights} == {PUBLISHER, API, CONSUMER, WORKER, BEAT, OPERATOR}
    return rights


def redis_users() -> list[str]:
    """The `user …` lines of the page, as they stand in redis.conf."""
    (block,) = [block for block in _blocks("acl") if "user notifier-" in block]
    lines = [line.replace(PLACEHOLDER, PASSWORD) for line in block.splitlines() if line.startswith("user notifier-")]
    assert {line.split()[1] for line in lines} == {API, CONSUMER, WORKER, BEAT, OPERATOR, HISTORY}
    return lines


def as_user(url: str, user: str) -> str:
    """An address with one of these users in it."""
    return re.sub(r"//(?:[^@/]*@)?", f"//{user}:{PASSWORD}@", url)


def _blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [block for named, block in found if named == language]
