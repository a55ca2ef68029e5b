"""A way to a server that can freeze: connections stay open, new ones are accepted, and nothing passes any more."""

import socket
import threading
from contextlib import suppress

from tests.servers.ports import free_port


class FreezingWay:
    """Listens on ``port`` of loopback and passes bytes on to ``target``; frozen from the start without a target."""

    def __init__(self, target: int | None) -> None:
        self.port = free_port()
        self._target = target
        self._frozen = threading.Event()
        if target is None:
            self._frozen.set()
        self._sockets: list[socket.socket] = []
        self.accepted = 0
        """Connections so far."""
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """What was sent before may still arrive."""
        self._frozen.set()

    def close(self) -> None:
        """Hang up on everybody."""
        self._frozen.set()
        for each in (self._listening, *self._sockets):
            # Closing alone does not wake the thread that waits for it.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._sockets.append(client)
                self.accepted += 1
                if self._target is None or self._frozen.is_set():
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets.append(server)
                for source, drain in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, drain), daemon=True).start()

    def _pass_on(self, source: socket.socket, drain: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._frozen.is_set():
                    return
                drain.sendall(data)
            drain.shutdown(socket.SHUT_WR)
