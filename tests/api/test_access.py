"""Who asks: tokens and their scopes, browsers with cookies, this machine; and how often they may."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bridge.api.access import Access, Token
from bridge.api.door import Door, asker, problems
from bridge.api.operations import Operation, Principal
from bridge.api.session import SessionRoutes

Client = TestClient[web.Request, web.Application]
ADMIN, READER, DRIVER = "a" * 20, "r" * 20, "d" * 20
FURTHER = (Token(Principal("reader", "read"), READER), Token(Principal("driver", "control"), DRIVER))
PUBLIC = "https://voice.example.com"


async def who(request: web.Request) -> web.Response:
    return web.json_response({"name": asker(request).name})


async def socket(request: web.Request) -> web.StreamResponse:
    answer = web.WebSocketResponse()
    await answer.prepare(request)
    await answer.send_str(asker(request).name)
    await answer.close()
    return answer


@dataclass
class House:
    """Some addresses behind a door, and clocks that tests turn."""

    http: Client
    now: list[float] = field(default_factory=lambda: [1000.0])

    async def ask(
        self, path: str = "/api/read", method: str = "GET", token: str = "", body: Any = None, **headers: str
    ) -> tuple[int, dict[str, Any], aiohttp.ClientResponse]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        async with self.http.request(method, path, json=body, headers=sent) as response:
            return response.status, (await response.json(content_type=None) or {}), response

    async def sign_in(self, token: str = ADMIN) -> tuple[dict[str, Any], str]:
        """Returns the answer, and the cookie as it is sent back."""
        status, answer, response = await self.ask("/api/v1/session", "POST", body={"token": token})
        assert status == 200, answer
        (cookie,) = response.cookies.values()
        return answer, f"{cookie.key}={cookie.value}"


@contextlib.asynccontextmanager
async def house(
    token: str = ADMIN, further: tuple[Token, ...] = FURTHER, public: str = "", rate: float = 1000
) -> AsyncIterator[House]:
    now = [1_800_000_000.0]
    access = Access(
        token,
        further,
        public_url=public,
        requests_per_second=rate,
        clock=lambda: now[0],
        wall_clock=lambda: now[0],
    )
    app = web.Application(middlewares=[problems])
    door = Door(access)
    SessionRoutes(access).add_to(app, door)
    for scope in ("read", "control", "admin"):
        door.add(app, "GET", f"/api/{scope}", who, Operation("Test", scope))
        door.add(app, "POST", f"/api/{scope}", who, Operation("Test", scope))
    door.add(app, "GET", "/api/socket", socket, Operation("Test"))
    async with TestClient(TestServer(app), cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield House(http, now)


class TestTokens:
    @pytest.mark.parametrize(
        ("token", "path", "status", "name"),
        [
            (ADMIN, "/api/admin", 200, "api"),
            (DRIVER, "/api/control", 200, "driver"),
            (DRIVER, "/api/read", 200, "driver"),
            (READER, "/api/read", 200, "reader"),
            (READER, "/api/control", 403, ""),
            (DRIVER, "/api/admin", 403, ""),
            ("wrong", "/api/read", 401, ""),
            (ADMIN[:-1], "/api/read", 401, ""),
            ("", "/api/read", 401, ""),
            ("é" * 20, "/api/read", 401, ""),
        ],
    )
    async def test_each_may_do_what_its_scope_holds(self, token: str, path: str, status: int, name: str) -> None:
        async with house() as it:
            answered, body, response = await it.ask(path, token=token)
        assert answered == status
        assert body.get("name", "") == name
        if status == 401:
            assert response.headers["WWW-Authenticate"] == "Bearer"
        if status == 403:
            assert (body["code"], body["needed"]) == ("scope_missing", path.rpartition("/")[2])
            assert "needs a token with the scope" in body["detail"]

    async def test_with_further_tokens_alone_this_machine_needs_one_as_well(self) -> None:
        async with house(token="") as it:
            assert (await it.ask())[0] == 401
            assert (await it.ask(token=READER))[0] == 200

    async def test_without_any_token_this_machine_may_do_all_but_through_no_proxy(self) -> None:
        async with house(token="", further=()) as it:
            assert (await it.ask("/api/admin"))[1] == {"name": "local"}
            assert (await it.ask("/api/admin", X_Forwarded_For="1.2.3.4"))[0] == 401
            assert (await it.ask("/api/admin", "POST", Origin="http://evil.example"))[0] == 401

    async def test_a_proxy_that_does_not_say_for_whom_it_asks_is_known_by_its_http_1_0(self) -> None:
        async with house(token="", further=()) as it:
            url = it.http.make_url("/api/read")
            for version, status in ((aiohttp.HttpVersion11, 200), (aiohttp.HttpVersion10, 401)):
                async with aiohttp.ClientSession(version=version) as http, http.get(url) as answer:
                    assert answer.status == status
            assert (await it.ask(Connection="upgrade"))[0] == 401

    async def test_nothing_that_is_answered_is_kept_or_taken_for_something_else(self) -> None:
        async with house() as it:
            for token in (ADMIN, ""):
                _, _, response = await it.ask(token=token)
                assert response.headers["Cache-Control"] == "no-store"
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


class TestBrowsers:
    async def test_a_browser_signs_in_is_known_and_signs_out(self) -> None:
        async with house() as it:
            answer, cookie = await it.sign_in(DRIVER)
            assert (answer["name"], answer["scope"]) == ("driver", "control")
            status, shown, _ = await it.ask("/api/v1/session", Cookie=cookie)
            assert (status, shown) == (200, answer)
            assert (await it.ask("/api/control", Cookie=cookie))[1] == {"name": "driver"}
            assert (await it.ask("/api/admin", Cookie=cookie))[0] == 403
            status, _, response = await it.ask(
                "/api/v1/session", "DELETE", Cookie=cookie, X_CSRF_Token=answer["csrf"]
            )
            assert status == 204
            assert response.cookies["phone-bridge"]["max-age"] == "0"
            assert (await it.ask(Cookie=cookie))[0] == 401, "a copy of the cookie is worth nothing either"

    @pytest.mark.parametrize("public", ["", PUBLIC])
    async def test_the_cookie_is_for_this_site_alone_and_not_for_scripts(self, public: str) -> None:
        async with house(public=public) as it:
            _, _, response = await it.ask("/api/v1/session", "POST", body={"token": ADMIN})
            (cookie,) = response.cookies.values()
            assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
            assert bool(cookie["secure"]) == cookie.key.startswith("__Host-") == bool(public)
            assert cookie["max-age"] == "43200"
            assert ADMIN not in str(response.headers)

    async def test_what_changes_something_needs_the_header(self) -> None:
        async with house() as it:
            answer, cookie = await it.sign_in()
            other, _ = await it.sign_in()
            for headers in ({}, {"X_CSRF_Token": ""}, {"X_CSRF_Token": other["csrf"]}, {"X_CSRF_Token": "é"}):
                status, body, _ = await it.ask("/api/control", "POST", Cookie=cookie, **headers)
                assert (status, body["code"]) == (403, "csrf_missing")
            assert (await it.ask("/api/control", "POST", Cookie=cookie, X_CSRF_Token=answer["csrf"]))[0] == 200
            assert (await it.ask("/api/control", "POST", token=ADMIN))[0] == 200, "tokens need none"

    async def test_pages_of_other_sites_get_nothing_with_the_cookie(self) -> None:
        async with house(public=PUBLIC) as it:
            answer, cookie = await it.sign_in()
            csrf = answer["csrf"]
            for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "https://voice.example.com.evil"):
                assert (await it.ask(Cookie=cookie, Origin=origin))[0] == 401
                assert (await it.ask("/api/control", "POST", Cookie=cookie, Origin=origin, X_CSRF_Token=csrf))[
                    0
                ] == 401
                status, body, _ = await it.ask("/api/v1/session", "POST", body={"token": ADMIN}, Origin=origin)
                assert (status, body["code"]) == (403, "origin_foreign")
            own = str(it.http.make_url("")).rstrip("/")
            for origin in (own, PUBLIC):
                assert (await it.ask(Cookie=cookie, Origin=origin))[0] == 200

    async def test_a_socket_with_a_cookie_must_tell_its_page(self) -> None:
        async with house() as it:
            _, cookie = await it.sign_in()
            for headers in ({}, {"Origin": "https://evil.example"}):
                with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
                    await it.http.ws_connect("/api/socket", headers={"Cookie": cookie, **headers})
            own = str(it.http.make_url("")).rstrip("/")
            async with it.http.ws_connect("/api/socket", headers={"Cookie": cookie, "Origin": own}) as found:
                assert await found.receive_str() == "api"
            async with it.http.ws_connect("/api/socket", headers={"Authorization": f"Bearer {READER}"}) as found:
                assert await found.receive_str() == "reader"

    async def test_a_cookie_ends_after_twelve_hours(self) -> None:
        async with house() as it:
            _, cookie = await it.sign_in()
            it.now[0] += 12 * 3600 - 1
            assert (await it.ask(Cookie=cookie))[0] == 200
            it.now[0] += 1
            assert (await it.ask(Cookie=cookie))[0] == 401

    async def test_a_cookie_outlives_a_restart_but_no_change_of_its_token(self) -> None:
        async with house() as it:
            _, cookie = await it.sign_in()
            _, readers = await it.sign_in(READER)
        async with house() as it:
            assert (await it.ask(Cookie=cookie))[0] == 200
        async with house(token="another one entirely") as it:
            assert (await it.ask(Cookie=cookie))[0] == 401
            assert (await it.ask(Cookie=readers))[0] == 200
        async with house(further=(Token(Principal("reader", "admin"), READER),)) as it:
            assert (await it.ask("/api/admin", Cookie=readers))[0] == 200, "what it may do is as it is now"

    async def test_a_cookie_of_one_holder_is_not_anothers(self) -> None:
        same = (Token(Principal("one", "read"), READER), Token(Principal("two", "admin"), READER))
        async with house(further=same) as it:
            _, cookie = await it.sign_in(READER)
            name, _, value = cookie.partition("=")
            holder, _, signed = value.partition("~")
            other = {"one": "two", "two": "one"}[holder]
            assert (await it.ask(Cookie=f"{name}={other}~{signed}"))[0] == 401

    @pytest.mark.parametrize("value", ["", "api", "api~", "api~x.y", "nobody~W10.x", "~", "api~." + "A" * 5000])
    async def test_what_is_no_cookie_of_ours_is_nobody(self, value: str) -> None:
        async with house() as it:
            assert (await it.ask(Cookie=f"phone-bridge={value}"))[0] == 401

    async def test_this_machine_needs_no_cookie_where_there_is_no_token(self) -> None:
        async with house(token="", further=()) as it:
            shown = {"name": "local", "scope": "admin", "csrf": "", "expires_at": None}
            assert (await it.ask("/api/v1/session"))[1] == shown
            status, answer, response = await it.ask("/api/v1/session", "POST", body={"token": "x"})
            assert (status, answer, len(response.cookies)) == (200, shown, 0)
            assert (await it.ask("/api/v1/session", "POST", body={"token": "x"}, Host="a.example"))[0] == 401


class TestHowOften:
    async def test_one_token_asks_too_often_and_another_does_not(self) -> None:
        async with house(rate=2) as it:
            for _ in range(10):
                assert (await it.ask(token=ADMIN))[0] == 200
            status, body, response = await it.ask(token=ADMIN)
            assert (status, body["code"], response.headers["Retry-After"]) == (429, "rate_limited", "1")
            assert (await it.ask(token=READER))[0] == 200
            it.now[0] += 0.5
            assert (await it.ask(token=ADMIN))[0] == 200

    async def test_who_has_no_token_is_counted_by_address(self) -> None:
        async with house(token="", further=(), rate=1) as it:
            for _ in range(5):
                assert (await it.ask())[0] == 200
            assert (await it.ask())[0] == 429
            assert (await it.ask(X_Forwarded_For="9.9.9.9, 1.2.3.4"))[0] == 401
            for _ in range(4):
                assert (await it.ask(X_Forwarded_For="8.8.8.8, 1.2.3.4"))[0] == 401
            assert (await it.ask(X_Forwarded_For="7.7.7.7, 1.2.3.4"))[0] == 429, "the proxy's word counts"

    async def test_guessing_is_soon_over(self) -> None:
        async with house() as it:
            _, cookie = await it.sign_in()
            for number in range(5):
                assert (await it.ask(token=f"wrong{number}"))[0] == 401
                status, body, _ = await it.ask("/api/v1/session", "POST", body={"token": f"wrong{number}"})
                assert (status, body["code"]) == (401, "token_wrong")
            status, body, response = await it.ask("/api/v1/session", "POST", body={"token": ADMIN})
            assert (status, body["code"], response.headers["Retry-After"]) == (429, "too_many_guesses", "6")
            assert (await it.ask(token=ADMIN))[0] == 429, "a guess that is right is not told from the others"
            assert (await it.ask(Cookie=cookie))[0] == 200, "who is signed in is not locked out"
            assert (await it.ask(token=ADMIN, X_Forwarded_For="1.2.3.4"))[0] == 200, "nor is who asks elsewhere"
            it.now[0] += 6
            assert (await it.ask(token=ADMIN))[0] == 200

    @pytest.mark.parametrize(
        "body", [{}, {"token": 1}, {"token": "\ud800"}, {"token": "x" * 5000}, {"token": "x", "more": 1}]
    )
    async def test_signing_in_with_something_else_is_told(self, body: dict[str, Any]) -> None:
        async with house() as it:
            status, found, _ = await it.ask("/api/v1/session", "POST", body=body)
            assert status in {401, 422}
            assert found["status"] == status
