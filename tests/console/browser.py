"""A browser that is on the machine, without a window, whose microphone is a file."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
needs_local_speech = pytest.mark.skipif(
    find_spec("moonshine_voice") is None, reason="local speech (the extra `local`) is not installed"
)


@contextlib.asynccontextmanager
async def chromium(
    microphone: Path | None = None, *, refuses: bool = False, more: Sequence[str] = ()
) -> AsyncIterator[Browser]:
    """Start it. `microphone`: a WAV that plays once for each page that opens the microphone; None: it beeps.

    `refuses`: whoever is asked for the microphone says no. `more`: further options of Chromium.
    """
    args = ["--autoplay-policy=no-user-gesture-required", "--mute-audio", *more]
    if not refuses:
        args += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    if microphone is not None:
        args.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=args)
        try:
            yield browser
        finally:
            await browser.close()
