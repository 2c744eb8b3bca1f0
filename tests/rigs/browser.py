"""Chromium without a window, driven through its own DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

PATIENCE = 30.0  # s that anything may take on a busy machine
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--disable-extensions", "--mute-audio"),
    *("--autoplay-policy=user-gesture-required", "--remote-debugging-port=0"),
)


class Browser:
    """One tab. errors: what the page has complained of so far."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._dialogue = asyncio.get_running_loop().create_task(self._read())
        self.errors: list[str] = []

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type != WSMsgType.TEXT:
                continue
            said = json.loads(message.data)
            if "id" in said:
                answer = self._answers.pop(said["id"])
                if not answer.done():  # whoever asked may have given up
                    answer.set_result(said)
            else:
                self.errors += list(_complaints(said["method"], said.get("params", {})))

    async def call(
        self, method: str, patience: float = PATIENCE, /, **params: Any
    ) -> dict[str, Any]:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with asyncio.timeout(patience):
            said = await answer
        assert "error" not in said, said
        result: dict[str, Any] = said["result"]
        return result

    async def open(self, url: str) -> None:
        """Go somewhere; whoever asks waits for what he wants to see there."""
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=url)

    async def ask(self, expression: str, patience: float = PATIENCE) -> Any:
        """What a JavaScript expression gives; a promise is awaited, for so many seconds."""
        said = await self.call(
            "Runtime.evaluate",
            patience,
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in said, f"{expression}: {said['exceptionDetails']}"
        return said["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until an expression is true of the page; what it gives then."""
        found = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not (found := await self.ask(expression)):
                    await asyncio.sleep(0.02)
        assert found, f"never true: {expression}; the page says {self.errors}"
        return found

    async def click(self, selector: str) -> None:
        """Press what a selector finds, in its middle, as a mouse does."""
        place = await self.until(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return 0;"
            " e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            " return b.width && [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        await self.press(*place)

    async def press(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            await self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )

    async def drag(self, x: float, y: float, to_x: float, to_y: float) -> None:
        """Press somewhere, move, and let go elsewhere."""
        for kind, left, top in (
            ("mousePressed", x, y),
            ("mouseMoved", (x + to_x) / 2, (y + to_y) / 2),
            ("mouseMoved", to_x, to_y),
            ("mouseReleased", to_x, to_y),
        ):
            await self.call(
                "Input.dispatchMouseEvent", type=kind, x=left, y=top, button="left", clickCount=1
            )

    async def key(self, key: str, text: str = "", modifiers: int = 0) -> None:
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, modifiers=modifiers, **more
            )

    async def size(self, width: int, height: int, mobile: bool = False, dark: bool = True) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if mobile else 1,
            mobile=mobile,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self, path: Path) -> None:
        said = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(said["data"]))

    async def close(self) -> None:
        self._dialogue.cancel()
        await self._socket.close()


def _complaints(method: str, params: dict[str, Any]) -> Iterator[str]:
    if method == "Runtime.exceptionThrown":
        details = params["exceptionDetails"]
        yield str(details.get("exception", {}).get("description") or details["text"])
    elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert", "warning"):
        yield " ".join(str(each.get("value", each)) for each in params["args"])
    elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
        yield f"{params['entry']['text']} {params['entry'].get('url', '')}"


@asynccontextmanager
async def browser(program: str, folder: Path, *flags: str) -> Any:
    """A tab of a fresh Chromium. folder: an empty one, for all that it keeps."""
    env = {**os.environ, "HOME": str(folder)}
    process = await asyncio.create_subprocess_exec(
        *(program, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=env,
    )
    try:
        port = await _port(folder / "profile" / "DevToolsActivePort")
        async with ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.get("/json/list") as response:
                tabs = json.loads(await response.text())
            url = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            tab = Browser(await session.ws_connect(url, max_msg_size=0))
            try:
                yield tab
            finally:
                await tab.close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _port(file: Path) -> int:
    """Where it listens, once it has said so."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
                return int(file.read_text().splitlines()[0])
            await asyncio.sleep(0.02)
