"""The picture of a call, as SVG for browsers and as PNG for everything else. One drawing for both.

PNG needs the extra `formats` (resvg), and a font on the machine: without one a picture would have no text.
"""

from __future__ import annotations

import asyncio
import functools
import math
import re
import sys
import weakref
from typing import Final

from bridge.children import own_module
from bridge.errors import BridgeError, MissingExtraError
from bridge.store.svg import FONT, escaped
from bridge.store.timeline import timeline_svg as svg

__all__ = ["png", "svg"]

_SHARP: Final = 2.0
"""Pixels for each unit of the drawing, where the picture is not too large."""
_MOST_PIXELS: Final = 20_000_000
"""80 MB while it is drawn."""
_APART_S: Final = 120.0
_SIZE: Final = re.compile(r'<svg [^>]*width="(\d+)" height="(\d+)"')
_LETTER: Final = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">{}</svg>'


def png(drawing: str) -> bytes:
    """Make a PNG of a drawing of `svg`, for light readers.

    Takes a second, or ten for a call of hours, in which no other thread of the process runs: where calls live,
    `png_apart` is to be used. Raises `MissingExtraError`, and `BridgeError`: `no_font`, `picture_failed`.
    """
    try:
        from resvg_py import svg_to_bytes  # noqa: PLC0415  It is an extra.
    except ImportError:
        raise MissingExtraError("formats", "a picture as PNG") from None
    if not _has_font():
        raise BridgeError(
            "this machine has no font that a picture could be written in: install one, such as the package"
            " fonts-dejavu-core, or take the picture as svg",
            code="no_font",
        )
    try:
        return bytes(svg_to_bytes(svg_string=drawing, zoom=_zoom(drawing), background="white"))
    except ValueError as error:
        raise BridgeError(
            f"the picture cannot be made a PNG ({error}): take it as svg", code="picture_failed"
        ) from error


async def png_apart(drawing: str) -> bytes:
    """Make a PNG as `png` does, in a process of its own, and one after the other; raises the same.

    Being cancelled ends that process.
    """
    async with _one_at_a_time():
        process = await asyncio.create_subprocess_exec(
            *own_module(__name__),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_APART_S):
                made, said = await process.communicate(drawing.encode())
        except TimeoutError:
            raise BridgeError(
                f"the picture was not made a PNG within {_APART_S:g} s: take it as svg", code="picture_failed"
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode == 0:
        return made
    code, _, message = said.decode(errors="replace").strip().rpartition("\n")[2].partition(": ")
    if code == "missing_extra":
        raise MissingExtraError("formats", "a picture as PNG")
    if code in {"no_font", "picture_failed"}:
        raise BridgeError(message, code=code)
    raise BridgeError("the picture cannot be made a PNG: take it as svg", code="picture_failed")


_queues: Final[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]] = weakref.WeakKeyDictionary()


def _one_at_a_time() -> asyncio.Lock:
    return _queues.setdefault(asyncio.get_running_loop(), asyncio.Lock())


def _main() -> int:
    """Make a PNG of the drawing on standard input, on standard output; what is wrong goes to standard error."""
    try:
        sys.stdout.buffer.write(png(sys.stdin.buffer.read().decode()))
    except BridgeError as error:
        sys.stderr.write(f"{error.code}: {error.message}\n")
        return 1
    return 0


def _zoom(drawing: str) -> float:
    size = _SIZE.search(drawing)
    if size is None:
        return 1.0
    pixels = int(size[1]) * int(size[2])
    return min(_SHARP, math.sqrt(_MOST_PIXELS / max(1, pixels)))


@functools.cache
def _has_font() -> bool:
    """Whether a letter leaves a trace."""
    from resvg_py import svg_to_bytes  # noqa: PLC0415  As above.

    letter = f'<text x="2" y="16" font-size="16" font-family="{escaped(FONT)}">M</text>'
    return bytes(svg_to_bytes(svg_string=_LETTER.format(letter))) != bytes(
        svg_to_bytes(svg_string=_LETTER.format(""))
    )


if __name__ == "__main__":
    sys.exit(_main())
