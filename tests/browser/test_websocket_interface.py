"""The behaviours of `websocket_behaviours.js`, of the browser's `WebSocket` and of ours.

Each runs with the browser's own class against bare endpoints, and with `FallbackWebSocket` against
the same endpoints below a hub of `as_websocket`, over each transport. What differs is listed in
docs/existing-websocket.md; `test_websocket_differences.py` has a test for each line of that.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.browser.pages import TRANSPORTS
from tests.support.browsers.chromium import Tab, tab
from tests.support.servers.uvicorn import Server, serving

pytestmark = pytest.mark.browser

SCRIPT = Path(__file__).with_name("websocket_behaviours.js")

WRONG_USE = re.compile("not a valid enum value|already in CLOSING or CLOSED state")
"""What the browser's own class writes to the console about some calls."""

CLIENT_GONE = "ASGI callable returned without completing handshake."
"""What uvicorn logs about a bare endpoint whose client has gone before the accept."""

RUN = """async ([kind, within]) => {
    const Class = kind === "native" ? WebSocket : FallbackWebSocket.with({ transports: [kind] });
    const mount = kind === "native" ? "bare" : "ws";
    const base = `${location.origin.replace("http", "ws")}/${mount}`;
    const failures = [];
    for (const [name, behave] of Object.entries(behaviours)) {
        let timer;
        const late = new Promise((_, reject) => {
            timer = setTimeout(() => reject(new Error("it does not end")), within);
        });
        await Promise.race([late, (async () => behave(Class, base))()])
            .catch((error) => failures.push(`${name}: ${error.stack ?? error}`));
        clearTimeout(timer);
    }
    return [Object.keys(behaviours).length, failures];
}"""


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    app = "tests.support.existing_websockets:app"
    async with serving(app, "--no-access-log", clean=False) as server:
        yield server
    assert [line for line in server.complaints if CLIENT_GONE not in line] == []


@asynccontextmanager
async def behaving(browser: Browser, server: Server) -> AsyncIterator[Tab]:
    async with tab(browser, server.url) as page:
        await page.page.add_script_tag(path=SCRIPT)
        yield page
        page.errors = [text for text in page.errors if not WRONG_USE.search(text)]


@pytest.mark.parametrize("kind", ["native", *TRANSPORTS])
async def test_every_behaviour_is_that_of_standard(
    browser: Browser, server: Server, kind: str
) -> None:
    async with behaving(browser, server) as page:
        count, failures = await page.run(RUN, [kind, 10_000], timeout=60)
    assert count > 40
    assert failures == [], "\n".join(failures)


async def test_every_behaviour_is_same_in_worker(browser: Browser, server: Server) -> None:
    script = f"{SCRIPT.read_text('utf-8')}; ({RUN})(['websocket', 10_000])"
    async with tab(browser, server.url) as page:
        count, failures = await page.run(
            """async (script) => {
                const worker = new Worker("/worker.js", { type: "module" });
                const answer = new Promise((resolve, reject) => {
                    worker.onmessage = ({ data }) => resolve(data);
                    worker.onerror = ({ message }) => reject(new Error(message));
                });
                worker.postMessage(script);
                return answer.finally(() => worker.terminate());
            }""",
            script,
            timeout=60,
        )
    assert count > 40
    assert failures == [], "\n".join(failures)
