"""Postfix: the one that is installed here, or Debian's newer one from a layer; with postgrey as its policy service."""

from typing import ClassVar

from tests.servers.mail.machines import Layer, ThisMachine
from tests.servers.mail.options import NotOffered, Options, Phase, Refusal
from tests.servers.mail.sasl import REALM, sasl_password, sasl_settings
from tests.servers.mail.server import MailServer
from tests.servers.ports import free_port
from tests.servers.processes import find_binary

NEWER = Layer("postfix", ("postfix", "postgrey", "sasl2-bin", "libsasl2-modules"))
_PHASES: dict[Phase, str] = {
    "connect": "smtpd_client_restrictions",
    "helo": "smtpd_helo_restrictions",
    "mail": "smtpd_sender_restrictions",
    "rcpt": "smtpd_recipient_restrictions",
    "dot": "header_checks",
}
_ACCESS: dict[Phase, str] = {"connect": "client", "helo": "helo", "mail": "sender", "rcpt": "recipient"}


class Postfix(MailServer):
    """Postfix with a configuration of its own; ``machine`` says which."""

    name: ClassVar[str] = "postfix"
    offers: ClassVar[tuple[str, ...]] = (
        "connections", "size", "smtputf8", "login", "certificate", "greylist_s", "refusals",
    )  # fmt: skip

    def __init__(self, options: Options = Options(), machine: ThisMachine | Layer = NEWER) -> None:  # noqa: B008
        self._machine = machine
        if isinstance(machine, ThisMachine):
            find_binary("/usr/sbin/postfix", install="scripts/install-servers (apt-get install postfix)")
            if options.login:
                raise NotOffered("what makes logins for it is installed only in the layer")
        self._policy_port = free_port()
        super().__init__(options)

    @property
    def version(self) -> str:
        return self._machine.run(["/usr/sbin/postconf", "-dh", "mail_version"], self.directory).strip()

    def configure(self) -> None:
        (self.directory / "config").mkdir()
        (self.directory / "data").mkdir()
        (self.directory / "queue").mkdir()
        self._write("main.cf", "".join(f"{name} = {value}\n" for name, value in self._settings().items()))
        self._write("master.cf", "\n".join(self._services()) + "\n")
        for phase in _PHASES:
            self._write(f"{phase}.regexp", "".join(map(_row, self._refused(phase))))
        if self.options.login:
            self._write("smtpd.conf", sasl_settings(f"{self.directory}/data/sasldb2"))

    def command(self) -> list[str]:
        script = f"chown postfix {self.directory}/data; "
        if self.options.login:
            database = f"{self.directory}/data/sasldb2"
            script += f"{sasl_password(self.options.login, database)}; chown postfix {database}; "
        if self.options.greylist_s is not None:
            script += (
                f"mkdir -p {self.directory}/postgrey; chown postgrey {self.directory}/postgrey; "
                f"postgrey --inet=127.0.0.1:{self._policy_port} --delay={self.options.greylist_s} "
                f"--dbdir={self.directory}/postgrey & "
            )
        return self._machine.command(
            ["sh", "-c", script + f"exec /usr/sbin/postfix -c {self.directory}/config start-fg"], self.directory
        )

    def _write(self, name: str, text: str) -> None:
        (self.directory / "config" / name).write_text(text)

    def _refused(self, phase: Phase) -> list[Refusal]:
        return [refusal for refusal in self.options.refusals if refusal.phase == phase]

    def _settings(self) -> dict[str, str]:
        options = self.options
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": f"{self.directory}/queue",
            "data_directory": f"{self.directory}/data",
            "maillog_file": "/dev/stdout",
            "myhostname": "mail.test",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "relayhost": f"[127.0.0.1]:{self.sink.port}",
            "alias_maps": "",
            "alias_database": "",
            "smtp_tls_security_level": "none",
            # The sink is no host of its own for Postfix, which would otherwise open two connections a second.
            "smtp_destination_concurrency_limit": "5",
            "smtp_destination_recipient_limit": "1",
            "smtpd_delay_reject": "no",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
        }
        if options.size is not None:
            settings |= {"message_size_limit": str(options.size)}
        if options.smtputf8 is not None:
            settings |= {"smtputf8_enable": "yes" if options.smtputf8 else "no"}
        settings |= self._access_settings()
        for phase, restrictions in _PHASES.items():
            if self._refused(phase):
                table = f"regexp:{self.directory}/config/{phase}.regexp"
                settings[restrictions] = table if phase == "dot" else f"check_{_ACCESS[phase]}_access {table}"
        if self._refused("dot"):
            # Its cleanup counts mails that it refuses itself as arrived and never as delivered, and soon waits a second
            # before each further one. What it does to others is Postfix's, not ours to measure.
            settings["in_flow_delay"] = "0s"
        if options.greylist_s is not None:
            settings["smtpd_recipient_restrictions"] = f"check_policy_service inet:127.0.0.1:{self._policy_port}"
        return settings

    def _access_settings(self) -> dict[str, str]:
        settings: dict[str, str] = {}
        if self.options.certificate is not None:
            settings |= {
                "smtpd_tls_security_level": "may",
                "smtpd_tls_cert_file": str(self.options.certificate.certificate),
                "smtpd_tls_key_file": str(self.options.certificate.key),
            }
        if self.options.login:
            settings |= {
                "smtpd_sasl_auth_enable": "yes",
                "cyrus_sasl_config_path": f"{self.directory}/config",
                "smtpd_sasl_local_domain": REALM,
                "smtpd_tls_auth_only": "yes",
                "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
            }
        return settings

    def _services(self) -> list[str]:
        """master.cf without what listens elsewhere; no chroot, since its files would have to be copied there."""
        processes = self.options.connections if self.options.connections is not None else "-"
        return [
            f"127.0.0.1:{self.port} inet n - n - {processes} smtpd",
            "cleanup unix n - n - 0 cleanup",
            "qmgr unix n - n 300 1 qmgr",
            "tlsmgr unix - - n 1000? 1 tlsmgr",
            "rewrite unix - - n - - trivial-rewrite",
            "bounce unix - - n - 0 bounce",
            "defer unix - - n - 0 bounce",
            "trace unix - - n - 0 bounce",
            "verify unix - - n - 1 verify",
            "flush unix n - n 1000? 0 flush",
            "proxymap unix - - n - - proxymap",
            "proxywrite unix - - n - 1 proxymap",
            "smtp unix - - n - - smtp",
            "error unix - - n - - error",
            "retry unix - - n - - error",
            "discard unix - - n - - discard",
            "anvil unix - - n - 1 anvil",
            "scache unix - - n - 1 scache",
            "postlog unix-dgram n - n - 1 postlogd",
            "pickup unix n - n 60 1 pickup",
            "showq unix n - n - - showq",
        ]


def _row(refusal: Refusal) -> str:
    """A line of an access table (access(5)) or of header_checks(5)."""
    if refusal.phase == "dot":
        return f"/^Subject:.*{refusal.containing}/ REJECT {refusal.enhanced} {refusal.words}\n"
    return f"/{refusal.containing}/ {refusal.reply}\n"
