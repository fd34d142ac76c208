"""WebKitGTK: its MiniBrowser on a virtual screen, driven over the WebDriver protocol.

The tests need only five requests of WebDriver, so this module makes them directly with `httpx`,
which the Python client uses too. Selenium would make the same requests, but from a blocking thread.

A driver has one session, with one browser and a profile that is never saved. So each tab has its
own driver: it starts in half a second, and ends with its process group.

Two features are missing. A script cannot be injected before the page's own script, so `page.js` is
injected after the page has loaded. And the console cannot be read (Debian's build writes it to the
system's journal), so a script that is injected with `page.js` records what the page's own scripts
write and throw from then on. Messages of WebKit itself, such as those about failed connections, are
not visible, so the only network errors are those of the client.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx

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

_DRIVER = "/usr/bin/WebKitWebDriver"
_BROWSER = "*-linux-gnu/webkit2gtk-4.1/MiniBrowser"
_SCREEN = "/usr/bin/Xvfb"
_NUMBER = re.compile(r"^(\d+)\n", re.MULTILINE)
_ANSWERS_WITHIN = 30.0
"""Seconds for a request to the driver; if it takes longer, it hangs."""
_PAGE_ANSWERS_WITHIN = 3.0
"""Seconds for a script that does not wait. The driver never answers if the page was left before the
script arrived there; the next request is answered by the current page."""
_EVERY = 0.005
"""Seconds between two queries for the result of a call."""

_NOTICE = """
globalThis.complaints = [];
{
    const describe = (one) => (one?.stack ? `${one}\\n${one.stack}` : String(one));
    const note = (kind, ...what) => complaints.push(`${kind}: ${what.map(describe).join(" ")}`);
    for (const kind of ["error", "warn"])
        console[kind] = (...what) => note(`console.${kind}`, ...what);
    console.assert = (holds, ...what) => holds || note("console.assert", ...what);
    addEventListener("error", ({ error, message }) => note("uncaught", error ?? message));
    addEventListener("unhandledrejection", ({ reason }) => note("unhandled rejection", reason));
}
"""
"""Records what would be on the console."""

_CALL = """
const [number, argument, done] = arguments;
const calls = (globalThis.callsOfTheDriver ??= new Map());
let call = calls.get(number);
if (!call) {
    calls.set(number, (call = { answer: null }));
    (FUNCTION)(argument).then((answer) => { call.answer = answer; });
}
(async () => {
    for (let turns = 10; call.answer === null && turns > 0; turns -= 1) await null;
    if (call.answer === null) return done(null);
    calls.delete(number);
    done({ answer: call.answer, complaints: globalThis.complaints?.splice(0) ?? [] });
})();
"""
"""Calls a function, or queries its result; returns null if there is no result yet.

It does not wait in the page, except for what follows immediately. A page that is left and cached is
paused together with everything that runs in it, and the driver would wait for ever.
"""


class _Session:
    """A client of one driver."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._path = ""

    async def begin(self, browser: str, wanted: dict[str, Any]) -> None:
        """Start the browser with these capabilities."""
        # Keep pages that were left in the cache, like every browser; automation disables that.
        arguments = ["--automation", "--enable-page-cache=true"]
        options = {"binary": browser, "args": arguments}
        always = {**wanted, "webkitgtk:browserOptions": options}
        begun = await self._ask("/session", {"capabilities": {"alwaysMatch": always}})
        self._path = f"/session/{begun['sessionId']}"

    async def load(self, url: str) -> None:
        """Load a page.

        Raises:
            PageGone: the page could not be loaded.
        """
        await self._ask(f"{self._path}/url", {"url": url})

    async def execute(self, script: str, *arguments: object) -> Any:
        """Run a script in the page. It must call its last argument promptly, with JSON.

        Raises:
            PageGone: the script failed, or the page was left.
        """
        body = {"script": script, "args": arguments}
        return await self._ask(f"{self._path}/execute/async", body, _PAGE_ANSWERS_WITHIN)

    async def end(self) -> None:
        """End the browser."""
        if self._path:
            with suppress(httpx.TransportError):
                await self._client.delete(self._path)

    async def _ask(self, path: str, body: dict[str, Any], within: float = _ANSWERS_WITHIN) -> Any:
        try:
            answer = await self._client.post(path, json=body, timeout=within)
        except httpx.ReadTimeout as error:
            raise PageGone(f"{path.rsplit('/', 1)[1]}: no answer within {within} s") from error
        except httpx.TransportError as error:
            raise PageGone(f"the driver of WebKit has gone: {error!r}") from error
        value = answer.json()["value"]
        if answer.is_success:
            return value
        raise PageGone(f"{path.rsplit('/', 1)[1]}: {value['error']}: {value['message']}")


