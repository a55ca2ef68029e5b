"""What all mail servers of the tests have in common: a greeting to wait for, a sink behind them, and an end."""

import shutil
import signal
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from tests.servers.certificates import Certificate
from tests.servers.mail.options import Options, Phase, known
from tests.servers.patience import PATIENCE_S
from tests.servers.ports import free_port
from tests.servers.processes import start, stop_group, wait_until
from tests.servers.smtp import SmtpSink


class MailServer(ABC):
    """One server on a loopback port, which passes all that it accepts on to `sink`."""

    name: ClassVar[str]
    offers: ClassVar[tuple[str, ...]] = ()
    """The options it can be configured with."""
    phases: ClassVar[tuple[Phase, ...]] = ("connect", "helo", "mail", "rcpt", "dot")
    """Where its configuration can refuse."""

    def __init__(self, options: Options = Options()) -> None:  # noqa: B008  # frozen
        # Servers run as users of their own; the folders that pytest makes, and closes again, are for one user.
        self.directory = Path(tempfile.mkdtemp(prefix=f"notifier-test-{self.name}-"))
        self.directory.chmod(0o755)
        self.options = self._within_reach(known(self.name, options, *self.offers))
        self.log = self.directory / "server.log"
        self.port = free_port()
        self.sink = SmtpSink()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.configure()
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """The address in the form that settings take."""
        user = "{}:{}@".format(*self.options.login) if self.options.login else ""
        return f"{'smtp' if self.options.certificate else 'smtp+plain'}://{user}127.0.0.1:{self.port}"

    @property
    @abstractmethod
    def version(self) -> str:
        """As the server says it."""

    @abstractmethod
    def configure(self) -> None:
        """Writes its files."""

    @abstractmethod
    def command(self) -> list[str]:
        """Runs it in the foreground."""

    def environment(self) -> Mapping[str, str] | None:
        """Variables of its process; None for those of the tests."""
        return None

    def start(self) -> None:
        """Starts it and waits for its greeting."""
        self._process = start(self.command(), self.log, self.environment())
        wait_until(self._greets, self._process, self.log)

    def stop(self) -> None:
        """Ends it and all its children; what it has not passed on stays in its queue."""
        if self._process is not None:
            stop_group(self._process, signal.SIGKILL)
            self._process = None

    def start_anew(self, options: Options) -> None:
        """Ends it and starts it on the same port with other options and nothing in its queue."""
        self.stop()
        for path in self.directory.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.options = self._within_reach(known(self.name, options, *self.offers))
        self.configure()
        self.start()

    def close(self) -> None:
        """Ends it and its sink, and removes its folder."""
        self.stop()
        self.sink.close()
        shutil.rmtree(self.directory)

    def wait_for(self, count: int, timeout: float = PATIENCE_S) -> Counter[str]:
        """How often each recipient's mail came through, as soon as so many have."""
        mails = self.sink.wait_for(count, timeout)
        return Counter(recipient for mail in mails for recipient in mail.recipients)

    def _within_reach(self, options: Options) -> Options:
        """The certificate where the server and its users can read it."""
        if options.certificate is None:
            return options
        copied = Certificate(self.directory / "server.pem", self.directory / "server.key")
        shutil.copy(options.certificate.certificate, copied.certificate)
        shutil.copy(options.certificate.key, copied.key)
        copied.key.chmod(0o644)
        return replace(options, certificate=copied)

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as client:
                client.settimeout(10)
                greeting = client.recv(1)
                client.sendall(b"QUIT\r\n")
        except OSError:
            return False
        return greeting in {b"2", b"5", b"4"}
