"""The softphone in a real browser, whose microphone is a recording of a person, against the local speech engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
from playwright.async_api import Page, expect
from whisper_normalizer.english import EnglishTextNormalizer  # type: ignore[import-untyped]  # it has no types

from bridge.app import Bridge, running
from bridge.audio import codec, wav
from bridge.settings.source import load_settings
from tests.console.browser import chromium, needs_browser, needs_local_speech
from tests.console.softphone_agent import GREETING
from tests.speech_set import Recorded, recordings

pytestmark = [needs_browser, needs_local_speech, pytest.mark.timeout(120)]

AGENT = {"BRIDGE_AGENT__KIND": "python", "BRIDGE_AGENT__URL": "tests.console.softphone_agent:answer"}
LISTENING = """
const Real = AudioWorkletNode;
window.levels = [];
window.AudioWorkletNode = class extends Real {
  constructor(context, name, options) {
    super(context, name, options);
    if (name !== "speaker") return;
    this.port.addEventListener("message", ({data}) => {
      if (data.level !== undefined) levels.push([performance.now(), data.level]);
      if (data.dropped !== undefined) levels.push([performance.now(), "clear", data.dropped]);
    });
  }
};
"""
"""Writes down how loud the speaker is, and when it was cleared, in ms; the page knows nothing of it."""

CLEARED = "levels.some((entry) => entry[1] === 'clear' && entry[2] > 0.5)"


def microphone(folder: Path, *parts: float | Recorded) -> Path:
    """Write a WAV of silences, in seconds, and of what people said."""
    pieces, rate = [], 16_000
    for part in parts:
        if isinstance(part, Recorded):
            found = wav.parse(part.path.read_bytes(), name=part.name)
            rate = found.sample_rate
            assert part.span_s is not None
            pieces.append(found.data[slice(*(2 * round(second * rate) for second in part.span_s))])
        else:
            pieces.append(b"\0\0" * round(part * rate))
    path = folder / "microphone.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"".join(pieces))
    return path


@contextlib.asynccontextmanager
async def bridge(folder: Path, **environment: str) -> AsyncIterator[Bridge]:
    settings = load_settings(
        environment={
            "BRIDGE_SERVER__PORT": "0",
            "BRIDGE_SPEECH__BASE_URL": "local",
            "BRIDGE_STORE__RECORDINGS": str(folder),
            **AGENT,
            **environment,
        },
        files=(),
    )
    async with running(settings) as up:
        yield up


@dataclass(frozen=True)
class Kept:
    """What is kept of the one call."""

    entries: list[dict[str, Any]]
    left: Any
    """The caller's channel, linear."""
    right: Any

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["entry"] == kind]


def kept(folder: Path) -> Kept:
    (journal,) = folder.glob("*/*/journal.jsonl")
    entries = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    recording = (journal.parent / "recording.wav").read_bytes()
    left, right = (
        np.frombuffer(codec.mulaw_to_linear16(wav.read_mulaw(recording, name="recording", channel=channel)), "<i2")
        for channel in (0, 1)
    )
    return Kept(entries, left.astype(np.float64), right.astype(np.float64))


async def state(page: Page, *names: str) -> None:
    """Wait until the page is in one of these states."""
    wanted = ",".join(f'body[data-state="{name}"]' for name in names)
    await page.wait_for_selector(wanted, state="attached", timeout=20_000)


def loud(samples: Any, from_ms: float, to_ms: float) -> float:
    """How loud a part of a recording is, as the root of the mean square."""
    return float(np.sqrt(np.mean(samples[round(from_ms * 8) : round(to_ms * 8)] ** 2) + 1e-9))


async def test_a_person_talks_interrupts_presses_a_key_and_mutes(tmp_path: Path) -> None:
    hope, heaven, epoch = (
        next(one for one in recordings() if one.name == name) for name in ("tc_2", "tc_4", "tc_1")
    )
    file = await asyncio.to_thread(microphone, tmp_path, 5.0, hope, 9.0, heaven, 6.0, epoch)
    calls = tmp_path / "calls"
    async with bridge(calls) as up, chromium(file) as browser:
        page = await browser.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        await page.add_init_script(LISTENING)
        await page.goto(up.url + "/softphone")
        await expect(page.locator("#number option")).to_have_count(1)
        await page.keyboard.press("Tab")
        await page.locator("#call").press("Enter")
        await state(page, "talking", "listening", "thinking", "speaking")
        story = page.locator("#captions li.agent", has_text="sentence one")
        await expect(story.first).to_be_attached(timeout=30_000)
        async with asyncio.timeout(20):
            while not await page.evaluate(CLEARED):  # noqa: ASYNC110  Nobody outside the page is told.
                await asyncio.sleep(0.1)  # Its policy keeps out what would look from inside.
        await expect(page.locator("#captions li.caller").first).to_contain_text("hope", ignore_case=True)
        await expect(page.locator("#captions li.agent .words").first).to_have_text(GREETING)
        interrupted = asyncio.get_running_loop().time()
        await asyncio.sleep(4.0)  # That sentence is over then, and the next, which nobody is to hear, is to come.
        await page.keyboard.press("m")
        await expect(page.locator("#mute")).to_have_attribute("aria-pressed", "true")
        await expect(page.locator("#captions li.caller.done")).to_have_count(2, timeout=15_000)
        await expect(page.locator("#captions li.agent.done", has_text="Thank you").first).to_be_attached(
            timeout=15_000
        )
        await page.keyboard.press("5")
        await expect(page.locator("#captions li.agent", has_text="You pressed 5").first).to_be_attached(
            timeout=10_000
        )
        await asyncio.sleep(max(0.0, interrupted + 13 - asyncio.get_running_loop().time()))
        assert await page.locator("#latency").inner_text()
        await page.locator("#hang-up").click()
        await state(page, "over")
        await expect(page.locator("#ending")).to_have_text("You hung up.")
        levels = await page.evaluate("levels")
        assert faults == []
    record = await asyncio.to_thread(kept, calls)
    said = [entry["transcript"] for entry in record.all("caller_spoke")]
    normal = EnglishTextNormalizer()
    words = normal(" ".join(said))
    assert jiwer.wer(normal(f"{hope.reference} {heaven.reference}"), words) < 0.4, said
    assert [entry["digit"] for entry in record.all("key_pressed")] == ["5"]
    check_barge_in(record, levels)
    silenced = record.all("agent_silenced")[0]["at_ms"]
    assert loud(record.left, silenced + 500, silenced + 2500) > 100
    assert loud(record.left, silenced + 5500, silenced + 12_000) < 1


def check_barge_in(record: Kept, levels: list[list[Any]]) -> None:
    """The story stopped in the page, and in the recording, as soon as the person spoke."""
    at = next(entry[0] for entry in levels if entry[1] == "clear" and entry[2] > 0.5)
    before = [level for moment, level, *_ in levels if level != "clear" and at - 300 < moment < at]
    behind = [level for moment, level, *_ in levels if level != "clear" and at + 100 < moment < at + 600]
    assert max(before) > 0.01
    assert max(behind) < 0.001
    silenced = record.all("agent_silenced")[0]["at_ms"]
    assert loud(record.right, silenced - 600, silenced) > 100
    assert loud(record.right, silenced + 100, silenced + 600) < 10
