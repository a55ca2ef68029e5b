"""Exim 4, whose configuration is a program: one access list for each phase."""

from typing import ClassVar

from tests.servers.mail.machines import Layer
from tests.servers.mail.options import Phase, Refusal
from tests.servers.mail.server import MailServer

LAYER = Layer("exim", ("exim4-daemon-heavy",))
_MATCHED: dict[Phase, str] = {
    "helo": "$sender_helo_name",
    "mail": "$sender_address",
    "rcpt": "$local_part@$domain",
    "dot": "$h_subject:",
}


class Exim(MailServer):
    """Exim's heavy daemon."""

    name: ClassVar[str] = "exim"
    offers: ClassVar[tuple[str, ...]] = (
        "connections", "mails_per_connection", "size", "smtputf8", "login", "certificate", "refusals",
    )  # fmt: skip

    @property
    def version(self) -> str:
        return LAYER.run(["/usr/sbin/exim4", "-bV"], self.directory).split()[2]

    def configure(self) -> None:
        (self.directory / "spool").mkdir()
        (self.directory / "exim.conf").write_text(self._main() + self._acls() + _REST.format(sink=self.sink.port))
        if self.options.login:
            user, secret = self.options.login
            with (self.directory / "exim.conf").open("a") as file:
                file.write(_LOGINS.format(user=user, secret=secret))

    def command(self) -> list[str]:
        # Debian's Exim takes a configuration from elsewhere only as root, and then stays root when it delivers.
        files = f"chown -R Debian-exim {self.directory}/spool; chmod 644 {self.directory}/exim.conf"
        place = f"cp {self.directory}/exim.conf /etc/exim4/exim4.conf; chown root:root /etc/exim4/exim4.conf"
        return LAYER.command(["sh", "-c", f"{files}; {place}; exec /usr/sbin/exim4 -bdf -q1s"], self.directory)

    def _main(self) -> str:
        options = self.options
        lines = [
            "primary_hostname = mail.test",
            f"local_interfaces = <; [127.0.0.1]:{self.port}",
            f"daemon_smtp_ports = {self.port}",
            f"spool_directory = {self.directory}/spool",
            f"log_file_path = {self.directory}/spool/%slog",
            "pid_file_path = /run/exim.pid",
            "exim_user = Debian-exim",
            "exim_group = Debian-exim",
            "host_lookup =",
            "rfc1413_hosts =",
            # A few queue runners pass mails on; a process for each mail at once would slow what is measured.
            "queue_only",
            "queue_run_max = 3",
            "remote_max_parallel = 1",
            "smtp_accept_queue_per_connection = 0",
            "smtp_accept_max = 100",
            "message_logs = false",
        ]
        if options.connections is not None:
            lines.append(f"smtp_accept_max_per_host = {options.connections}")
        if options.mails_per_connection is not None:
            lines.append(f"smtp_accept_max_per_connection = {options.mails_per_connection}")
        if options.size is not None:
            lines.append(f"message_size_limit = {options.size}")
        lines.append(f"smtputf8_advertise_hosts = {'*' if options.smtputf8 else ':'}")
        if options.certificate is not None:
            lines += [
                "tls_advertise_hosts = *",
                f"tls_certificate = {options.certificate.certificate}",
                f"tls_privatekey = {options.certificate.key}",
            ]
        else:
            lines.append("tls_advertise_hosts = :")
        lines += [f"acl_smtp_{_ACL[phase]} = on_{phase}" for phase in _ACL]
        return "\n".join(lines) + "\n"

    def _acls(self) -> str:
        wants_login = "  deny !authenticated = *\n    message = 550 5.7.1 relay not permitted\n"
        text = "begin acl\n"
        for phase in _ACL:
            text += f"on_{phase}:\n"
            if phase == "rcpt" and self.options.login:
                text += wants_login
            text += "".join(_denied(refusal) for refusal in self.options.refusals if refusal.phase == phase)
            text += "  accept\n"
        return text


_ACL: dict[Phase, str] = {"connect": "connect", "helo": "helo", "mail": "mail", "rcpt": "rcpt", "dot": "data"}

_REST = """begin routers
everything:
  driver = manualroute
  transport = sink
  route_list = * 127.0.0.1
  self = send
begin transports
sink:
  driver = smtp
  port = {sink}
  allow_localhost
  hosts_try_fastopen = :
  hosts_avoid_tls = *
begin retry
* * F,1h,2s
"""

_LOGINS = """begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{secret}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{secret}}}}}}}}}
  server_set_id = $auth1
"""


def _denied(refusal: Refusal) -> str:
    verb = "deny" if refusal.code.startswith("5") else "defer"
    text = f"  {verb}\n"
    if refusal.containing:
        text += f"    condition = ${{if match{{{_MATCHED[refusal.phase]}}}{{\\N{refusal.containing}\\N}}}}\n"
    return text + f"    message = {refusal.reply}\n"
