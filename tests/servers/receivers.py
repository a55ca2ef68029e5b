"""Web servers of others as webhook receivers: each writes down the query of every POST it gets, and answers 2xx.

What they have in common is that they close connections that are idle, each after a time of its own.
"""

import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from tests.servers.busybox import BusyboxHttpd
from tests.servers.ports import free_port
from tests.servers.processes import find_binary, start, stop_group, wait_until

_WSGI = """\
def app(environ, answer):
    environ["wsgi.input"].read()
    with open({stored!r}, "a") as stored:
        stored.write(environ["QUERY_STRING"] + "\\n")
    answer("204 No Content", [])
    return []
"""
_NODE = """\
const fs = require("fs"), http = require("http");
http.createServer((request, answer) => {
  request.resume();
  request.on("end", () => {
    fs.appendFileSync(process.argv[3], request.url.split("?")[1] + "\\n");
    answer.writeHead(204).end();
  });
}).listen(Number(process.argv[2]), "127.0.0.1");
"""
_NGINX = """\
daemon off;
master_process off;
pid {here}/pid;
error_log {here}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {here}/body;
  proxy_temp_path {here}/proxy;
  fastcgi_temp_path {here}/fastcgi;
  uwsgi_temp_path {here}/uwsgi;
  scgi_temp_path {here}/scgi;
  log_format queries '$args';
  keepalive_timeout 1s;
  server {{
    listen 127.0.0.1:{port};
    location / {{ access_log {stored} queries; return 204; }}
  }}
}}
"""


@dataclass
class Receiver:
    """One running server."""

    url: str
    idle_seconds: float
    """After which it closes a connection; 0 when it keeps none."""
    stored: Callable[[], list[str]]
    close: Callable[[], None]


def gunicorn(directory: Path) -> Receiver:
    """With threads, which keep connections; its default is two seconds."""
    stored, port = directory / "stored", free_port()
    (directory / "receiver.py").write_text(_WSGI.format(stored=str(stored)))
    command = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "8"]
    command += ["--bind", f"127.0.0.1:{port}", "--chdir", str(directory), "--worker-tmp-dir", str(directory)]
    return _started([*command, "--no-control-socket", "receiver:app"], directory, port, stored, 2.0)


def nginx(directory: Path) -> Receiver:
    """The one of most."""
    binary = find_binary("/usr/sbin/nginx", "nginx", install="apt-get install nginx-light")
    stored, port = directory / "stored", free_port()
    (directory / "nginx.conf").write_text(_NGINX.format(here=directory, port=port, stored=stored))
    command = [binary, "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(directory / "nginx.conf")]
    return _started(command, directory, port, stored, 1.0)


def node(directory: Path) -> Receiver:
    """Its default is five seconds."""
    binary = find_binary("node", "nodejs", install="apt-get install nodejs")
    stored, port = directory / "stored", free_port()
    (directory / "receiver.js").write_text(_NODE)
    return _started([binary, str(directory / "receiver.js"), str(port), str(stored)], directory, port, stored, 5.0)


def busybox(directory: Path) -> Receiver:
    """It closes each connection, and stores bodies; each of ours is its query."""
    server = BusyboxHttpd(directory / "busybox")
    return Receiver(server.url, 0.0, lambda: [body.decode() for body in server.stored], server.close)


def _started(command: list[str], directory: Path, port: int, stored: Path, idle: float) -> Receiver:
    log = directory / "server.log"
    process: Popen[bytes] = start(command, log)
    wait_until(lambda: _listens(port), process, log)
    return Receiver(
        f"http://127.0.0.1:{port}/hook",
        idle,
        lambda: stored.read_text().split() if stored.exists() else [],
        lambda: stop_group(process, signal.SIGTERM),
    )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


RECEIVERS = {"gunicorn": gunicorn, "nginx": nginx, "node": node, "busybox": busybox}
