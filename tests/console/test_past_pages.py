"""The console on a real bridge, with a call that is over: found, read, heard and deleted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from bridge.conversation.actions import Note, Say
from tests.console.browser import chromium, needs_browser
from tests.console.pages import becomes, looking, talking
from tests.test_calls import PYTHON, Asked, kept
from tests.test_calls import agent as scripted_agent

pytestmark = [needs_browser, pytest.mark.asyncio(loop_scope="module")]
agent = scripted_agent
WORDS = "We open at <i>nine</i>, on every day but one two three four five six seven eight nine ten eleven twelve."


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


async def test_a_call_is_found_read_heard_and_deleted(browser: Browser, tmp_path: Path, agent: Asked) -> None:
    agent.answers = [[Note({"topic": "hours"}), Say(WORDS)], [Say("Bye.")]]
    async with talking(tmp_path, **PYTHON) as scene:
        call, peer = scene.call, scene.peer
        await call.say(b"\x00\x80" * 4000)
        await peer.say_turn("When do you open?")
        began = await call.wait_agent_speaking(10)
        assert began is not None
        await call.pause(began + 1.2 - call.now)
        await peer.turn("start")
        assert await call.wait_until_agent_silent(0.2, 5)
        await peer.turn("end", " Thanks, שלום.")
        assert await call.wait_for_agent(10, silence_s=0.3)
        await call.digits("42")
        await call.hang_up()
        await kept(scene.up, call, tmp_path)
        async with looking(browser, f"{scene.up.url}/calls") as page:
            await _find(page)
            await _read(page)
            await _hear(page)
            await _look_at_the_rest(page)
            await _delete(page)


async def _find(page: Page) -> None:
    row = page.get_by_role("link", name="+1 555 010 0001")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("1 barge-in")
    await page.get_by_label("Words that were said").fill('"do you open"')
    hit = page.locator(".hit-row")
    await expect(hit).to_have_count(1)
    await expect(hit.locator("mark")).to_have_text("do you open")
    await page.get_by_label("Words that were said").fill('nothing of the "kind')
    await expect(page.get_by_text("Nothing was found")).to_be_visible()
    await page.get_by_role("link", name="Clear filters").click()
    await expect(row).to_have_count(1)
    await page.goto(page.url + "?q=thanks&speaker=caller")  # The address of a search can be passed on.
    await expect(page.get_by_label("Said by")).to_have_value("caller")
    await hit.click()


async def _read(page: Page) -> None:
    await expect(page.get_by_role("heading", level=1)).to_contain_text("+1 555 010 0001")
    said = page.locator(".line")
    await expect(said.nth(0)).to_contain_text("When do you open?")
    await expect(said.nth(1)).to_contain_text("Barge-in")
    await expect(said.nth(1).locator("s")).to_contain_text("eleven twelve.")
    assert (
        await page.evaluate(
            """() => { const words = document.querySelectorAll('.line-words')[1];
          return words.firstChild.data + words.querySelector('s').textContent; }"""
        )
        == WORDS
    )
    await expect(said.nth(2)).to_have_attribute("aria-current", "true")  # Where the search led.
    await expect(said.nth(2).locator(".line-words")).to_have_text(" Thanks, שלום.")
    await expect(page.locator("kbd")).to_have_text("42")
    await expect(page.get_by_label("About the call").get_by_text("hours")).to_be_visible()


async def _hear(page: Page) -> None:
    at = "document.querySelector('audio').currentTime"
    await expect(page.locator(".player-time")).to_contain_text("/")
    slider = page.get_by_label("Position in the call")
    await slider.focus()
    await page.keyboard.press("Home")
    await expect(slider).to_have_attribute("aria-valuetext", re.compile("0:00.0 of 0:0[3-9]"))
    await page.locator(".line").nth(1).get_by_role("button").click()  # Its time: hear it from there.
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    await becomes(page, f"{at} > 1.1")
    await page.get_by_role("button", name="Pause").click()
    drawn = "[...document.querySelector('canvas').getContext('2d').getImageData(0, 0, 400, 60).data].some(Boolean)"
    assert await page.evaluate(drawn)


async def _look_at_the_rest(page: Page) -> None:
    await page.get_by_role("tab", name="Transcript").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("tab", name="Answers")).to_be_focused()
    await expect(page.locator(".answer")).to_have_count(2)
    await page.keyboard.press("ArrowRight")
    picture = page.get_by_role("img", name="Timeline of the call")
    await expect(picture).to_be_visible()
    await becomes(page, "document.querySelector('.picture img').naturalWidth > 100")
    await page.keyboard.press("End")
    await expect(page.get_by_text("call_closed")).to_be_visible()
    addresses = await page.locator(".downloads a").evaluate_all("links => links.map((link) => link.href)")
    assert len(addresses) >= 12
    for address in addresses:
        answer = await page.request.get(address)
        assert answer.status == 200, address


async def _delete(page: Page) -> None:
    await page.get_by_role("button", name="Delete call").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete call").click()
    await expect(page.get_by_role("heading", name="Calls", level=1)).to_be_focused()
    await expect(page.get_by_text("No calls yet")).to_be_visible()


async def test_the_bridges_own_pages(browser: Browser, tmp_path: Path) -> None:
    secret = "do-not-show-this-anywhere"
    async with talking(tmp_path, BRIDGE_AGENT__SECRET=secret) as scene, looking(browser, scene.up.url) as page:
        for name in ("Numbers", "Settings", "System"):
            await page.get_by_role("link", name=name).click()
            await expect(page.get_by_role("heading", name=name, level=1)).to_be_focused()
            await expect(page.locator(".card, .empty").first).to_be_visible()
            assert secret not in await page.content()
            if name == "Settings":
                await expect(page.get_by_text("set, not shown").first).to_be_visible()
        await expect(page.get_by_role("region", name="Audit")).to_be_visible()
        await page.go_back()
        await expect(page.get_by_role("heading", name="Settings", level=1)).to_be_visible()
