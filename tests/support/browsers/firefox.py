"""Firefox ESR, headless, driven over WebDriver BiDi.

Firefox implements BiDi itself, as JSON messages over a WebSocket, and the tests need only a dozen
commands. So this module speaks BiDi directly, with the `websockets` library that the Python client
uses too. A driver library would be a further process of Node that must be started and stopped.

Each tab has its own window, because timers of a hidden tab are slow, and its own user context,
with its own cookies, storage and connections.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.browsers.chromium import (
    OUTAGE_WARNING,
    PAGE_SCRIPT,
    AnyTab,
    CallingTab,
    PageGone,
    home,
)
from tests.support.servers.process import Process
from tests.support.servers.uvicorn import free_port

_EXECUTABLE = "/usr/bin/firefox-esr"
_ANSWERS_WITHIN = 30.0
"""Seconds for a command that waits for nothing in the page; if it takes longer, it hangs."""

_PREFERENCES = {
    # Do not use the machine's proxy; use the proxy that a tab names, for loopback too.
    "network.proxy.type": 0,
    "network.proxy.allow_hijacking_localhost": True,
    # Prevent Firefox's own requests to Mozilla's servers.
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "app.update.disabledForTesting": True,
    "app.normandy.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "extensions.systemAddon.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.topsites.contile.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.startup.page": 0,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}
"""Settings that the driver's default preferences do not cover."""

_OF_THE_NETWORK = re.compile(
    r"can’t establish a connection to the server at ws|"
    r"The connection to wss?://\S+ was interrupted|"
    r"Cross-Origin Request Blocked"
)
"""Firefox's own console messages about failed connections, which a page cannot prevent."""

_LAST = "the last of this page's errors"


class _Driver:
    """The BiDi connection: it sends commands, and routes events to the tabs."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.tabs: dict[str, _Tab] = {}
        """The tabs, by browsing context."""

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and wait for its result.

        Raises:
            PageGone: the command failed, or Firefox has gone.
        """
        self._number += 1
        number = self._number
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send(
                json.dumps({"id": number, "method": method, "params": parameters})
            )
            result = await answer
        except ConnectionClosed as error:
            raise PageGone(f"Firefox has gone: {error}") from error
        finally:
            del self._answers[number]
        if result["type"] == "error":
            raise PageGone(f"{method}: {result['error']}: {result['message']}")
        value: dict[str, Any] = result["result"]
        return value

    async def read(self) -> None:
        """Dispatch messages of Firefox until the connection ends."""
        try:
            async for text in self._socket:
                self._take(json.loads(text))
        except ConnectionClosed:
            pass  # handled like the end of the loop
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(PageGone("Firefox has gone"))

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "event":
            tab = self.tabs.get(message["params"].get("source", {}).get("context"))
            if tab is not None:
                tab.wrote(message["params"])
        elif (answer := self._answers.get(message["id"])) and not answer.done():
            answer.set_result(message)


class _Tab(CallingTab):
    def __init__(self, driver: _Driver, context: str) -> None:
        super().__init__()
        self._driver = driver
        self._context = context
        self._settled = asyncio.Event()

    def wrote(self, entry: dict[str, Any]) -> None:
        """Record an entry of the tab's log."""
        text = entry["text"] or ""
        if _LAST in text:
            self._settled.set()
        elif entry["level"] not in ("error", "warn"):
            pass
        elif OUTAGE_WARNING in text:
            self.network_errors.append(text)
        elif entry["type"] != "javascript":
            self.errors.append(f"console.{entry['method']}: {text}")
        elif _OF_THE_NETWORK.search(text):
            self.network_errors.append(text)
        else:
            self.errors.append(f"{entry['level']}: {text}\n{_lines(entry.get('stackTrace'))}")

    async def settle(self) -> None:
        # Script errors are reported a moment later, but in order.
        await super().settle()
        await self.run("(last) => reportError(last)", _LAST)
        with anyio.fail_after(_ANSWERS_WITHIN):
            await self._settled.wait()

    async def load(self, url: str) -> None:
        await self._driver.command(
            "browsingContext.navigate", context=self._context, url=url, wait="complete"
        )

    async def prepare(self) -> None:
        """Do nothing: `page.js` is a preload script here."""

    async def call(self, function: str, argument: str) -> str:
        result = await self._driver.command(
            "script.callFunction",
            functionDeclaration=function,
            arguments=[{"type": "string", "value": argument}],
            awaitPromise=True,
            target={"context": self._context},
        )
        if result["type"] == "exception":
            raise PageGone(result["exceptionDetails"]["text"])
        answer: str = result["result"]["value"]
        return answer


