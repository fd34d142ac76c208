"""Members of a group in pages of a browser, which check what they get; see `clients/members.py`.

async with pages(url, ["websocket", "sse"]) as tabs:
    await tabs[0].run("(count) => talk(count)", 10)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from tests.support.browsers.chromium import Tab, chromium, tab

_JOIN = """\
([name, transport]) => {
    const member = { name, pid: 0, echoed: 0, heard: {}, published: [], resets: [], wrong: [] };
    globalThis.member = member;
    const channel = (globalThis.channel = new Channel("/", { transports: [transport] }));
    channel.addEventListener("reset", ({ reason }) => member.resets.push(reason));
    channel.addEventListener("message", ({ data }) => {
        if (data.pid) member.pid = data.pid;
        else if (data.said) (member.heard[data.said[0]] ??= []).push(data.said[1]);
        else if (data.published) member.published.push(data.published);
        else if (data === member.echoed + 1) member.echoed = data;
        else member.wrong.push(data);
    });
    globalThis.talk = async (echoes) => {
        for (let number = 1; number <= echoes; number++) await channel.send(number);
    };
    // Send a number after the other, once the one before was handled and at most `pause`
    // milliseconds have passed, until `stop`.
    const passed = (pause) => new Promise((pass) => setTimeout(pass, pause));
    globalThis.begin = (pause) => {
        member.talks = (async () => {
            for (member.sent = 0; !member.stops; await passed(pause * Math.random()))
                await channel.send(++member.sent);
        })();
        member.talks.catch((error) => member.wrong.push(`${error}`));
    };
    globalThis.stop = () => ((member.stops = true), member.talks);
    globalThis.say = (number) => channel.send({ say: [name, number] });
}
"""


@asynccontextmanager
async def pages(url: str, transports: Sequence[str]) -> AsyncIterator[list[Tab]]:
    """Open a page for each of the transports in one Chromium; on entry each has joined."""
    async with AsyncExitStack() as stack:
        tabs: list[Tab] = []
        if not transports:
            yield tabs
            return
        browser = await stack.enter_async_context(chromium())
        for number, transport in enumerate(transports):
            one = await stack.enter_async_context(tab(browser, f"{url}/page"))
            await one.run(_JOIN, [f"page-{number}", transport])
            await one.wait("member.pid > 0")
            tabs.append(one)
        yield tabs
