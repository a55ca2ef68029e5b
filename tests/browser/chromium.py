"""A real Chromium without a window, driven by its own protocol (Chrome DevTools) over a WebSocket.

Written here rather than taken from Playwright or Selenium, which bring browsers and drivers of their own: one page,
keys, scripts and pictures need little of the protocol.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.servers.loop_thread import LoopThread
from tests.servers.patience import PATIENCE_S
from tests.servers.processes import find_binary, start, stop_group, wait_until

_OPTIONS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    # A frame in a process of its own would be another page to the protocol.
    "--disable-features=IsolateSandboxedIframes",
    "--disable-site-isolation-trials",
)
_KEYS = {"Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r"), "Space": (" ", 32, " ")}


class Chromium:
    """The browser's process."""

    def __init__(self, directory: Path) -> None:
        binary = find_binary("chromium", "chromium-browser", "google-chrome", install="apt-get install chromium")
        # Root may not use Chromium's sandbox, and checks in containers run as root.
        options = [*_OPTIONS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        self._port_file = directory / "profile" / "DevToolsActivePort"
        log = directory / "chromium.log"
        environment = {**os.environ, "HOME": str(directory)}
        command = [binary, *options, f"--user-data-dir={self._port_file.parent}", "about:blank"]
        self._process = start(command, log, environment)
        wait_until(self._has_port, self._process, log)
        self._thread = LoopThread("chromium")

    def open(self, url: str) -> "Tab":
        """A page on that address, drawn."""
        tab = Tab(self._thread, self._port())
        tab.go(url)
        return tab

    def close(self) -> None:
        """Ends it."""
        self._thread.close()
        stop_group(self._process, signal.SIGKILL)

    def _has_port(self) -> bool:
        return self._port_file.exists() and self._port_file.read_text().count("\n") >= 1

    def _port(self) -> int:
        return int(self._port_file.read_text().split("\n")[0])


class Tab:
    """One page."""

    def __init__(self, thread: LoopThread, port: int) -> None:
        self._thread = thread
        self._port = port
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        """What the console shows in red."""
        self._thread.call(self._connect())
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.ask(f"{domain}.enable")

    def go(self, url: str) -> None:
        """Load an address."""
        self.ask("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def ask(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol; its result."""
        return self._thread.call(self._ask(method, parameters))

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise AssertionError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def until(self, script: str) -> None:
        """Returns when the expression is true."""
        self.wait(lambda: bool(self.run(f"!!({script})")), script)

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Returns when the condition is true; fails with ``what`` when it never is."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"after {PATIENCE_S:.0f} s still not: {what}; the console says {self.complaints}")
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """Press and release a key."""
        name, code, text = _KEYS[key]
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=name, code=key, windowsVirtualKeyCode=code, **typed)

    def look(self, *, dark: bool = False, width: int = 1200, height: int = 900) -> None:
        """The reader's screen and taste."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **metrics)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """A screenshot."""
        taken = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(taken["data"]))

    def frame_text(self) -> str:
        """What the page's only frame says; a sandboxed frame keeps the page's own scripts out."""
        tree = self.ask("DOM.getDocument", depth=-1, pierce=True)["root"]
        frame = next((node for node in _nodes(tree) if node["nodeName"] == "IFRAME"), None)
        texts = _nodes(frame["contentDocument"]) if frame and "contentDocument" in frame else []
        return " ".join(node["nodeValue"].strip() for node in texts if node["nodeName"] == "#text")

    def close(self) -> None:
        """Close it."""
        self._thread.call(self._close())

    async def _connect(self) -> None:
        self._session = aiohttp.ClientSession()
        async with self._session.put(f"http://127.0.0.1:{self._port}/json/new?about:blank") as answer:
            target = await answer.json(content_type=None)
        self._socket = await self._session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0)
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif (complaint := _complaint(said)) is not None:
                self.complaints.append(complaint)

    async def _ask(self, method: str, parameters: dict[str, Any]) -> Any:
        number = next(self._numbers)
        self._answers[number] = answer = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        said = await answer
        if "error" in said:
            raise AssertionError(f"{method}: {said['error']}")
        return said["result"]

    async def _close(self) -> None:
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        await self._socket.close()
        await self._session.close()


def _complaint(said: dict[str, Any]) -> str | None:
    """What an event of the protocol tells of an error, or None."""
    event = said.get("params", {})
    if said["method"] == "Runtime.exceptionThrown":
        return str(event["exceptionDetails"])
    if said["method"] == "Runtime.consoleAPICalled" and event["type"] in ("error", "assert"):
        return str(event["args"])
    if said["method"] == "Log.entryAdded" and event["entry"]["level"] == "error":
        return f"{event['entry']['text']} {event['entry'].get('url', '')}"
    return None


def _nodes(tree: dict[str, Any]) -> list[dict[str, Any]]:
    return [tree, *(found for child in tree.get("children", []) for found in _nodes(child))]
