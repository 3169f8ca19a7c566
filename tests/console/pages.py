"""What tests of the console share: a bridge with a call, and a browser that complains of nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Browser, Page, expect

from bridge.app import Bridge
from bridge.simulator.caller import SimulatedCall
from tests.scripted_speech import Peer, ScriptedSpeech
from tests.test_calls import bridge, line, live

PATIENCE_MS = 20_000
"""How long a browser on a busy machine may take for what takes none on another."""
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Looked:
    """A page, and what the browser complained of while it was looked at."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def complain(self, text: str) -> None:
        self.complaints.append(text)


@contextlib.asynccontextmanager
async def looking(browser: Browser, url: str, *, but: str = "nothing") -> AsyncIterator[Page]:
    """Look at an address; at the end nothing must have been complained of, not even by the policy of the page.

    `but`: what may be complained of, as browsers do of answers that say what was wrong with a request.
    """
    context = await browser.new_context(viewport={"width": 1200, "height": 900}, locale="en-GB")
    page = await context.new_page()
    looked = Looked(page)
    page.on("console", lambda said: looked.complain(said.text) if said.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: looked.complain(str(error)))
    page.set_default_timeout(PATIENCE_MS)
    await page.goto(url)
    try:
        yield page
        assert [said for said in looked.complaints if but not in said] == []
    finally:
        await context.close()


async def becomes(page: Page, what: str) -> None:
    """Wait until an expression is true. (The driver's own way to do so is refused by the policy of the page.)"""
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while not await page.evaluate(what):  # noqa: ASYNC110  A browser tells nobody of it.
            await asyncio.sleep(0.02)


@dataclass
class Scene:
    """A bridge, a call to it, and what hears the caller."""

    up: Bridge
    call: SimulatedCall
    peer: Peer


@contextlib.asynccontextmanager
async def talking(folder: Path, **environment: str) -> AsyncIterator[Scene]:
    async with (
        ScriptedSpeech().running() as speech,
        bridge(folder, speech.url, **environment) as up,
        SimulatedCall(line(up)) as call,
    ):
        peer = await speech.listener()
        await live(up, call.call_sid)
        yield Scene(up, call, peer)
