"""Pages of Chromium, driven by playwright, that record their errors.

`tests.support.browsers.firefox` and `tests.support.browsers.webkit` share parts of this module.
`tests.support.browsers.engines.engine` returns any of the engines by name.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, Self, cast

import anyio
from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    async_playwright,
)

DEADLINE = 30.0
"""Seconds that a test waits for a condition in a page. Generous, because machines are loaded, but
below the 45 s after which a silent connection counts as dead."""

CHROMIUM = "/usr/bin/chromium"
PAGE_SCRIPT = Path(__file__).with_name("page.js")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
]
_ANSWERS_WITHIN = 60.0
"""Seconds in which Chromium creates or removes a profile; if it takes longer, it hangs."""

_OF_THE_NETWORK = re.compile(
    r"Failed to load resource|WebSocket connection to .* failed|has been blocked by CORS policy"
)
"""Chromium's own console messages about failed connections, which a page cannot prevent."""

OUTAGE_WARNING = "onechannel: unreachable"
"""How the client's warning begins that a page without a listener gets when nothing connects."""


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Browser]:
    """Run a headless Chromium with an empty profile and further ``flags``."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=[*CHROMIUM_FLAGS, *flags]
        )
        try:
            yield browser
        finally:
            await browser.close()


class AnyTab(Protocol):
    """A page of any engine, and its errors.

    Attributes:
        errors: uncaught errors, unhandled rejections, and errors and warnings of the console,
            except those that the engine itself, or the client, writes when nothing connects.
        network_errors: the exceptions above, if the engine reports them.
    """

    errors: list[str]
    network_errors: list[str]

    async def goto(self, url: str, *, timeout: float = DEADLINE) -> None:
        """Load the page and wait until its script has the client (`window.ready`)."""

    async def run(self, script: str, argument: object = None, *, timeout: float = DEADLINE) -> Any:
        """Evaluate a JavaScript function in the page, and return its result."""

    async def wait(
        self, condition: str, argument: object = None, *, timeout: float = DEADLINE
    ) -> None:
        """Wait until a JavaScript expression or function is true in the page."""

    def assert_no_errors(self) -> None:
        """Fail if the page had any errors."""


class Engine(Protocol):
    """A running browser.

    Attributes:
        name: the name in `tests.support.browsers.engines`.
    """

    @property
    def name(self) -> str: ...

    def tab(
        self,
        url: str | None = None,
        *,
        ignore_https_errors: bool = False,
        proxy: str | None = None,
    ) -> AbstractAsyncContextManager[AnyTab]:
        """Open a page like `tab` below: with its own profile, and checked for errors at the end.

        Args:
            url: the URL to load.
            ignore_https_errors: whether to accept any certificate.
            proxy: the URL of a forward proxy to use, for loopback too.
        """


class PageError(Exception):
    """A script raised in the page."""


class PageGone(PageError):
    """The page or the browser went away before it answered."""


class CallingTab(ABC):
    """An `AnyTab` of an engine that can only load a page and call a function in it.

    Arguments and results are passed as JSON, so that all engines behave alike.
    """

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.network_errors: list[str] = []

    @abstractmethod
    async def load(self, url: str) -> None:
        """Load the page."""

    @abstractmethod
    async def prepare(self) -> None:
        """Put `page.js` into the page, unless it was loaded before the page's own script."""

    @abstractmethod
    async def call(self, function: str, argument: str) -> str:
        """Call an async function with a string, and return the string that it resolves to.

        The function must not throw in the page.

        Raises:
            PageGone: the page or the browser went away meanwhile.
        """

    async def goto(self, url: str, *, timeout: float = DEADLINE) -> None:
        with anyio.fail_after(timeout):
            await self.load(url)
            await self.wait("window.ready === true", timeout=timeout)
            await self.prepare()

    async def run(self, script: str, argument: object = None, *, timeout: float = DEADLINE) -> Any:
        function = f"""async (text) => {{
            try {{
                const given = ({script});
                const answer = typeof given === "function" ? given(JSON.parse(text)) : given;
                return JSON.stringify({{ answer: await answer }});
            }} catch (error) {{
                return JSON.stringify({{ error: `${{error}}\\n${{error?.stack ?? ""}}` }});
            }}
        }}"""
        with anyio.fail_after(timeout):
            result = json.loads(await self.call(function, json.dumps(argument)))
        if "error" in result:
            raise PageError(result["error"])
        return result.get("answer")

    async def wait(
        self, condition: str, argument: object = None, *, timeout: float = DEADLINE
    ) -> None:
        holds = f"""async (argument) => {{
            const given = ({condition});
            return Boolean(await (typeof given === "function" ? given(argument) : given));
        }}"""
        with anyio.fail_after(timeout):
            while True:
                with suppress(PageGone):  # the next page may fulfil it
                    if await self.run(holds, argument, timeout=timeout):
                        return
                await anyio.sleep(0.02)

    @asynccontextmanager
    async def visiting(self, url: str | None) -> AsyncIterator[Self]:
        """Load the page if a URL is given. At the end of the block, check that it had no errors."""
        if url is not None:
            await self.goto(url)
        yield self
        await self.settle()
        self.assert_no_errors()

    async def settle(self) -> None:
        """Wait a turn of the event loop, so that rejections of the last turn are reported."""
        await self.run("() => new Promise((resolve) => setTimeout(resolve, 0))")

    def assert_no_errors(self) -> None:
        assert self.errors == [], "\n".join(self.errors)


