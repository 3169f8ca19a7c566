"""`/`, `/softphone` and what they are made of, with headers that leave a browser no way to anything else.

The pages hold nothing of any call: all that they show they ask of the API, which knows who may see it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from aiohttp import web

from bridge.console.files import StaticFile

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

PAGES: Final = ("/", "/calls", "/calls/{call}", "/numbers", "/settings", "/system")
"""The console's addresses. One document answers all: it shows what its address says."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; media-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    # No text can become markup, not even by a mistake of ours: browsers refuse to read any as HTML.
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
"""The Content-Security-Policy of all pages."""
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    # Asked for anew each time, but sent only when it has changed: an updated bridge never meets an old page.
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}
_NOT_HERE: Final = (
    "Without BRIDGE_API__TOKEN the console answers only on the machine that the bridge runs on. Set a token to use"
    " it from elsewhere.\n"
)


class ConsoleRoutes:
    """The handlers of the pages."""

    def __init__(self, files: Mapping[str, StaticFile], may_see: Callable[[web.Request], bool]) -> None:
        """`files` are what `read_files` found. `may_see` tells who is given the pages at all."""
        self._files = files
        self._may_see = may_see

    def add_to(self, app: web.Application) -> None:
        """Put the handlers at their addresses."""
        for address in PAGES:
            app.router.add_get(address, self._page("index.html"))
        if "softphone.html" in self._files:
            app.router.add_get("/softphone", self._page("softphone.html"))
        app.router.add_get("/favicon.ico", self._page("icon.svg"))
        app.router.add_get("/static/{path:.+}", self.file)

    def _page(self, name: str) -> Handler:
        async def page(request: web.Request) -> web.StreamResponse:
            return self._answer(request, self._files[name])

        return page

    async def file(self, request: web.Request) -> web.StreamResponse:
        """Answer one of the files that were read at the start; whatever else is asked for is not there."""
        found = self._files.get(request.match_info["path"])
        if found is None:
            raise web.HTTPNotFound(headers=_HEADERS)
        return self._answer(request, found)

    def _answer(self, request: web.Request, file: StaticFile) -> web.Response:
        if not self._may_see(request):
            return web.Response(status=403, text=_NOT_HERE, headers=_HEADERS)
        packs = "gzip" in request.headers.get("Accept-Encoding", "")
        etag = file.packed_etag if packs else file.etag
        headers = {**_HEADERS, "ETag": etag}
        if etag in (part.strip() for part in request.headers.get("If-None-Match", "").split(",")):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = file.content_type
        if packs:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=file.packed if packs else file.body, headers=headers)
