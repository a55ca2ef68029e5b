"""Courier, which takes five connections of a client and passes mails on through processes that stay."""

import shlex
from typing import ClassVar

from tests.servers.mail.machines import Layer
from tests.servers.mail.options import Phase
from tests.servers.mail.server import MailServer

LAYER = Layer("courier", ("courier-mta", "courier-authlib-userdb"))


class Courier(MailServer):
    """Courier's SMTP server with the limits that Debian's package has, unless told otherwise.

    It refuses in words and with codes of its own: whoever connects (told at MAIL), a sender, and the recipients of a
    domain that it thinks its own and has no users of.
    """

    name: ClassVar[str] = "courier"
    offers: ClassVar[tuple[str, ...]] = ("connections", "size", "login", "certificate", "refusals")
    phases: ClassVar[tuple[Phase, ...]] = ("connect", "mail", "rcpt")

    @property
    def version(self) -> str:
        return LAYER.run(["dpkg-query", "-Wf", "${Version}", "courier-mta"], self.directory).split("-")[0]

    def configure(self) -> None:
        (self.directory / "esmtpd").write_text("".join(f"{name}={value}\n" for name, value in self._settings().items()))
        (self.directory / "access").write_text(f"127.0.0.1\tallow{self._rights()}\n")
        (self.directory / "bofh").write_text("".join(f"badfrom {sender}\n" for sender in self._refused("mail")))
        (self.directory / "locals").write_text("\n".join(["mail.test", *map(_domain, self._refused("rcpt"))]) + "\n")

    def command(self) -> list[str]:
        etc = "/etc/courier"
        steps = (
            f"cat {self.directory}/esmtpd >> {etc}/esmtpd",
            f"echo mail.test > {etc}/me",
            f"cp {self.directory}/locals {etc}/locals",
            f"echo ':[127.0.0.1],{self.sink.port} /SECURITY=NONE' > {etc}/esmtproutes",
            f"mkdir -p {etc}/smtpaccess",
            f"cp {self.directory}/access {etc}/smtpaccess/default",
            f"cat {self.directory}/bofh >> {etc}/bofh",
            f"echo {self.options.size or 0} > {etc}/sizelimit",
            "mkdir -p /run/courier/authdaemon; chown -R courier:courier /run/courier",
            # Its queue on a plain file system: it could not make folders in one that lies over another.
            f"mv /var/lib/courier {self.directory}/queue; ln -s {self.directory}/queue /var/lib/courier",
            *self._users(etc),
            *self._certificate(etc),
            "makesmtpaccess; makeacceptmailfor; makehosteddomains; makealiases",
            "courier start",
            # As its script `esmtpd` does, less the file for its process id, which makes it go to the background.
            f"set -a; sysconfdir={etc}; . {etc}/esmtpd; ulimit -d $ULIMIT",
            (
                "exec /usr/sbin/couriertcpd -nodnslookup -user=$MAILUSER -group=$MAILGROUP -address=127.0.0.1"
                " -access=$ACCESSFILE.dat -maxprocs=$MAXDAEMONS -maxperc=$MAXPERC -maxperip=$MAXPERIP"
                f" {self.port} /usr/sbin/courieresmtpd"
            ),
        )
        return LAYER.command(["sh", "-c", "; ".join(steps)], self.directory)

    def _refused(self, phase: Phase) -> list[str]:
        return [refusal.containing for refusal in self.options.refusals if refusal.phase == phase]

    def _rights(self) -> str:
        blocked = [f",BLOCK={refusal.reply}" for refusal in self.options.refusals if refusal.phase == "connect"]
        return "".join(["" if self.options.login else ",RELAYCLIENT", *blocked])

    def _users(self, etc: str) -> tuple[str, ...]:
        """Who asks for a login, or for a recipient of a domain of its own, is answered by a daemon that knows users."""
        if not self.options.login and not self._refused("rcpt"):
            return ()
        users, login = f"{etc}/userdb", ()
        if self.options.login:
            user, secret = map(shlex.quote, self.options.login)
            login = (
                f"userdb {user} set uid=$(id -u courier) gid=$(id -g courier) home=/tmp mail=/tmp",
                f"printf '%s\\n' {secret} | userdbpw -md5 | userdb {user} set systempw",
            )
        return (
            f"sed -i 's/^authmodulelist=.*/authmodulelist=authuserdb/' {etc}/authdaemonrc",
            f"touch {users}; chmod 700 {users}",
            *login,
            f"makeuserdb; chown courier {users}*",
            "authdaemond start",
        )

    def _certificate(self, etc: str) -> tuple[str, ...]:
        if self.options.certificate is None:
            return ()
        one = f"{etc}/esmtpd.pem"
        both = f"{self.options.certificate.key} {self.options.certificate.certificate}"
        return (f"cat {both} > {one}; chown courier {one}; chmod 600 {one}",)

    def _settings(self) -> dict[str, str]:
        # Names of this network are nobody's.
        settings = {"BOFHCHECKDNS": "0"}
        if self.options.connections is not None:
            settings |= {"MAXPERC": str(self.options.connections), "MAXPERIP": str(self.options.connections)}
        if self.options.login:
            settings["ESMTPAUTH_TLS"] = '"PLAIN LOGIN"'
        return settings


def _domain(address: str) -> str:
    return address.rpartition("@")[2]
