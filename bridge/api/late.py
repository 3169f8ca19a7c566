"""Addresses that are put up when somebody asks for the first of them, not when the server starts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NoReturn

from aiohttp import web

from bridge.tasks import spawn


class LateRoutes(web.AbstractResource):
    """Everything for which the application has no other address: it is looked for in another application.

    That one is made when it is needed first. Requests that come meanwhile wait for it, and one whose client goes
    away does not keep the others from it; where making it fails, the next request tries again.
    """

    def __init__(
        self, make: Callable[[], Awaitable[web.Application]], here: Callable[[web.Request], bool] = lambda _: True
    ) -> None:
        """`here` tells whether a request is answered here at all; one that is not needs no application."""
        super().__init__()
        self._make = make
        self._here = here
        self._app: web.Application | None = None
        self._making: asyncio.Task[web.Application] | None = None

    async def app(self) -> web.Application:
        """Return the application, once it is made.

        Raises what making it raises. Cancelling stops the waiting only.
        """
        if self._app is not None:
            return self._app
        if self._making is None or self._making.done():
            self._making = spawn(self._put_up(), name="late-routes")
        return await asyncio.shield(self._making)

    async def _put_up(self) -> web.Application:
        app = await self._make()
        app.freeze()
        self._app = app
        return app

    async def resolve(self, request: web.Request) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        """Find what answers a request; the router asks this when it has found nothing else."""
        if not self._here(request):
            return None, set()
        app = await self.app()
        match = await app.router.resolve(request)
        match match.http_exception:
            case web.HTTPMethodNotAllowed() as error:
                return None, error.allowed_methods
            case None:
                match.add_app(app)
                return match, set()
            case _:
                return None, set()

    @property
    def canonical(self) -> str:
        """Where these addresses begin: the router looks there last."""
        return "/"

    def raw_match(self, _path: str) -> bool:
        """Tell that no other route is to be added to this."""
        return False

    def add_prefix(self, prefix: str) -> NoReturn:
        """Refuse: this is for an application that stands by itself."""
        raise NotImplementedError(prefix)

    def url_for(self, **_: str) -> NoReturn:
        """Refuse: it has no single address."""
        raise NotImplementedError

    def get_info(self) -> Any:
        """Return nothing: nobody needs to know."""
        return {}

    def __len__(self) -> int:
        return 0 if self._app is None else len(self._app.router.routes())

    def __iter__(self) -> Iterator[web.AbstractRoute]:
        return iter(()) if self._app is None else iter(self._app.router.routes())
