"""Sendmail, whose daemon counts its children and takes no connection more than it may have."""

from typing import ClassVar

from tests.servers.mail.machines import Layer
from tests.servers.mail.options import Phase, Refusal
from tests.servers.mail.server import MailServer

LAYER = Layer("sendmail", ("sendmail-bin", "sendmail-cf", "m4"))
_TAGS: dict[Phase, str] = {"connect": "Connect", "mail": "From", "rcpt": "To"}


class Sendmail(MailServer):
    """Sendmail with a configuration made by its own macros."""

    name: ClassVar[str] = "sendmail"
    offers: ClassVar[tuple[str, ...]] = ("connections", "size", "certificate", "refusals")
    phases: ClassVar[tuple[Phase, ...]] = ("connect", "mail", "rcpt")

    @property
    def version(self) -> str:
        return LAYER.run(["dpkg-query", "-Wf", "${Version}", "sendmail-bin"], self.directory).split("-")[0]

    def configure(self) -> None:
        (self.directory / "our.mc").write_text("\n".join(self._lines()) + "\n")
        (self.directory / "access").write_text("Connect:127.0.0.1\tRELAY\n" + "".join(map(_row, self.options.refusals)))
        (self.directory / "queue").mkdir()

    def command(self) -> list[str]:
        steps = (
            f"cd {self.directory}",
            "m4 our.mc > /etc/mail/sendmail.cf",
            "makemap -C /etc/mail/sendmail.cf hash /etc/access < access",
            ": > /etc/mail/local-host-names",
            "chmod 700 queue",
            "exec /usr/sbin/sendmail -bD -q2s -OQueueDirectory=$PWD/queue -OPidFile=/run/sendmail.pid",
        )
        return LAYER.command(["sh", "-c", "; ".join(steps)], self.directory)

    def _lines(self) -> list[str]:
        options = self.options
        lines = [
            "define(`_USE_ETC_MAIL_')dnl",
            "include(`/usr/share/sendmail/cf/m4/cf.m4')dnl",
            "OSTYPE(`debian')dnl",
            "undefine(`confHOST_STATUS_DIRECTORY')dnl",
            "define(`confDOMAIN_NAME', `mail.test')dnl",
            "FEATURE(`no_default_msa')dnl",
            f"DAEMON_OPTIONS(`Family=inet, Name=MTA, Port={self.port}, Addr=127.0.0.1')dnl",
            f"define(`RELAY_MAILER_ARGS', `TCP $h {self.sink.port}')dnl",
            f"define(`ESMTP_MAILER_ARGS', `TCP $h {self.sink.port}')dnl",
            "define(`SMART_HOST', `[127.0.0.1]')dnl",
            "define(`confTRY_NULL_MX_LIST', `True')dnl",
            "define(`confDONT_PROBE_INTERFACES', `True')dnl",
            "define(`confREFUSE_LA', `100')dnl",
            "define(`confQUEUE_LA', `100')dnl",
            "FEATURE(`access_db', `hash -T<TMPF> /etc/access')dnl",
            "FEATURE(`accept_unqualified_senders')dnl",
            "FEATURE(`accept_unresolvable_domains')dnl",
            "FEATURE(`nocanonify')dnl",
            # Names of this network are nobody's: no look-up of a name can say more than its brackets.
            "define(`confSERVICE_SWITCH_FILE', `/etc/mail/service.switch-nodns')dnl",
        ]
        if options.connections is not None:
            lines.append(f"define(`confMAX_DAEMON_CHILDREN', `{options.connections}')dnl")
        if options.size is not None:
            lines.append(f"define(`confMAX_MESSAGE_SIZE', `{options.size}')dnl")
        if options.certificate is not None:
            lines.append(f"define(`confSERVER_CERT', `{options.certificate.certificate}')dnl")
            lines.append(f"define(`confSERVER_KEY', `{options.certificate.key}')dnl")
        if any(refusal.phase == "rcpt" for refusal in options.refusals):
            lines.append("FEATURE(`blocklist_recipients')dnl")
        return [*lines, "MAILER(`local')dnl", "MAILER(`smtp')dnl"]


def _row(refusal: Refusal) -> str:
    """A line of the access database; it knows whole addresses, domains and local parts."""
    return f'{_TAGS[refusal.phase]}:{refusal.containing}\tERROR:{refusal.enhanced}:"{refusal.code} {refusal.words}"\n'
