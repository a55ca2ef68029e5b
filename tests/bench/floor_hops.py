"""``python -m tests.bench.floor_hops plan|send BROKER_URL REDIS_PORT RELAY_PORT``: the two processes of `floor`.

They speak AMQP, RESP and SMTP in bytes put together here, on blocking sockets: no event loop, no client library,
nothing parsed that the next hop does not need, and no garbage collector. Libraries only open the connections.
"""

import gc
import select
import smtplib
import socket
import struct
import sys
from typing import NoReturn
from urllib.parse import unquote, urlsplit

import amqp

EVENTS_QUEUE, TASKS_QUEUE = "floor-events", "floor-tasks"

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_FRAME, _FRAME_END = struct.Struct(">BHI"), b"\xce"
_CHANNEL = 1
#: Class and method of what is read and written (AMQP 0-9-1): basic.publish, basic.deliver, basic.ack.
_PUBLISH, _DELIVER, _ACK = (struct.pack(">HH", 60, method) for method in (40, 60, 80))
#: basic.properties with nothing but delivery_mode=2; between class and flags stands the body's size.
_DURABLE = struct.pack(">HB", 0x1000, 2)
_PREFETCH = 100
#: An acknowledgement is written to the broker's disk too: beside the task it takes a tenth of a millisecond from it.
_ACK_AFTER_S = 0.01

#: About the bench's own mail, and its final dot.
_MAIL = (
    b"From: Shop <shop@shop.example.com>\r\nSubject: Your parcel is on its way\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    + (b"Aran wool jumper, oatmeal, and whatever else fills a line of a mail.\r\n" * 27)
    + b".\r\n"
)


def main() -> None:
    """Until killed."""
    role, broker_url, redis_port, relay_port = sys.argv[1:]
    redis = connected(int(redis_port))
    gc.freeze()
    gc.disable()
    if role == "plan":
        plan(Queue(broker_url, EVENTS_QUEUE), redis)
    send(Queue(broker_url, TASKS_QUEUE), redis, relay(int(relay_port)))


def plan(events: "Queue", redis: socket.socket) -> NoReturn:
    """Each event becomes a task, after one question to Redis."""
    while True:
        tag, event = events.next()
        ask(redis, set_command(b"floor:event:" + recipient(event)), 1, b"+OK")
        events.publish(TASKS_QUEUE, event)
        events.wait(_ACK_AFTER_S)
        events.ack(tag)


def send(tasks: "Queue", redis: socket.socket, mails: socket.socket) -> NoReturn:
    """Each task becomes a mail, after one question to Redis."""
    while True:
        tag, task = tasks.next()
        to = recipient(task)
        ask(redis, set_command(b"floor:claim:" + to), 1, b"+OK")
        ask(mails, b"MAIL FROM:<shop@shop.example.com>\r\nRCPT TO:<" + to + b">\r\nDATA\r\n", 3, b"354")
        ask(mails, _MAIL, 1, b"250")
        tasks.ack(tag)


def recipient(event: bytes) -> bytes:
    """The address in an event of `workload`, found and not parsed."""
    before = b'"email": "'
    start = event.index(before) + len(before)
    return event[start : event.index(b'"', start)]


def set_command(key: bytes) -> bytes:
    """A SET of a key to 1."""
    return b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$1\r\n1\r\n" % (len(key), key)


def ask(server: socket.socket, request: bytes, lines: int, wanted: bytes) -> None:
    """One write, and its answer of so many lines; the last begins with what is wanted."""
    server.sendall(request)
    answer = received(server)
    while answer.count(b"\r\n") < lines:
        answer += received(server)
    if not answer.splitlines()[-1].startswith(wanted):
        sys.exit(f"{request!r} was answered {answer!r}")


def received(server: socket.socket) -> bytes:
    """What has come, at least one byte of it."""
    return server.recv(65536) or sys.exit("a server closed its connection")


def connected(port: int) -> socket.socket:
    """A connection to a server that speaks second."""
    return without_delay(socket.create_connection(("127.0.0.1", port)))


def without_delay(server: socket.socket) -> socket.socket:
    """Blocking, and small writes leave at once."""
    server.settimeout(None)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


def relay(port: int) -> socket.socket:
    """A connection that was greeted."""
    client = smtplib.SMTP("127.0.0.1", port, local_hostname="localhost")
    client.ehlo()
    if client.sock is None or not client.has_extn("pipelining"):
        sys.exit("the relay does not offer PIPELINING")
    return without_delay(client.sock)


class Queue:
    """One queue to consume from, and the connection to publish with."""

    def __init__(self, url: str, queue: str) -> None:
        parts = urlsplit(url)
        # Kept: it closes its socket when nobody knows it any more.
        self._connection = amqp.Connection(f"{parts.hostname}:{parts.port}", virtual_host=unquote(parts.path[1:]))
        self._connection.connect()
        channel = self._connection.channel(_CHANNEL)
        channel.basic_qos(0, _PREFETCH, False)
        channel.basic_consume(queue)
        assert self._connection.sock is not None
        self._socket = without_delay(self._connection.sock)
        self._unread = b""

    def next(self) -> tuple[int, bytes]:
        """Tag and body of the next message."""
        kind, content = self._frame()
        while kind == _HEARTBEAT:
            kind, content = self._frame()
        if kind != _METHOD or not content.startswith(_DELIVER):
            sys.exit(f"the broker sent {content!r} where a message was awaited")
        (tag,) = struct.unpack_from(">Q", content, 5 + content[4])
        (size,) = struct.unpack_from(">Q", self._frame()[1], 4)
        body = b""
        while len(body) < size:
            body += self._frame()[1]
        return tag, body

    def wait(self, seconds: float) -> None:
        """That long, or until the next message comes."""
        if not self._unread:
            select.select([self._socket], [], [], seconds)

    def publish(self, queue: str, body: bytes) -> None:
        """One durable message to the default exchange, unconfirmed."""
        to = queue.encode()
        method = _PUBLISH + struct.pack(f">HBB{len(to)}sB", 0, 0, len(to), to, 0)
        header = struct.pack(">HHQ", 60, 0, len(body)) + _DURABLE
        self._socket.sendall(_framed(_METHOD, method) + _framed(_HEADER, header) + _framed(_BODY, body))

    def ack(self, tag: int) -> None:
        """Of one message."""
        self._socket.sendall(_framed(_METHOD, _ACK + struct.pack(">QB", tag, 0)))

    def _frame(self) -> tuple[int, bytes]:
        kind, _, size = _FRAME.unpack(self._bytes(_FRAME.size))
        return kind, self._bytes(size + len(_FRAME_END))[:-1]

    def _bytes(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._unread += received(self._socket)
        taken, self._unread = self._unread[:size], self._unread[size:]
        return taken


def _framed(kind: int, content: bytes) -> bytes:
    return _FRAME.pack(kind, _CHANNEL, len(content)) + content + _FRAME_END


if __name__ == "__main__":
    main()
