"""`/api/v1/session`: sign a browser in with a token, say who is signed in, sign out."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.api.access import SIGNED_IN, Access
from bridge.api.cookies import LASTS_S, BrowserSession
from bridge.api.door import Door, asker, read
from bridge.api.operations import Operation, Principal, Scope

SESSION = "/api/v1/session"


class SignInBody(BaseModel):
    """What `POST /api/v1/session` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    token: str = Field(max_length=4096, description="A token of the API.")


class SessionAnswer(BaseModel):
    """Who asks, and what they may do."""

    name: str = Field(description="The name of the token, or `local` for programs on this machine.")
    scope: Scope
    csrf: str = Field(
        description="With a cookie, what the header `X-CSRF-Token` of requests that change something must hold;"
        " else empty, and no such header is needed."
    )
    expires_at: str | None = Field(
        description="When the cookie is worth nothing any more; null: there is no cookie."
    )


class SessionRoutes:
    """The handlers."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def add_to(self, app: web.Application, door: Door) -> None:
        """Put the handlers at their address."""
        sign_in = Operation(
            "Sign a browser in",
            open=True,
            tag="session",
            about="Answers with a cookie that stands for the token, for twelve hours.",
            body=SignInBody,
            answers={200: SessionAnswer},
        )
        show = Operation("Tell who asks", tag="session", answers={200: SessionAnswer})
        sign_out = Operation("Sign a browser out", tag="session", answers={204: None})
        door.add(app, "POST", SESSION, self.sign_in, sign_in)
        door.add(app, "GET", SESSION, self.show, show)
        door.add(app, "DELETE", SESSION, self.sign_out, sign_out)

    async def sign_in(self, request: web.Request) -> web.Response:
        """Give whoever brings a token a cookie for it. Where there are no tokens, this machine needs none."""
        body = await read(request, SignInBody)
        if not self._access.needed:
            return web.json_response(_answer(self._access.admit(request), None))
        holder, value, session = self._access.sign_in(request, body.token)
        answer = web.json_response(_answer(holder, session))
        answer.set_cookie(
            self._access.cookie_name,
            value,
            max_age=LASTS_S,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self._access.cookie_secure,
        )
        return answer

    async def show(self, request: web.Request) -> web.Response:
        """Tell who asks."""
        return web.json_response(_answer(asker(request), request.get(SIGNED_IN)))

    async def sign_out(self, request: web.Request) -> web.Response:
        """End the session of the cookie that the request came with."""
        if (session := request.get(SIGNED_IN)) is not None:
            self._access.sign_out(session)
        answer = web.Response(status=204)
        answer.del_cookie(
            self._access.cookie_name,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self._access.cookie_secure,
        )
        return answer


def _answer(who: Principal, session: BrowserSession | None) -> dict[str, str | None]:
    expires_at = None if session is None else datetime.fromtimestamp(session.expires_at, UTC).isoformat()
    return {
        "name": who.name,
        "scope": who.scope,
        "csrf": "" if session is None else session.csrf,
        "expires_at": expires_at,
    }