class _Tab(CallingTab):
    def __init__(self, session: _Session, script: str) -> None:
        super().__init__()
        self._session = session
        self._script = script
        self._numbers = itertools.count(1)

    async def load(self, url: str) -> None:
        await self._session.load(url)

    async def prepare(self) -> None:
        await self.call(f"async () => {{ {_NOTICE} {self._script}; return '' }}", "")

    async def call(self, function: str, argument: str) -> str:
        script = _CALL.replace("FUNCTION", function)
        number = next(self._numbers)
        while True:
            result = await self._session.execute(script, number, argument)
            if result is not None:
                break
            await anyio.sleep(_EVERY)
        for text in result["complaints"]:
            (self.network_errors if OUTAGE_WARNING in text else self.errors).append(text)
        answer: str = result["answer"]
        return answer


class WebKit:
    """WebKit on a running virtual screen, which is an `Engine`."""

    name = "webkit"

    def __init__(self, browser: str, folder: Path, display: str) -> None:
        self._browser = browser
        self._folder = folder
        self._environment = {
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "DISPLAY": display,
            "GDK_BACKEND": "x11",
            "GSETTINGS_BACKEND": "memory",
            "NO_AT_BRIDGE": "1",
            # Do not use the machine's proxy.
            "http_proxy": "",
            "https_proxy": "",
            "all_proxy": "",
            # The sandbox does not work for root or in containers.
            "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",
        }

    @asynccontextmanager
    async def tab(
        self,
        url: str | None = None,
        *,
        ignore_https_errors: bool = False,
        proxy: str | None = None,
    ) -> AsyncIterator[AnyTab]:
        script = await anyio.Path(PAGE_SCRIPT).read_text()
        async with self._session() as session:
            wanted: dict[str, Any] = {"acceptInsecureCerts": ignore_https_errors}
            if proxy is not None:
                address = urlsplit(proxy).netloc
                wanted["proxy"] = {"proxyType": "manual", "httpProxy": address, "sslProxy": address}
            await session.begin(self._browser, wanted)
            async with _Tab(session, script).visiting(url) as one:
                yield one

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[_Session]:
        port = free_port()
        command = [_DRIVER, f"--port={port}"]
        program = Process("WebKitWebDriver", command, self._folder, self._environment)
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        try:
            await program.start([port])
            async with client:
                session = _Session(client)
                try:
                    yield session
                finally:
                    with anyio.CancelScope(shield=True):
                        await session.end()
        finally:
            await program.stop()


@asynccontextmanager
async def webkit() -> AsyncIterator[WebKit]:
    """Run WebKit on a screen of Xvfb, on which each tab is a window.

    Raises:
        RuntimeError: WebKit is not installed.
    """
    found = [str(one) async for one in anyio.Path("/usr/lib").glob(_BROWSER)]
    if not found:
        raise RuntimeError(f"there is no /usr/lib/{_BROWSER}: Debian's libwebkit2gtk-4.1-0 has it")
    with home("webkit") as folder:
        command = [_SCREEN, "-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp"]
        program = Process("Xvfb", command, folder)
        try:
            await program.start([])
            yield WebKit(found[0], folder, await _display(folder / "log"))
        finally:
            await program.stop()


async def _display(log: Path) -> str:
    """Wait until Xvfb has chosen a free display, and return its name."""
    with anyio.fail_after(_ANSWERS_WITHIN):
        while True:
            if found := _NUMBER.search(await anyio.Path(log).read_text()):
                return f":{found[1]}"
            await anyio.sleep(0.01)
