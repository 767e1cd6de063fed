"""A headless Firefox, driven through WebDriver BiDi, the protocol that it serves itself.

Playwright drives only the Firefox that it builds itself. Source: https://w3c.github.io/webdriver-bidi/
"""

import asyncio
import base64
import contextlib
import itertools
import re
import subprocess
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import aiohttp

LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)")

SECONDS = 60


class Firefox:
    """One tab. `problems` are the errors and warnings of its console."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: aiohttp.ClientWebSocketResponse):
        self.problems: list[str] = []
        self._loop, self._socket, self._numbers = loop, socket, itertools.count(1)
        self._send("session.new", capabilities={})
        self._send("session.subscribe", events=["log.entryAdded"])
        self._tab = self._send("browsingContext.create", type="tab")["context"]

    def open(self, address: str, width: int = 1280, height: int = 900) -> None:
        """Open a page in a window of so many pixels, and wait until it is loaded."""
        viewport = {"width": width, "height": height}
        self._send("browsingContext.setViewport", context=self._tab, viewport=viewport)
        self._send("browsingContext.navigate", context=self._tab, url=address, wait="complete")

    def value(self, expression: str) -> Any:
        """The text, number or truth that a JavaScript expression is; a promise is awaited."""
        found = self._send(
            "script.evaluate",
            expression=expression,
            target={"context": self._tab},
            awaitPromise=True,
        )
        if found["type"] == "exception":
            raise RuntimeError(found["exceptionDetails"]["text"])
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        self.value(
            "new Promise((done, fail) => { const end = Date.now() + 20000; (function look() {"
            f" if ({expression}) done(true); else if (Date.now() > end) fail(Error('never'));"
            " else setTimeout(look, 50); })(); })"
        )

    def point(self, selector: str, click: bool = False) -> None:
        """Move the mouse to the middle of the first element that a CSS selector finds."""
        x, y = self.value(
            f"(() => {{ const one = document.querySelector({selector!r});"
            " one.scrollIntoView({block: 'center'}); const box = one.getBoundingClientRect();"
            " return `${box.x + box.width / 2} ${box.y + box.height / 2}`; })()"
        ).split()
        steps: list[dict[str, Any]] = [
            {"type": "pointerMove", "x": round(float(x)), "y": round(float(y))}
        ]
        if click:
            steps += [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._act({"type": "pointer", "id": "mouse", "actions": steps})

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, by their codes in WebDriver."""
        steps = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._act({"type": "key", "id": "keyboard", "actions": steps})

    def picture(self) -> bytes:
        """What the window shows, as PNG."""
        found = self._send("browsingContext.captureScreenshot", context=self._tab)
        return base64.b64decode(found["data"])

    def _act(self, source: dict[str, Any]) -> None:
        self._send("input.performActions", context=self._tab, actions=[source])

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        return _result(self._loop, self._answer(number, message))

    async def _answer(self, number: int, message: dict[str, Any]) -> dict[str, Any]:
        await self._socket.send_json(message)
        while True:
            said = await self._socket.receive_json()
            if said.get("method") == "log.entryAdded":
                entry = said["params"]
                if entry["level"] in ("error", "warn"):
                    self.problems.append(entry["text"])
            elif said.get("id") == number:
                if said["type"] == "error":
                    raise RuntimeError(f"{message['method']}: {said['message']}")
                return dict(said["result"])


def _result(loop: asyncio.AbstractEventLoop, waiting: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run_coroutine_threadsafe(waiting, loop).result(SECONDS)


async def _connect(
    address: str,
) -> tuple[aiohttp.ClientSession, aiohttp.ClientWebSocketResponse]:
    session = aiohttp.ClientSession()
    return session, await session.ws_connect(address, max_msg_size=0)


@contextlib.contextmanager
def firefox(program: str) -> Iterator[Firefox]:
    """Start a Firefox with an empty profile, and end it."""
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--remote-debugging-port", "0", "--no-remote", "--profile", profile]
        with subprocess.Popen(
            [program, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            try:
                address = next(filter(None, map(LISTENING.search, process.stderr)))[1]
                # In another thread, because the loop of Playwright runs in this one.
                loop = asyncio.new_event_loop()
                threading.Thread(target=loop.run_forever, daemon=True).start()
                session, socket = _result(loop, _connect(f"{address}/session"))
                yield Firefox(loop, socket)
                _result(loop, session.close())
                loop.call_soon_threadsafe(loop.stop)
            finally:
                process.terminate()
                process.wait(SECONDS)
