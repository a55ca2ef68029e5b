"""`WebhookTransport`: one POST to an untrusted endpoint within one wall clock.

Whatever an endpoint does costs at most a slot until the deadline and `wire.REPLY_BYTES` of memory. Redirects are not
followed, cookies not kept, bodies not decompressed, proxies of the environment not used, and no socket is ever
connected to an address that the guard refuses.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import replace
from pathlib import Path

from notifier.channels.webhook.answers import Answer, Failure, Forbidden, Reply
from notifier.channels.webhook.connecting import Connector
from notifier.channels.webhook.connections import Connections
from notifier.channels.webhook.failures import EXCHANGE_ERRORS, read_failure
from notifier.channels.webhook.guard import AddressGuard, Target
from notifier.channels.webhook.resolver import CheckedResolver, LookUp, look_up
from notifier.channels.webhook.slots import Crowded, Slots
from notifier.channels.webhook.wire import Asked, HttpConnection, Stale
from notifier.errors import ForbiddenAnswer, ForbiddenTarget

#: Most of the connections that one endpoint may use: five that are merely busy leave room for the sixth.
ENDPOINT_SHARE = 0.2
#: Seconds an exchange waits for a slot before its delivery goes back to the broker.
SLOT_PATIENCE_S = 0.8


class WebhookTransport:
    """Makes exchanges inside one event loop; `close` ends it.

    ``share`` is how much of the ``connections`` one endpoint may use, or one provider.
    ``timeout`` is one wall clock over look-up, connection, TLS, request and reply, so a dripping endpoint cannot
    stretch it; ``connect_timeout`` (for each address, and again for TLS) lets go of silent hosts sooner. In seconds.
    """

    def __init__(
        self,
        guard: AddressGuard,
        *,
        timeout: float = 15.0,
        connect_timeout: float = 5.0,
        connections: int = 100,
        ca_file: Path | None = None,
        share: float = ENDPOINT_SHARE,
        ask: LookUp = look_up,
    ) -> None:
        self._timeout = timeout
        self._slots = Slots(connections, max(1, int(connections * share)))
        # Reading the CA files takes 20 ms, so it is done here and not in the loop.
        tls = ssl.create_default_context()
        if ca_file is not None:
            tls.load_verify_locations(ca_file)
        # RFC 9525 §6.3: a name counts only among the subject's alternative names.
        tls.hostname_checks_common_name = False
        self._connector = Connector(guard, CheckedResolver(guard, ask), tls, connect_timeout)
        self._connections = Connections()
        # Exchanges on kept connections, in the order of their deadlines: one timer for the first instead of one each.
        self._deadlines: dict[Asked, tuple[float, HttpConnection]] = {}
        self._watching = False

    async def post(
        self,
        target: Target,
        head: bytes,
        body: bytes,
        *,
        receiver: str = "",
        expires: float | None = None,
        again: bool = True,
    ) -> Answer:
        """One exchange, in the slots of ``receiver``: an endpoint's id. Never raises for what network or endpoint do.

        ``head`` is the whole head of the request in bytes. What has expired (unix seconds) by the time it has its
        slots is not begun. ``again``: it may travel on a kept connection, and when that was closed before anything of
        the reply came, once more on a new one. What may not be written twice gets a new connection at once: receivers
        close idle ones at any moment, and nobody could say whether it arrived.
        """
        lease = await self._slots.acquire(receiver or target.origin, SLOT_PATIENCE_S)
        if isinstance(lease, Crowded):
            return lease
        answer: Answer | None = None
        try:
            if expires is not None and time.time() >= expires:
                return Crowded("it expired while it waited its turn", 0.0)
            answer = await self._exchange(target, head, body, again)
            return answer
        finally:
            self._slots.release(lease, answered=isinstance(answer, Reply))

    def is_slow(self, receiver: str) -> bool:
        """Whether an exchange with an endpoint has been pending for long. From any thread."""
        return self._slots.is_slow(receiver)

    def pending_for(self, receiver: str) -> float:
        """For how long all exchanges with an endpoint have been pending; 0 for others. From any thread."""
        return self._slots.pending_for(receiver, time.monotonic())

    async def close(self) -> None:
        """Close the kept connections. Call it in the loop, before the loop ends."""
        await self._connections.close()

    async def _exchange(self, target: Target, head: bytes, body: bytes, again: bool) -> Answer:
        until = asyncio.get_running_loop().time() + self._timeout
        kept = self._connections.take(target.origin) if again else None
        if kept is None:
            return await self._ask_anew(target, head, body, until)
        answer = await self._ask(kept, head, body, until)
        if not isinstance(answer, Stale):
            return answer
        anew = await self._ask_anew(target, head, body, until)
        return _repeated(anew) if answer.failure.uncertain else anew

    async def _ask(self, kept: HttpConnection, head: bytes, body: bytes, until: float) -> Reply | Failure | Stale:
        asked = kept.send(head, body)
        self._deadlines[asked] = (until, kept)
        if not self._watching:
            self._watching = True
            asyncio.get_running_loop().call_at(until, self._expire)
        try:
            return await asked
        except BaseException:
            kept.give_up(asked)
            raise
        finally:
            del self._deadlines[asked]

    async def _ask_anew(self, target: Target, head: bytes, body: bytes, until: float) -> Answer:
        answer: Reply | Failure | Stale
        asked: Asked | None = None
        try:
            async with asyncio.timeout_at(until):
                connection = await self._connector.open(
                    target, lambda: HttpConnection(target.origin, self._connections)
                )
                asked = connection.send(head, body)
                answer = await asked
        except BaseException as error:
            if asked is None:
                return _unopened(error, target)
            answer = connection.give_up(asked)
            if not isinstance(error, TimeoutError):
                raise
        return answer.failure if isinstance(answer, Stale) else answer

    def _expire(self) -> None:
        """End what is late, and look again when the next one would be; most have long been answered by then."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        late = []
        for asked, (until, connection) in self._deadlines.items():
            if until > now:
                loop.call_at(until, self._expire)
                break
            late.append((asked, connection))
        else:
            self._watching = False
        for asked, connection in late:
            connection.give_up(asked)


def _repeated(answer: Answer) -> Answer:
    """The answer to a request that may have arrived before: nobody may take it for one that cannot have."""
    match answer:
        case Reply():
            return replace(answer, repeated=True)
        case Failure():
            return replace(answer, uncertain=True)
    return answer


def _unopened(error: BaseException, target: Target) -> Forbidden | Failure:
    """What it means that there is no connection. Raises what is not about the network."""
    if isinstance(error, ForbiddenTarget):
        return Forbidden(str(error), resolved=isinstance(error, ForbiddenAnswer))
    if isinstance(error, EXCHANGE_ERRORS):
        return read_failure(error, written=False, host=target.host)
    raise error
