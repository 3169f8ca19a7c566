"""The softphone's page in a real browser, with scripted speech: what it shows when things go another way."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from bridge.app import Bridge, running
from bridge.call.session import Session
from bridge.settings.source import load_settings
from tests.console.browser import chromium, needs_browser
from tests.console.softphone_agent import DESK
from tests.scripted_speech import ScriptedSpeech

pytestmark = [needs_browser, pytest.mark.asyncio(loop_scope="module")]

TOKEN = "t" * 32
SETTINGS = {
    "BRIDGE_SERVER__PORT": "0",
    "BRIDGE_SPEECH__API_KEY": "sk_test",
    "BRIDGE_AGENT__KIND": "python",
    "BRIDGE_AGENT__URL": "tests.console.softphone_agent:answer",
}
CONNECTED = ", ".join(f'body[data-state="{name}"]' for name in ("talking", "listening", "thinking", "speaking"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@contextlib.asynccontextmanager
async def bridge(folder: Path, **more: str) -> AsyncIterator[Bridge]:
    async with ScriptedSpeech().running() as speech:
        own = {**SETTINGS, "BRIDGE_SPEECH__BASE_URL": speech.url, "BRIDGE_STORE__RECORDINGS": str(folder), **more}
        async with running(load_settings(environment=own, files=())) as up:
            yield up


@contextlib.asynccontextmanager
async def opened(browser: Browser, url: str) -> AsyncIterator[Page]:
    context = await browser.new_context()
    page = await context.new_page()
    page.set_default_timeout(15_000)
    expect.set_options(timeout=15_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.goto(url)
    yield page
    await context.close()
    assert faults == []


async def called(page: Page) -> None:
    await page.locator("#call").click()
    await page.wait_for_selector(CONNECTED, state="attached")


def cut(up: Bridge) -> Session:
    """Break the connection of the one call, as a network does, and return the call."""
    (session,) = up.registry.live.values()
    assert session._carrier is not None
    assert session._carrier._cut is not None
    session._carrier._cut()
    return session


async def test_a_transfer_asks_how_it_ends_and_the_caller_comes_back(browser: Browser, tmp_path: Path) -> None:
    async with bridge(tmp_path) as up, opened(browser, up.url + "/softphone") as page:
        await called(page)
        await page.keyboard.press("9")
        await expect(page.locator("#dial-title")).to_have_text(f"A phone company would now ring {DESK}.")
        await expect(page.locator("#dial-title")).to_be_focused()
        await expect(page.locator("body")).to_have_attribute("data-state", "away")
        await page.get_by_role("button", name="No answer").click()
        await page.wait_for_selector(CONNECTED, state="attached")
        await expect(page.locator("#dial")).to_be_hidden()
        await expect(page.locator("#log")).to_contain_text("Stream 2 is open.")
        await page.keyboard.press("9")
        await page.get_by_role("button", name="They talked").click()
        await expect(page.locator("#ending")).to_have_text("The bridge hung up.")
        await expect(page.locator("#call")).to_be_focused()


async def test_a_connection_that_breaks_is_taken_up_again(browser: Browser, tmp_path: Path) -> None:
    async with bridge(tmp_path) as up, opened(browser, up.url + "/softphone") as page:
        await called(page)
        session = cut(up)
        await expect(page.locator("#log")).to_contain_text("The connection is taken up again.")
        await expect(page.locator("#log")).to_contain_text("Stream 2 is open.")
        assert [*up.registry.live.values()] == [session]
        await page.locator("#hang-up").click()
        await expect(page.locator("#ending")).to_have_text("You hung up.")
        await asyncio.wait_for(session.ended.wait(), 5)


async def test_a_page_that_is_closed_hangs_up(browser: Browser, tmp_path: Path) -> None:
    async with bridge(tmp_path) as up, opened(browser, up.url + "/softphone") as page:
        await called(page)
        (session,) = up.registry.live.values()
        await page.goto("about:blank")
        await asyncio.wait_for(session.ended.wait(), 5)
    (journal,) = tmp_path.rglob("journal.jsonl")
    assert json.loads(journal.read_text().splitlines()[-1])["reason"] == "caller"


async def test_a_bridge_that_goes_away_is_told_of(browser: Browser, tmp_path: Path) -> None:
    async def sooner(route: Route) -> None:
        if route.request.method != "GET":
            await route.continue_()
            return
        answer = await (await route.fetch()).json()
        await route.fulfill(json=answer | {"reattach_seconds": 1})

    async with opened(browser, "about:blank") as page:
        async with bridge(tmp_path) as up:
            await page.route("**/api/v1/softphone", sooner)
            await page.route("**/api/v1/softphone/*/next", lambda route: route.abort())
            await page.goto(up.url + "/softphone")
            await called(page)
            cut(up)
            await expect(page.locator("#problem")).to_have_text(
                "The connection broke, and the bridge could not be reached again within 1 s."
            )
        await page.locator("#call").click()
        await expect(page.locator("#problem")).to_contain_text("The bridge cannot be reached.")


async def test_a_refused_microphone_is_told_of_with_the_remedy(tmp_path: Path) -> None:
    async with (
        bridge(tmp_path) as up,
        chromium(refuses=True) as browser,
        opened(browser, up.url + "/softphone") as page,
    ):
        await page.locator("#call").click()
        await expect(page.locator("#problem")).to_contain_text("microphone")
        await expect(page.locator("#call")).to_be_visible()
        assert not up.registry.live


async def test_without_a_login_the_page_says_where_to_log_in_and_with_one_it_calls(
    browser: Browser, tmp_path: Path
) -> None:
    async with bridge(tmp_path, BRIDGE_API__TOKEN=TOKEN) as up, opened(browser, up.url + "/softphone") as page:
        await expect(page.locator("#problem")).to_have_text("Log in at the console first, then come back.")
        await expect(page.locator("#call")).to_be_disabled()
        answer = await page.request.post(up.url + "/api/v1/session", data={"token": TOKEN})
        assert answer.ok, await answer.text()
        await page.reload()
        await called(page)
        await page.locator("#hang-up").click()


async def test_an_unsafe_address_is_told_of_with_the_remedy(tmp_path: Path) -> None:
    rule = "--host-resolver-rules=MAP phone.example 127.0.0.1"
    async with bridge(tmp_path, BRIDGE_API__TOKEN=TOKEN) as up, chromium(more=(rule,)) as browser:
        url = up.url.replace("127.0.0.1", "phone.example") + "/softphone"
        async with opened(browser, url) as page:
            await expect(page.locator("#problem")).to_contain_text("open this page over https")
            await expect(page.locator("#call")).to_be_disabled()


async def test_a_parameter_that_is_none_is_told_of(browser: Browser, tmp_path: Path) -> None:
    async with bridge(tmp_path) as up, opened(browser, up.url + "/softphone") as page:
        await page.get_by_text("Devices and details").click()
        await page.locator("#parameters").fill("nonsense")
        await page.locator("#call").click()
        await expect(page.locator("#problem")).to_have_text(
            "“nonsense” is no parameter: write name=value, one a line."
        )
        await page.locator("#parameters").fill("1 name=value")
        await page.locator("#call").click()
        await expect(page.locator("#problem")).to_contain_text("cannot be a name")
