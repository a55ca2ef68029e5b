"""Mail servers from npm: Haraka and smtp-server, pinned in `npm/`, installed into the user's cache on first use."""

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

from tests.servers.mail.options import Options, Phase
from tests.servers.mail.server import MailServer
from tests.servers.npm import installed, node

HERE = Path(__file__).parent / "npm"


def _version(package: str) -> str:
    return str(json.loads((installed(HERE) / "node_modules" / package / "package.json").read_text())["version"])


def _refusals(options: Options) -> list[dict[str, str]]:
    return [
        {"phase": refusal.phase, "reply": refusal.reply, "containing": refusal.containing}
        for refusal in options.refusals
    ]


class Haraka(MailServer):
    """Haraka; it refuses with 550 and 450 only, whatever code a refusal names."""

    name: ClassVar[str] = "haraka"
    offers: ClassVar[tuple[str, ...]] = ("size", "smtputf8", "login", "certificate", "refusals")

    @property
    def version(self) -> str:
        return _version("haraka")

    def configure(self) -> None:
        (self.directory / "plugins").mkdir()
        shutil.copy(HERE / "refuse.js", self.directory / "plugins")
        for name, text in self._files().items():
            (self.directory / "config").mkdir(exist_ok=True)
            (self.directory / "config" / name).write_text(text)

    def command(self) -> list[str]:
        return [node(), str(installed(HERE) / "node_modules/haraka/bin/haraka"), "-c", str(self.directory)]

    def _files(self) -> dict[str, str]:
        options = self.options
        smtp = f"listen=127.0.0.1:{self.port}\nnodes=0\n"
        # A file of one's own must say everything that Haraka's own says.
        limits = {"bytes": options.size or 26214400, "mime_parts": 1000, "line_length": 512, "data_line_length": 992}
        connection = f"[main]\nsmtputf8={str(options.smtputf8 is not False).lower()}\n"
        connection += "[message]\nhelo=at your service\nclose=bye\n[headers]\nmax_lines=1000\nmax_received=100\n"
        connection += "[uuid]\nbanner_chars=6\n[haproxy]\nhosts[] =\n[max]\n"
        connection += "".join(f"{name}={value}\n" for name, value in limits.items())
        plugins = ["refuse"]
        files = {
            "smtp.ini": smtp,
            "connection.ini": connection,
            "me": "mail.test",
            "loglevel": "NOTICE",
            "host_list": "",
            "smtp_forward.ini": f"host=127.0.0.1\nport={self.sink.port}\nenable_outbound=true\n",
            "refuse.json": json.dumps(_refusals(options)),
        }
        if options.certificate is not None:
            plugins.append("tls")
            files["tls.ini"] = f"key={options.certificate.key}\ncert={options.certificate.certificate}\n"
        if options.login is not None:
            plugins.append("auth/flat_file")
            user, secret = options.login
            files["auth_flat_file.ini"] = (
                f"[core]\nmethods=PLAIN,LOGIN\nconstrain_sender=false\n[users]\n{user}={secret}\n"
            )
        files["plugins"] = "\n".join([*plugins, "queue/smtp_forward"]) + "\n"
        return files


class SmtpServer(MailServer):
    """npm's smtp-server, which many services are built on."""

    name: ClassVar[str] = "smtp-server"
    offers: ClassVar[tuple[str, ...]] = ("connections", "size", "smtputf8", "login", "certificate", "refusals")
    phases: ClassVar[tuple[Phase, ...]] = ("connect", "mail", "rcpt", "dot")

    @property
    def version(self) -> str:
        return _version("smtp-server")

    def configure(self) -> None:
        options = self.options
        certificate = options.certificate
        said: dict[str, Any] = {
            "port": self.port,
            "sink": self.sink.port,
            "size": options.size,
            "connections": options.connections,
            "smtputf8": options.smtputf8,
            "login": options.login,
            "certificate": [str(certificate.certificate), str(certificate.key)] if certificate else None,
            "refusals": _refusals(options),
        }
        (self.directory / "options.json").write_text(json.dumps(said))

    def command(self) -> list[str]:
        return [node(), str(installed(HERE) / "smtp-server.js"), str(self.directory / "options.json")]
