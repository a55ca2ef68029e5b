"""Sendmail, whose daemon counts its children and takes no connection more than it may have."""

import shlex
from typing import ClassVar

from tests.servers.mail.machines import Layer
from tests.servers.mail.options import Phase, Refusal
from tests.servers.mail.sasl import REALM, sasl_password, sasl_settings
from tests.servers.mail.server import MailServer

LAYER = Layer("sendmail", ("sendmail-bin", "sendmail-cf", "m4", "sasl2-bin", "libsasl2-modules"))
_TAGS: dict[Phase, str] = {"connect": "Connect", "mail": "From", "rcpt": "To"}


class Sendmail(MailServer):
    """Sendmail with a configuration made by its own macros."""

    name: ClassVar[str] = "sendmail"
    offers: ClassVar[tuple[str, ...]] = ("connections", "size", "login", "certificate", "refusals")
    phases: ClassVar[tuple[Phase, ...]] = ("connect", "mail", "rcpt")

    @property
    def version(self) -> str:
        return LAYER.run(["dpkg-query", "-Wf", "${Version}", "sendmail-bin"], self.directory).split("-")[0]

    def configure(self) -> None:
        (self.directory / "our.mc").write_text("\n".join(self._lines()) + "\n")
        (self.directory / "access").write_text(self._access())
        (self.directory / "queue").mkdir()

    def command(self) -> list[str]:
        steps = (
            f"cd {self.directory}",
            "m4 our.mc > /etc/mail/sendmail.cf",
            "makemap -C /etc/mail/sendmail.cf hash /etc/access < access",
            ": > /etc/mail/local-host-names",
            "chmod 700 queue",
            *self._certificate(),
            *self._logins(),
            "exec /usr/sbin/sendmail -bD -q2s -OQueueDirectory=$PWD/queue -OPidFile=/run/sendmail.pid",
        )
        return LAYER.command(["sh", "-c", "; ".join(steps)], self.directory)

    def _access(self) -> str:
        refusals = self.options.refusals
        rows = "".join(map(_row, refusals))
        # A host that may relay needs no login, and one that is refused may not relay.
        known = self.options.login is None and all(refusal.phase != "connect" for refusal in refusals)
        return ("Connect:127.0.0.1\tRELAY\n" if known else "") + rows

    def _certificate(self) -> tuple[str, ...]:
        if self.options.certificate is None:
            return ()
        # It wants a key that nobody else can read, in a folder that nobody else can write to.
        both = f"{self.options.certificate.certificate} {self.options.certificate.key}"
        return (f"cat {both} > /etc/sendmail.pem; chmod 600 /etc/sendmail.pem",)

    def _logins(self) -> tuple[str, ...]:
        if self.options.login is None:
            return ()
        database = "/etc/mail/sasldb2"
        settings = shlex.quote(sasl_settings(database))
        return (
            f"mkdir -p /usr/lib/sasl2; printf %s {settings} > /usr/lib/sasl2/Sendmail.conf",
            sasl_password(self.options.login, database),
        )

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
            lines += [f"define(`confSERVER_{name}', `/etc/sendmail.pem')dnl" for name in ("CERT", "KEY")]
            lines += ["define(`confCACERT', `/etc/sendmail.pem')dnl", "define(`confCACERT_PATH', `/etc')dnl"]
        if options.login is not None:
            lines.append("TRUST_AUTH_MECH(`PLAIN LOGIN')dnl")
            lines.append("define(`confAUTH_MECHANISMS', `PLAIN LOGIN')dnl")
            lines.append("define(`confAUTH_REALM', `" + REALM + "')dnl")
        if any(refusal.phase == "rcpt" for refusal in options.refusals):
            lines.append("FEATURE(`blocklist_recipients')dnl")
        return [*lines, "MAILER(`local')dnl", "MAILER(`smtp')dnl"]


def _row(refusal: Refusal) -> str:
    """A line of the access database; it knows whole addresses, domains and local parts."""
    who = refusal.containing or "127.0.0.1"
    return f'{_TAGS[refusal.phase]}:{who}\tERROR:{refusal.enhanced}:"{refusal.code} {refusal.words}"\n'
