"""OpenSMTPD, which closes its ears after some mails of a connection and has filters for each phase."""

from typing import ClassVar

from tests.servers.mail.machines import Layer
from tests.servers.mail.options import Phase, Refusal
from tests.servers.mail.server import MailServer

LAYER = Layer("opensmtpd", ("opensmtpd", "ca-certificates"))
_FILTERED: dict[Phase, str] = {"connect": "connect", "helo": "ehlo", "mail": "mail-from", "rcpt": "rcpt-to"}


class OpenSmtpd(MailServer):
    """OpenSMTPD's portable version."""

    name: ClassVar[str] = "opensmtpd"
    offers: ClassVar[tuple[str, ...]] = (
        "mails_per_connection", "size", "login", "certificate", "refusals",
    )  # fmt: skip

    phases: ClassVar[tuple[Phase, ...]] = ("connect", "helo", "mail", "rcpt")

    @property
    def version(self) -> str:
        return LAYER.run(["dpkg-query", "-Wf", "${Version}", "opensmtpd"], self.directory).split("-")[0]

    def configure(self) -> None:
        (self.directory / "smtpd.conf").write_text("\n".join(self._lines()) + "\n")
        (self.directory / "smtpd.conf").chmod(0o644)

    def command(self) -> list[str]:
        # It wants its files to be root's alone, and a queue with the owners that Debian's package made.
        script = f"cp {self.directory}/smtpd.conf /etc/smtpd.conf; {self._secrets()} exec /usr/sbin/smtpd -d"
        return LAYER.command(["sh", "-c", script], self.directory)

    def _secrets(self) -> str:
        steps = []
        if self.options.login:
            user, secret = self.options.login
            steps.append(f'echo "{user} $(smtpctl encrypt {secret})" > /etc/smtpd.secrets; ')
            steps.append("chown opensmtpd /etc/smtpd.secrets; chmod 600 /etc/smtpd.secrets; ")
        if self.options.certificate:
            steps.append(f"cp {self.options.certificate.key} /etc/smtpd.key; chmod 600 /etc/smtpd.key; ")
        return "".join(steps)

    def _lines(self) -> list[str]:
        options = self.options
        refusals = options.refusals
        lines = [f'smtp max-message-size "{options.size}"'] if options.size is not None else []
        if options.mails_per_connection is not None:
            lines.append(f"smtp limit max-mails {options.mails_per_connection}")
        if options.certificate is not None:
            lines.append(f'pki mail.test cert "{options.certificate.certificate}"')
            lines.append('pki mail.test key "/etc/smtpd.key"')
        if options.login:
            lines.append("table secrets file:/etc/smtpd.secrets")
        lines += [_filter(number, refusal) for number, refusal in enumerate(refusals)]
        listen = f"listen on 127.0.0.1 port {self.port} hostname mail.test"
        if options.certificate is not None:
            listen += " tls pki mail.test"
        if options.login:
            listen += " auth <secrets>"
        if refusals:
            names = ", ".join(f'"f{number}"' for number in range(len(refusals)))
            lines.append(f'filter "all" chain {{ {names} }}')
            listen += ' filter "all"'
        lines.append(listen)
        # Its courtesy towards strange hosts; the sink is none.
        lines += [f"mta limit conn-delay-{what} 0" for what in ("relay", "domain", "host", "route", "source")]
        lines.append(f'action "sink" relay host smtp://127.0.0.1:{self.sink.port}')
        lines.append('match from any for any action "sink"')
        return lines


def _filter(number: int, refusal: Refusal) -> str:
    phase = _FILTERED[refusal.phase]
    table = {"connect": "rdns", "ehlo": "helo"}.get(phase, phase)
    matched = f'{table} regex {{ "{refusal.containing or ".*"}" }}'
    return f'filter "f{number}" phase {phase} match {matched} reject "{refusal.reply}"'
