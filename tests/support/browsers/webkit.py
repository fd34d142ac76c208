"""WebKitGTK: its MiniBrowser, on a virtual screen, driven over the WebDriver protocol.

Five requests of that protocol are all that is needed here, so they are made directly, with `httpx`
that the Python client uses too. Selenium would make the same ones, but blocking, from a thread.

A driver has one session, which has one browser with a profile that is never written. So each tab
has a driver of its own: that takes half a second, and all of it ends with its process group.

Two things do not exist there. Nothing can be put into a page before its own script: `page.js` comes
once the page is loaded. And the console is told to nobody (Debian's build writes it to the system's
journal): what is wrong is noted by a script that comes with `page.js`, and is what the page's own
scripts write and raise from then on. What WebKit itself writes, as of connections that fail, is not
seen: there are no network errors.
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

from tests.support.browsers.chromium import PAGE_SCRIPT, AnyTab, CallingTab, PageGone, home
from tests.support.servers.process import Process
from tests.support.servers.uvicorn import free_port

_DRIVER = "/usr/bin/WebKitWebDriver"
_BROWSER = "*-linux-gnu/webkit2gtk-4.1/MiniBrowser"
_SCREEN = "/usr/bin/Xvfb"
_NUMBER = re.compile(r"^(\d+)\n", re.MULTILINE)
_ANSWERS_WITHIN = 30.0
"""Seconds for a request to the driver: above that it hangs."""
_PAGE_ANSWERS_WITHIN = 3.0
"""Seconds for a script that does not wait. The driver never answers one whose page was left before
it came there; the next is answered by the page that is there then."""
_EVERY = 0.005
"""Seconds between the questions whether a call has ended."""

_NOTICE = """
globalThis.complaints = [];
{
    const told = (one) => (one?.stack ? `${one}\\n${one.stack}` : String(one));
    const note = (kind, ...what) => complaints.push(`${kind}: ${what.map(told).join(" ")}`);
    for (const kind of ["error", "warn"])
        console[kind] = (...what) => note(`console.${kind}`, ...what);
    console.assert = (holds, ...what) => holds || note("console.assert", ...what);
    addEventListener("error", ({ error, message }) => note("uncaught", error ?? message));
    addEventListener("unhandledrejection", ({ reason }) => note("unhandled rejection", reason));
}
"""
"""What would be on the console."""

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
"""Calls a function, or asks for its answer; null if there is none yet.

It does not wait in the page, except for what follows at once: a page that is left and kept is
paused with everything that runs in it, and the driver would wait for ever.
"""


class _Session:
    """The requests to a driver."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._path = ""

    async def begin(self, browser: str, wanted: dict[str, Any]) -> None:
        """Start the browser, with these capabilities."""
        # A page that was left is kept, as in all browsers: the default of automation is another.
        arguments = ["--automation", "--enable-page-cache=true"]
        options = {"binary": browser, "args": arguments}
        always = {**wanted, "webkitgtk:browserOptions": options}
        begun = await self._ask("/session", {"capabilities": {"alwaysMatch": always}})
        self._path = f"/session/{begun['sessionId']}"

    async def load(self, url: str) -> None:
        """Load a page.

        Raises:
            PageGone: it failed.
        """
        await self._ask(f"{self._path}/url", {"url": url})

    async def execute(self, script: str, *arguments: object) -> Any:
        """Run a script in the page, that calls its last argument soon, and with JSON.

        Raises:
            PageGone: it failed, or the page was left.
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
            told = await self._session.execute(script, number, argument)
            if told is not None:
                break
            await anyio.sleep(_EVERY)
        self.errors += told["complaints"]
        answer: str = told["answer"]
        return answer


class WebKit:
    """Its screen is there; an `Engine`."""

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
            # No proxy of the machine's.
            "http_proxy": "",
            "https_proxy": "",
            "all_proxy": "",
            # It does not work for root, nor in containers.
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
    """Its screen is Xvfb, where each tab is a window.

    Raises:
        RuntimeError: it is not installed.
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
    """Xvfb takes the first that is free, and says which."""
    with anyio.fail_after(_ANSWERS_WITHIN):
        while True:
            if found := _NUMBER.search(await anyio.Path(log).read_text()):
                return f":{found[1]}"
            await anyio.sleep(0.01)
