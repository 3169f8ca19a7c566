"""The softphone's sound, in a real browser: mu-law, rates, and what is still to be played, against our own."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page

from bridge.audio import codec
from bridge.console.files import read_files
from bridge.console.routes import ConsoleRoutes
from bridge.simulator.phone import Phone
from tests.console.browser import chromium, needs_browser

pytestmark = [needs_browser, pytest.mark.asyncio(loop_scope="module")]

RESAMPLED = """async ([rates, pieces, samples]) => {
  const {Resampler} = await import('/static/softphone/resampler.js');
  const resampler = new Resampler(...rates);
  const out = [];
  const [hz, seconds] = samples;
  const given = samples.length > 2 ? Float32Array.from(samples)
    : Float32Array.from({length: seconds * rates[0]}, (_, index) => Math.sin(2 * Math.PI * hz * index / rates[0]));
  for (let at = 0, turn = 0; at < given.length; turn += 1) {
    const size = pieces[turn % pieces.length];
    out.push(...resampler.process(given.subarray(at, at + size)));
    at += size;
  }
  return out;
}"""
"""`samples` are samples, or frequency and length in seconds of a tone."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def page() -> AsyncIterator[Page]:
    app = web.Application()
    ConsoleRoutes(await asyncio.to_thread(read_files), lambda _: True).add_to(app)
    async with TestServer(app) as server, chromium() as browser:
        page = await browser.new_page()
        # Any file of the same origin does: a page would start its own scripts.
        await page.goto(str(server.make_url("/static/softphone/softphone.css")))
        yield page


async def test_every_byte_of_mulaw_sounds_as_here_and_every_sample_is_coded_as_here(page: Page) -> None:
    decoded = await page.evaluate(
        "async () => Array.from((await import('/static/common/mulaw.js')).LEVELS, (level) => level * 32768)"
    )
    assert decoded == np.frombuffer(codec.mulaw_to_linear16(bytes(range(256))), "<i2").tolist()
    coded = await page.evaluate(
        """async () => {
          const {encode} = await import('/static/common/mulaw.js');
          return Array.from(encode(Float32Array.from({length: 65536}, (_, index) => (index - 32768) / 32768)));
        }"""
    )
    every = np.arange(-32768, 32768)
    # Python's codec first cuts samples to 14 bits, negative ones away from 0, which is to one side.
    cut = (np.sign(every) * (np.abs(every) // 4 * 4)).clip(-32768, 32767).astype("<i2")
    # (It also knows but one of the two zeros.)
    assert bytes(coded).replace(b"\x7f", b"\xff") == codec.linear16_to_mulaw(cut.tobytes()).replace(
        b"\x7f", b"\xff"
    )


async def resampled(page: Page, source: int, to: int, samples: list[float], *pieces: int) -> Any:
    return np.array(await page.evaluate(RESAMPLED, [[source, to], pieces or [128], samples]))


def level_db(samples: Any) -> float:
    return 10 * math.log10(float(np.mean(np.square(samples))) + 1e-12)


def tone_and_rest_db(samples: Any, hz: float, rate: int) -> tuple[float, float]:
    """Return how loud the best sine of that frequency is, and how loud all else: noise and distortion."""
    angles = 2 * np.pi * hz * np.arange(len(samples)) / rate
    basis = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    fit = basis @ np.linalg.lstsq(basis, samples, rcond=None)[0]
    return level_db(fit), level_db(samples - fit)


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 44_099, 48_000])
async def test_a_voice_passes_and_what_a_phone_cannot_carry_does_not(page: Page, rate: int) -> None:
    for hz in (300, 3300):
        out = await resampled(page, rate, 8000, [hz, 0.25])
        assert abs(len(out) - 2000) <= 40
        tone, rest = tone_and_rest_db(out[300:-300], hz, 8000)
        assert abs(tone - level_db([0.5**0.5])) < 0.1
        assert rest < -60
    for hz in (4300, 7900, 20_000):
        if rate > 8000 and hz < rate / 2:
            out = await resampled(page, rate, 8000, [hz, 0.25])
            assert level_db(out[300:-300]) < -60


async def test_pieces_of_any_size_give_the_same_sound_and_none_is_lost(page: Page) -> None:
    noise = np.random.default_rng(5).normal(0, 0.1, 24_000).tolist()
    whole = await resampled(page, 48_000, 8000, noise, 24_000)
    pieces = await resampled(page, 48_000, 8000, noise, 1, 128, 7, 480, 129)
    assert abs(len(whole) - 4000) <= 40
    assert np.allclose(whole, pieces, atol=1e-6)