def _proxy(url: str | None) -> dict[str, Any]:
    if url is None:
        return {"proxyType": "direct"}
    address = urlsplit(url).netloc
    return {"proxyType": "manual", "httpProxy": address, "sslProxy": address, "noProxy": []}


def _lines(trace: dict[str, Any] | None) -> str:
    return "\n".join(
        f"    at {one['functionName']} ({one['url'][:100]}:{one['lineNumber'] + 1})"
        for one in (trace or {}).get("callFrames", [])
    )


class Firefox:
    """A running Firefox, which is an `Engine`."""

    name = "firefox"

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver

    @asynccontextmanager
    async def tab(
        self,
        url: str | None = None,
        *,
        ignore_https_errors: bool = False,
        proxy: str | None = None,
    ) -> AsyncIterator[AnyTab]:
        command = self._driver.command
        script = await anyio.Path(PAGE_SCRIPT).read_text()
        with anyio.fail_after(_ANSWERS_WITHIN):
            made = await command(
                "browser.createUserContext",
                acceptInsecureCerts=ignore_https_errors,
                proxy=_proxy(proxy),
            )
        user: str = made["userContext"]
        try:
            with anyio.fail_after(_ANSWERS_WITHIN):
                made = await command("browsingContext.create", type="window", userContext=user)
                context: str = made["context"]
                one = self._driver.tabs[context] = _Tab(self._driver, context)
                await command(
                    "script.addPreloadScript",
                    functionDeclaration=f"() => {{ {script} }}",
                    contexts=[context],
                )
            async with one.visiting(url):
                yield one
        finally:
            with anyio.CancelScope(shield=True), anyio.fail_after(_ANSWERS_WITHIN):
                await command("browser.removeUserContext", userContext=user)


@asynccontextmanager
async def firefox() -> AsyncIterator[Firefox]:
    """Run a headless Firefox with an empty profile."""
    with home("firefox") as folder:
        await _write_profile(folder / "profile")
        port = free_port()
        program = Process("Firefox", _command(port), folder, {"HOME": str(folder)})
        try:
            await program.start([port])
            async with _driver(f"ws://127.0.0.1:{port}/session") as driver:
                with anyio.fail_after(_ANSWERS_WITHIN):
                    await driver.command("session.new", capabilities={})
                    await driver.command("session.subscribe", events=["log.entryAdded"])
                yield Firefox(driver)
        finally:
            await program.stop()


def _command(port: int) -> list[str]:
    return [
        *(_EXECUTABLE, "--headless", "--no-remote", "--new-instance", "--profile", "profile"),
        *("--remote-debugging-port", str(port), "about:blank"),
    ]


@asynccontextmanager
async def _driver(url: str) -> AsyncIterator[_Driver]:
    async with connect(url, max_size=None, proxy=None, ping_interval=None) as socket:
        driver = _Driver(socket)
        reader = asyncio.create_task(driver.read())
        try:
            yield driver
        finally:
            reader.cancel()
            await asyncio.wait([reader])


async def _write_profile(profile: Path) -> None:
    folder = anyio.Path(profile)
    await folder.mkdir()
    lines = [
        f"user_pref({json.dumps(name)}, {json.dumps(value)});"
        for name, value in _PREFERENCES.items()
    ]
    await (folder / "user.js").write_text("\n".join(lines))
