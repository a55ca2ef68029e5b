"""pika's I/O services with a name look-up that also works while the interpreter ends.

pika resolves names on a new thread, and Python 3.12 starts none once the main thread has ended: events submitted by a
script's last line could then not connect any more. Our link has a thread of its own, which may simply wait.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter


class ResolvingServices(SelectorIOServicesAdapter):  # type: ignore[misc]
    """For `pika.SelectConnection` in place of a bare I/O loop."""

    def __init__(self) -> None:
        self._native = IOLoop()
        super().__init__(self._native)

    def getaddrinfo(self, host: str, port: int, on_done: Callable[..., None], *args: Any, **options: Any) -> Any:
        """As pika does it, and on this thread when no other can be started."""
        try:
            return super().getaddrinfo(host, port, on_done, *args, **options)
        except RuntimeError:
            names = ("family", "type", "proto", "flags")
            wanted = {"type" if name == "socktype" else name: value for name, value in options.items()}
            wanted |= dict(zip(names, args, strict=False))
            return self.call_later(0, lambda: on_done(_resolve(host, port, wanted)))


def _resolve(host: str, port: int, wanted: dict[str, Any]) -> Any:
    """The addresses, or the error as a value, which is how pika asks for it."""
    try:
        return socket.getaddrinfo(host, port, **wanted)
    except OSError as error:
        return error
