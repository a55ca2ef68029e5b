"""Slots: how many exchanges run at once, in all and to one origin.

A receiver that hangs holds its own slots until its deadlines pass, and nobody else's. Waiting for a slot does not count
against the deadline of the exchange: an endpoint is not blamed for our queue.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(slots=True)
class _Gate:
    slots: asyncio.Semaphore
    users: int = 0
    """Who holds or awaits a slot; at 0 the gate is forgotten, so origins cost memory only while they are in use."""


class Slots:
    """Two limits, taken in order: the origin's first, so that waiting for it holds none of the shared ones."""

    def __init__(self, total: int, per_origin: int) -> None:
        self._total = asyncio.Semaphore(total)
        self._per_origin = per_origin
        self._gates: dict[str, _Gate] = {}

    @property
    def origins(self) -> int:
        """How many origins are in use or waited for."""
        return len(self._gates)

    async def acquire(self, origin: str, patience: float) -> bool:
        """Whether a slot came free within ``patience`` seconds. What is acquired must be released."""
        gate = self._gates.get(origin)
        if gate is None:
            gate = self._gates[origin] = _Gate(asyncio.Semaphore(self._per_origin))
        gate.users += 1
        try:
            if gate.slots.locked() or self._total.locked():
                async with asyncio.timeout(patience):
                    await self._take(gate)
            else:
                await self._take(gate)  # both are free, so this never waits; a timer would cost more than the slots
        except BaseException as error:
            self._leave(origin, gate)
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def release(self, origin: str) -> None:
        """Give both slots back."""
        gate = self._gates[origin]
        self._total.release()
        gate.slots.release()
        self._leave(origin, gate)

    async def _take(self, gate: _Gate) -> None:
        await gate.slots.acquire()
        try:
            await self._total.acquire()
        except BaseException:
            gate.slots.release()
            raise

    def _leave(self, origin: str, gate: _Gate) -> None:
        gate.users -= 1
        if gate.users == 0:
            del self._gates[origin]