async def test_what_is_played_is_the_same_sound_at_the_rate_of_the_device(page: Page) -> None:
    for rate in (44_100, 48_000):
        out = await resampled(page, 8000, rate, [1000, 0.25], 22, 21)
        tone, rest = tone_and_rest_db(out[2000:-2000], 1000, rate)
        assert abs(tone - level_db([0.5**0.5])) < 0.1
        assert rest < -60


async def test_frames_are_timed_evenly_and_lost_sound_moves_them_on(page: Page) -> None:
    times = await page.evaluate(
        """async () => {
          const {FrameClock} = await import('/static/softphone/stream.js');
          const [even, shaken, lost] = [new FrameClock(), new FrameClock(), new FrameClock()];
          const found = [[], [], []];
          for (let index = 0; index < 500; index += 1) {
            found[0].push(even.next(1000 + index * 20));
            // Ten frames at once every 200 ms: late, but never for long.
            found[1].push(shaken.next(1000 + Math.ceil((index + 1) / 10) * 200));
            found[2].push(lost.next(1000 + index * 20 + (index >= 100 ? 640 : 0)));
          }
          return found;
        }"""
    )
    evenly = [index * 20 for index in range(500)]
    assert times[0] == evenly
    assert times[1] == evenly
    assert times[2][:149] == evenly[:149]
    assert times[2][150:] == [moment + 640 for moment in evenly[150:]]


async def test_the_end_of_speech_is_heard_over_noise(page: Page) -> None:
    ended = await page.evaluate(
        """async () => {
          const {Speech} = await import('/static/softphone/speech.js');
          const speech = new Speech();
          const levels = [[0.002, 100], [0.1, 50], [0.003, 100], [0.05, 25], [0.002, 200]];
          const found = [];
          let at = 0;
          for (const [level, frames] of levels) {
            for (let index = 0; index < frames; index += 1) speech.take(level, (at += 0.02));
            found.push(speech.endedAt);
          }
          return found;
        }"""
    )
    assert ended == [None, pytest.approx(3.0), pytest.approx(3.0), pytest.approx(5.5), pytest.approx(5.5)]


@pytest.mark.parametrize("seed", range(4))
async def test_what_waits_and_its_marks_are_as_with_the_model_of_a_phone(page: Page, seed: int) -> None:
    """Twenty seconds of audio, marks and clears at random, played in blocks of 20 ms by both."""
    chance = random.Random(seed)
    script: list[Any] = []
    for step in range(1000):
        if chance.random() < 0.06:
            script.append(["media", chance.randrange(1, 9000)])
        if chance.random() < 0.1:
            script.append(["mark", f"m{step}"])
        if chance.random() < 0.008:
            script.append(["clear"])
        script.append(["play"])
    theirs = await page.evaluate(
        """async (script) => {
          const {Playout} = await import('/static/softphone/playout.js');
          const playout = new Playout();
          const seen = [];
          let played = 0;
          for (const [what, value] of script) {
            if (what === 'media') playout.media(new Uint8Array(value).fill(played % 200));
            if (what === 'mark') for (const name of playout.mark(value)) seen.push([name, played, true]);
            if (what === 'clear') {
              const {dropped, marks} = playout.clear();
              seen.push(['clear', dropped]);
              for (const name of marks) seen.push([name, played, false]);
            }
            if (what === 'play') {
              const found = playout.play(new Float32Array(160));
              played += found.played;
              for (const name of found.marks) seen.push([name, played, true]);
            }
          }
          return [seen, played];
        }""",
        script,
    )
    assert theirs == as_a_phone(script)


def as_a_phone(script: list[Any]) -> list[Any]:
    phone, seen, now = Phone(), [], 0.0
    for what, *value in script:
        match what:
            case "media":
                phone.media(now, bytes(value[0]))
            case "mark":
                phone.mark(now, value[0])
            case "clear":
                phone.clear(now)
                seen.append(["clear", phone.clears[-1].dropped_bytes])
            case _:
                now += 0.02
        seen += [
            # Playing is in blocks there: a mark inside one is told at its end.
            [mark.name, phone.sounded_bytes if mark.heard else mark.sounded_bytes, mark.heard]
            for mark in phone.advance(now)
        ]
    return [seen, phone.sounded_bytes]
