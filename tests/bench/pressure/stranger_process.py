"""``python -m tests.bench.pressure.stranger_process PORT COUNT``: clients without a token, until SIGTERM.

From ten addresses of this machine. A third says nothing, a third sends a byte of a head each second, a third
half of one; whoever is hung up on comes back. Prints a line when all have connected once.
"""

import asyncio
import contextlib
import os
import sys

HALF = b"GET /healthz HTTP/1.1\r\nHost: x\r\nx-more: "


async def be_a_stranger(port: int, number: int, connected: asyncio.Semaphore) -> None:
    """One client."""
    is_new = True
    while True:
        with contextlib.suppress(OSError):
            address = (f"127.0.0.{2 + number % 10}", 0)
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=address)
            if is_new:
                is_new = False
                connected.release()
            if number % 3:
                writer.write(HALF)
            with contextlib.suppress(TimeoutError):
                while await asyncio.wait_for(reader.read(4096), None if number % 3 != 1 else 1.0):
                    pass
            while number % 3 == 1 and not reader.at_eof():
                writer.write(b"a")
                await asyncio.sleep(1)
            writer.close()
        await asyncio.sleep(1)


async def main() -> None:
    """All of them."""
    port, count = int(sys.argv[1]), int(sys.argv[2])
    connected = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as strangers:
        for number in range(count):
            strangers.create_task(be_a_stranger(port, number, connected))
        for _ in range(count):
            await connected.acquire()
        os.write(1, b"connected\n")


if __name__ == "__main__":
    asyncio.run(main())