class Tab:
    """An `AnyTab` of Chromium.

    Attributes:
        page: the page of playwright.
        errors: uncaught errors, unhandled rejections, and errors and warnings of the console,
            except those that Chromium itself, or the client, writes when nothing connects.
        network_errors: the exceptions above.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.network_errors: list[str] = []
        page.on("pageerror", self._raised)
        page.on("console", self._wrote)
        page.on("crash", lambda _: self.errors.append("the page crashed"))

    def _raised(self, error: Error) -> None:
        self.errors.append(error.stack or str(error))

    def _wrote(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning", "assert"):
            return
        if OUTAGE_WARNING in message.text or _OF_THE_NETWORK.search(message.text):
            self.network_errors.append(message.text)
        else:
            self.errors.append(f"console.{message.type}: {message.text}")

    async def goto(self, url: str, *, timeout: float = DEADLINE) -> None:
        """Load the page and wait until its script has the client (`window.ready`)."""
        with anyio.fail_after(timeout):
            await self.page.goto(url)
            await self.page.wait_for_function("window.ready === true")

    async def run(self, script: str, argument: object = None, *, timeout: float = DEADLINE) -> Any:
        """Evaluate a JavaScript function in the page, and return its result."""
        with anyio.fail_after(timeout):
            return cast("Any", await self.page.evaluate(script, argument))

    async def wait(
        self, condition: str, argument: object = None, *, timeout: float = DEADLINE
    ) -> None:
        """Wait until a JavaScript expression or function is true in the page."""
        with anyio.fail_after(timeout):
            await self.page.wait_for_function(
                condition, arg=argument, polling=20, timeout=timeout * 1000
            )

    def assert_no_errors(self) -> None:
        assert self.errors == [], "\n".join(self.errors)


@asynccontextmanager
async def tab(
    browser: Browser,
    url: str | None = None,
    *,
    ignore_https_errors: bool = False,
    proxy: str | None = None,
) -> AsyncIterator[Tab]:
    """Open a page with its own profile. At the end of the block, check that it had no errors."""
    with anyio.fail_after(_ANSWERS_WITHIN):
        context = await browser.new_context(
            ignore_https_errors=ignore_https_errors,
            proxy={"server": proxy, "bypass": "<-loopback>"} if proxy else None,
        )
    try:
        await context.add_init_script(path=PAGE_SCRIPT)
        one = Tab(await context.new_page())
        if url is not None:
            await one.goto(url)
        yield one
        # Rejections of the last turn are reported in the next.
        await one.run("() => new Promise((resolve) => setTimeout(resolve, 0))")
        one.assert_no_errors()
    finally:
        with anyio.CancelScope(shield=True), anyio.fail_after(_ANSWERS_WITHIN):
            await context.close()


@contextmanager
def home(name: str) -> Iterator[Path]:
    """Create a folder for the files of a browser, and remove it after the block."""
    folder = Path(tempfile.mkdtemp(prefix=f"onechannel-{name}-"))
    try:
        yield folder
    finally:
        # A killed process ends a moment later, and may write until then.
        deadline = time.monotonic() + _ANSWERS_WITHIN
        while folder.exists():
            shutil.rmtree(folder, ignore_errors=time.monotonic() < deadline)
