"""A real headless browser, driven over its debugging protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0")
SECONDS = 30.0


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.errors: list[str] = []
        """What the page has complained about."""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; notes complaints that come meanwhile."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            told = await self._socket.receive_json(timeout=SECONDS)
            self._note(told)
            if told.get("id") == number:
                assert "error" not in told, told
                return told["result"]

    def _note(self, told: dict[str, Any]) -> None:
        kind, details = told.get("method"), told.get("params", {})
        if kind == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(details["exceptionDetails"]))
        if kind == "Runtime.consoleAPICalled" and details["type"] in {"error", "warning", "assert"}:
            self.errors.append(json.dumps(details["args"]))
        if kind == "Log.entryAdded" and details["entry"]["level"] in {"error", "warning"}:
            self.errors.append(f"{details['entry']['text']} {details['entry'].get('url', '')}")

    async def value(self, expression: str) -> Any:
        """What an expression of JavaScript is, awaited if it is a promise."""
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, expression: str, seconds: float = SECONDS) -> float:
        """Wait until an expression holds; the seconds that took."""
        started = time.monotonic()
        while not await self.value(expression):
            assert time.monotonic() - started < seconds, f"waited {seconds} s for {expression}"
            await asyncio.sleep(0.02)
        return time.monotonic() - started

    async def open(self, url: str) -> None:
        """Go to a page."""
        await self.call("Page.navigate", url=url)

    async def press(self, key: str, code: int) -> None:
        """Press and release a key."""
        for kind in ("rawKeyDown", "char" if key == "Enter" else "", "keyUp"):
            if kind:
                text = {"text": "\r"} if kind == "char" else {}
                await self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    async def picture(self, file: Path) -> None:
        """Save what it looks like."""
        found = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(found["data"]))


@asynccontextmanager
async def browsing(profile: Path, width: int = 1200, *, dark: bool = False) -> AsyncIterator[Page]:
    """A browser with one tab, for the length of a block."""
    assert PROGRAM is not None
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *FLAGS, f"--user-data-dir={profile}", "about:blank", stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(SECONDS):
            while (found := re.search(rb"ws://[^\s/]+", await process.stderr.readline())) is None:
                assert process.returncode is None, "the browser has ended"
        draining = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession() as session:
            address = found[0].decode().replace("ws://", "http://")
            tabs = await (await session.get(f"{address}/json")).json()
            tab = next(each for each in tabs if each["type"] == "page")
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
                await page.call("Emulation.setDeviceMetricsOverride", **size)
                scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
                await page.call("Emulation.setEmulatedMedia", features=[scheme])
                yield page
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await draining
