"""The console on a real bridge, while calls go on: words as they are said, and what an operator does about them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from bridge.tasks import spawn
from tests.console.browser import chromium, needs_browser
from tests.console.pages import PATIENCE_MS, becomes, looking, talking

pytestmark = [needs_browser, pytest.mark.asyncio(loop_scope="module")]
API_TOKEN = "a-token-of-the-api"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


async def test_words_appear_as_they_are_said_and_the_call_can_be_ended(browser: Browser, tmp_path: Path) -> None:
    async with talking(tmp_path) as scene, looking(browser, scene.up.url) as page:
        card = page.get_by_role("article")
        await expect(card.get_by_text("Nothing was said yet.")).to_be_visible()
        await expect(page.get_by_role("link", name="Live 1 live")).to_be_visible()
        await scene.peer.turn("start")
        await scene.peer.turn("update", "Say <b>this</b>")
        await expect(card.get_by_text("Say <b>this</b>")).to_be_visible()
        await scene.peer.turn("update", "Say <b>this</b> back مرحبا")
        await scene.peer.turn("end", "Say <b>this</b> back مرحبا")
        await expect(card.locator(".live-line.agent .live-words")).to_have_text("Say <b>this</b> back مرحبا")
        await expect(card.get_by_text("last answer")).to_be_visible()
        await card.get_by_role("button", name="Hang up").click()
        dialog = page.get_by_role("dialog", name="Hang up?")
        await dialog.get_by_role("button", name="Hang up").click()
        await expect(card.get_by_text("Ended by an operator")).to_be_visible()
        async with asyncio.timeout(20):
            await scene.call.ended()
        await expect(card.get_by_role("button", name="Hang up")).to_be_disabled()


async def test_both_sides_are_heard_when_somebody_listens_in(browser: Browser, tmp_path: Path) -> None:
    async with talking(tmp_path) as scene, looking(browser, scene.up.url) as page:
        card = page.get_by_role("article")
        await card.get_by_role("button", name="Listen in").click()
        await expect(card.get_by_role("status")).to_have_text("Listening")
        speaking = spawn(scene.call.say(b"\x00\x80" * 12_000), name="speaking")
        await becomes(page, "document.querySelector('.level-caller').getAttribute('width') > 20")
        await scene.peer.say_turn("And this is said back to the caller")
        await becomes(page, "document.querySelector('.level-agent').getAttribute('width') > 20")
        await speaking
        await card.get_by_role("button", name="Stop listening").click()
        await expect(card.get_by_role("button", name="Listen in")).to_be_visible()


async def test_an_operator_speaks_and_leaves_a_note(browser: Browser, tmp_path: Path) -> None:
    async with talking(tmp_path) as scene, looking(browser, scene.up.url, but="422") as page:
        card = page.get_by_role("article")
        await card.get_by_label("Say a sentence to the caller").fill("One moment, please.")
        await page.keyboard.press("Enter")
        said = card.locator(".live-line.agent")
        await expect(said.get_by_text("One moment, please.")).to_be_visible()
        await expect(said.get_by_text("Operator")).to_be_visible()
        await card.get_by_role("button", name="Note").click()
        await page.get_by_label("Note", exact=True).fill("angry ☹")
        await page.get_by_role("button", name="Leave note").click()
        await expect(card.get_by_text("note: angry ☹")).to_be_visible()
        await card.get_by_role("button", name="Transfer").click()
        await page.get_by_label("To", exact=True).fill("nobody")
        await page.get_by_role("button", name="Transfer").last.click()
        await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("+15551234567")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(card.get_by_role("button", name="Transfer")).to_be_focused()


async def test_who_has_the_token_logs_in_and_out(browser: Browser, tmp_path: Path) -> None:
    async with talking(tmp_path, BRIDGE_API__TOKEN=API_TOKEN) as scene:
        context = await browser.new_context()
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        await page.goto(scene.up.url)
        await expect(page.get_by_label("API token")).to_be_focused()
        await page.keyboard.type("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("This token is not known to the bridge.")
        await page.get_by_label("API token").fill(API_TOKEN)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Live calls")).to_be_visible()
        (cookie,) = await context.cookies()
        assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict")
        await page.get_by_role("button", name="Note").click()  # A post: it needs the header against other sites.
        await page.get_by_label("Note", exact=True).fill("noted")
        await page.get_by_role("button", name="Leave note").click()
        await expect(page.get_by_text("note: noted")).to_be_visible()
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("API token")).to_be_visible()
        await page.reload()
        await expect(page.get_by_label("API token")).to_be_visible()
        await context.close()


async def test_a_bridge_that_goes_and_comes_back_is_told_of(browser: Browser, tmp_path: Path) -> None:
    async with talking(tmp_path) as scene:
        port = scene.up.url.rpartition(":")[2]
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(scene.up.url)
        await expect(page.get_by_role("article")).to_be_visible()
    lost = page.get_by_text("Connection to the bridge lost")
    await expect(lost).to_be_visible()
    async with talking(tmp_path, BRIDGE_SERVER__PORT=port) as scene:
        await expect(lost).to_be_hidden()
        await expect(page.get_by_text("Nothing was said yet.")).to_be_visible()
        await scene.peer.say_turn("We are back")
        await expect(page.locator(".live-line.caller")).to_have_text("CallerWe are back")
    await context.close()


async def test_all_can_be_reached_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    async with talking(tmp_path) as scene, looking(browser, scene.up.url) as page:
        await expect(page.get_by_role("article")).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.querySelector('main').contains(document.activeElement)")
        reached = []
        for _ in range(9):
            await page.keyboard.press("Tab")
            reached.append(
                await page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.innerText")
            )
            outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", f"the focus cannot be seen on {reached[-1]}"
        assert reached == [
            *("What is said", "Say a sentence to the caller", "Say", "Listen in", "Keys", "Transfer", "Note"),
            *("Pause recording", "Hang up"),
        ]
        await page.get_by_role("link", name="System").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="System", level=1)).to_be_focused()
