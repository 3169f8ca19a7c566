"""The picture of a call as PNG: written in letters, in any script, of a size that can be borne."""

from __future__ import annotations

import asyncio
import re
import shutil
import struct
import sys
import zlib

import pytest

from bridge.conversation import journal as j
from bridge.errors import BridgeError, MissingExtraError
from bridge.store import picture
from tests.store.samples import ENTRIES, HEADER, TROUBLED


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    wide, high = struct.unpack_from(">II", png, 16)
    return wide, high


def pixels(png: bytes) -> int:
    """How many bytes its rows take when they are packed: what is written or drawn in it makes more of them."""
    found, at = b"", 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        if kind == b"IDAT":
            found += png[at + 8 : at + 8 + length]
        at += 12 + length
    assert zlib.decompress(found)
    return len(found)


def test_it_is_drawn_twice_as_fine_and_with_its_letters() -> None:
    drawing = picture.svg(HEADER, ENTRIES)
    wide, high = re.search(r'width="(\d+)" height="(\d+)"', drawing).groups()  # type: ignore[union-attr]  # it has one
    made = picture.png(drawing)
    assert size(made) == (2 * int(wide), 2 * int(high))
    silent = picture.png(re.sub(r"<text.*?</text>", "", drawing))
    assert pixels(made) > 1.5 * pixels(silent)


def test_words_in_any_script_and_what_xml_cannot_hold() -> None:
    said = [
        "مرحبا، هل أنتم مفتوحون؟",
        "日曜日は休みです",
        "שלום & <b>",
        "Γειά 😀👍🏽",
        "\x00\ud800 half",
        "\u202eevil",
    ]
    entries: list[j.Entry] = [j.CallerSpoke(n, text, 3000 * n, 3000 * n + 2000) for n, text in enumerate(said)]
    made = picture.png(picture.svg(HEADER, entries))
    assert size(made)[0] == 2800


async def test_a_process_of_its_own_makes_the_same() -> None:
    drawing = picture.svg(HEADER, TROUBLED)
    apart = await picture.png_apart(drawing)
    assert apart == await asyncio.to_thread(picture.png, drawing)
    with pytest.raises(BridgeError, match="take it as svg") as failed:
        await picture.png_apart("no drawing")
    assert failed.value.code == "picture_failed"


def test_a_very_large_one_is_less_fine() -> None:
    assert picture._zoom('<svg xmlns="x" width="1400" height="600" viewBox="">') == 2
    zoom = picture._zoom('<svg xmlns="x" width="1400" height="200000" viewBox="">')
    assert 1400 * zoom * 200_000 * zoom <= 20_000_001


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MissingExtraError, match=r"phone-bridge\[formats\]"):
        picture.png("<svg/>")


def test_a_machine_without_a_font_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_has_font", lambda: False)
    with pytest.raises(BridgeError, match="fonts-dejavu-core") as failed:
        picture.png(picture.svg(HEADER, ENTRIES))
    assert failed.value.code == "no_font"


def test_another_program_draws_it() -> None:
    if shutil.which("rsvg-convert") is None:
        pytest.skip("rsvg-convert is not installed")
    import subprocess

    drawing = picture.svg(HEADER, ENTRIES).encode()
    made = subprocess.run(["rsvg-convert"], input=drawing, capture_output=True, check=True, timeout=30)
    assert size(made.stdout)[0] == 1400
