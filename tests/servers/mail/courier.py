"""Courier, which takes five connections of a client and passes mails on through processes that stay."""

from typing import ClassVar

from tests.servers.mail.machines import Layer
from tests.servers.mail.server import MailServer

LAYER = Layer("courier", ("courier-mta",))


class Courier(MailServer):
    """Courier's SMTP server with the limits that Debian's package has, unless told otherwise."""

    name: ClassVar[str] = "courier"
    offers: ClassVar[tuple[str, ...]] = ("connections", "size")

    @property
    def version(self) -> str:
        return LAYER.run(["dpkg-query", "-Wf", "${Version}", "courier-mta"], self.directory).split("-")[0]

    def configure(self) -> None:
        (self.directory / "esmtpd").write_text("".join(f"{name}={value}\n" for name, value in self._settings().items()))

    def command(self) -> list[str]:
        etc = "/etc/courier"
        steps = (
            f"cat {self.directory}/esmtpd >> {etc}/esmtpd",
            f"echo mail.test > {etc}/me",
            f"echo mail.test > {etc}/locals",
            f"echo ':[127.0.0.1],{self.sink.port} /SECURITY=NONE' > {etc}/esmtproutes",
            f"mkdir -p {etc}/smtpaccess",
            f"printf '127.0.0.1\\tallow,RELAYCLIENT\\n' > {etc}/smtpaccess/default",
            f"echo {self.options.size or 0} > {etc}/sizelimit",
            "mkdir -p /run/courier; chown courier:courier /run/courier",
            # Its queue on a plain file system: it could not make folders in one that lies over another.
            f"mv /var/lib/courier {self.directory}/queue; ln -s {self.directory}/queue /var/lib/courier",
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

    def _settings(self) -> dict[str, str]:
        # Names of this network are nobody's.
        settings = {"BOFHCHECKDNS": "0"}
        if self.options.connections is not None:
            settings |= {"MAXPERC": str(self.options.connections), "MAXPERIP": str(self.options.connections)}
        return settings
