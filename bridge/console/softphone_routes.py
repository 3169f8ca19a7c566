"""`/softphone`: the page that is a phone, and its files."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from importlib import resources
from typing import Final

from aiohttp import web

_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self)",
    "Cache-Control": "no-cache",
}


def add_to(app: web.Application) -> None:
    """Read the files, and put the page and them at their addresses."""
    static = resources.files("bridge.console") / "static"

    def serve(address: str, *path: str) -> None:
        kind = mimetypes.guess_type(path[-1])[0] or "application/octet-stream"
        body = static.joinpath(*path).read_bytes()

        async def answer(_: web.Request) -> web.Response:
            return web.Response(body=body, headers={**_HEADERS, "Content-Type": f"{kind}; charset=utf-8"})

        app.router.add_get(address, answer)

    serve("/softphone", "softphone.html")
    for folder in ("common", "softphone"):
        for file in static.joinpath(folder).iterdir():
            serve(f"/static/{folder}/{file.name}", folder, file.name)
