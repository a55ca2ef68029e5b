"""Mail servers that were not written here, as people run them: Postfix, and Haraka, which takes nothing behind a final
dot.

More servers and options are in `make matrix`.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator

import dkim
import pytest

from notifier.engine.transaction import Accepted, Rejected
from tests.integration.engine.conftest import Posting
from tests.servers.mail.letters import MAILS, SigningKey, body_of
from tests.servers.mail.machines import ThisMachine
from tests.servers.mail.npm_packages import Haraka
from tests.servers.mail.options import Options, Refusal
from tests.servers.mail.postfix import Postfix
from tests.servers.mail.server import MailServer
from tests.servers.processes import ServerMissing

Making = Callable[..., MailServer]


@pytest.fixture
def making() -> Iterator[Making]:
    """Starts a server with options; missing ones are skipped, but not in continuous integration."""
    made: list[MailServer] = []

    def make(kind: str, options: Options) -> MailServer:
        try:
            server = Haraka(options) if kind == "haraka" else Postfix(options, ThisMachine())
        except ServerMissing as missing:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(missing))
        made.append(server)
        return server

    yield make
    for server in made:
        server.close()


@pytest.mark.parametrize("kind", ["postfix", "haraka"])
def test_every_mail_arrives_once_at_a_real_server(making: Making, posting: Posting, kind: str) -> None:
    # Given a server with its usual settings
    server = making(kind, Options())
    post = posting(server.url, connections=5)

    # When many mails are sent over five connections
    ended = post.send_together(300)

    # Then it took each, and passed each on once
    assert all(isinstance(one, Accepted) for one in ended), Counter(map(repr, ended)).most_common(3)
    assert server.wait_for(300) == Counter(f"r{number}@example.org" for number in range(300))


def test_a_real_server_with_fewer_processes_than_we_have_connections_gets_every_mail(
    making: Making, posting: Posting
) -> None:
    # Given Postfix with two processes
    server = making("postfix", Options(connections=2))
    post = posting(server.url, connections=5)

    # When many mails are sent over up to five connections
    ended = post.send_together(200)

    # Then it took each, and is not thought to be down
    assert all(isinstance(one, Accepted) for one in ended), Counter(map(repr, ended)).most_common(3)
    assert post.relays.states()[0].up


@pytest.mark.parametrize("kind", ["postfix", "haraka"])
def test_recipients_that_a_real_server_refuses_leave_the_others_alone(
    making: Making, posting: Posting, kind: str
) -> None:
    # Given a server that refuses most recipients by a rule of its own
    refusal = Refusal("rcpt", "550 5.7.1 Recipient address rejected: Access denied", "r1")
    server = making(kind, Options(refusals=(refusal,)))
    post = posting(server.url, connections=2)

    # When mails to them and to others are sent
    ended = post.send_together(200)

    # Then those to others have arrived, and the relay is in use
    refused = {number for number in range(200) if str(number).startswith("1")}
    assert {number for number, one in enumerate(ended) if isinstance(one, Rejected)} == refused
    assert server.wait_for(200 - len(refused)).total() == 200 - len(refused)
    assert post.relays.states()[0].up


@pytest.mark.parametrize("kind", ["postfix", "haraka"])
def test_a_signature_is_genuine_behind_a_real_server(making: Making, posting: Posting, kind: str) -> None:
    # Given mails with lines that begin with dots, blanks at their ends, and a subject that is folded
    key = SigningKey()
    server = making(kind, Options())
    post = posting(server.url)
    sent = [key.sign(mail) for mail in MAILS]

    # When they are sent through a server that promises not to change mails
    for number, mail in enumerate(sent):
        assert isinstance(post.send(f"r{number:02}@example.org", mail), Accepted)
    came = sorted(server.sink.wait_for(len(sent)), key=lambda mail: mail.recipients)

    # Then what came out has the same body, byte for byte, and a signature that others find genuine
    assert [body_of(mail.data) for mail in came] == [body_of(mail) for mail in sent]
    assert all(dkim.verify(mail.data, dnsfunc=key.dns) for mail in came)
