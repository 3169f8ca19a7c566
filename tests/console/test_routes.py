"""The pages' addresses: what a browser is told, and what it is not given."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bridge.console.files import FOLDER, read_files
from bridge.console.routes import PAGES, ConsoleRoutes
from tests.scripted_speech import ScriptedSpeech
from tests.test_calls import bridge

Client = TestClient[web.Request, web.Application]
FILES = read_files()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with _client() as client:
        yield client


def _client(*, may_see: bool = True) -> Client:
    app = web.Application()
    ConsoleRoutes(FILES, lambda _: may_see).add_to(app)
    return TestClient(TestServer(app), auto_decompress=False)


@pytest.mark.parametrize("address", [*PAGES, "/static/index.html"])
async def test_every_page_is_the_same_document_under_a_strict_policy(client: Client, address: str) -> None:
    async with client.get(address.replace("{call}", "a-call"), headers={"Accept-Encoding": ""}) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"
        assert await answer.read() == (FOLDER / "index.html").read_bytes()
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert {policy[f"{kind}-src"] for kind in ("script", "style", "img", "connect", "media")} == {"'self'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("common/api.js", "text/javascript"),
        ("common/base.css", "text/css"),
        ("icon.svg", "image/svg+xml"),
    ],
)
async def test_files_are_sent_packed_and_sent_again_only_when_they_changed(
    client: Client, name: str, kind: str
) -> None:
    async with client.get(f"/static/{name}", headers={"Accept-Encoding": "gzip, br"}) as answer:
        assert answer.content_type == kind
        assert gzip.decompress(await answer.read()) == (FOLDER / name).read_bytes()
        etag = answer.headers["ETag"]
    assert answer.headers["Cache-Control"] == "no-cache"
    asked = {"Accept-Encoding": "gzip", "If-None-Match": f'"another", {etag}'}
    async with client.get(f"/static/{name}", headers=asked) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    async with client.get(f"/static/{name}", headers={"Accept-Encoding": "", "If-None-Match": etag}) as answer:
        assert answer.status == 200, "the plain file has a name of its own"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../routes.py",
        "/static/%2e%2e/routes.py",
        "/static/..%2froutes.py",
        "/static/common/../../files.py",
        "/static//etc/passwd",
        "/static/%00",
        "/static/nothing.js",
        "/static/common",
    ],
)
async def test_nothing_but_the_files_of_the_pages_is_given_out(client: Client, path: str) -> None:
    reader = client.server
    assert isinstance(reader, TestServer)
    async with client.get(path) as answer:
        assert answer.status == 404
        assert b"root" not in await answer.read()


async def test_whoever_may_not_see_the_pages_is_told_what_to_set() -> None:
    async with _client(may_see=False) as client:
        for address in ("/", "/calls/x", "/static/common/api.js"):
            async with client.get(address) as answer:
                assert answer.status == 403
                assert "BRIDGE_API__TOKEN" in await answer.text()
                assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_every_file_that_a_page_names_is_there_and_nothing_comes_from_elsewhere() -> None:
    for name, file in FILES.items():
        text = file.body.decode()
        for found in _named(name, text):
            assert found in FILES, f"{name} names {found}"
        if not name.endswith(".svg"):
            assert "https://" not in text, name
        assert "innerHTML" not in text, name


def test_no_document_holds_a_script_or_style_of_its_own() -> None:
    for name, file in FILES.items():
        if name.endswith(".html"):
            text = file.body.decode()
            assert "<style" not in text
            assert " style=" not in text
            assert "<script>" not in text
            assert " on" not in text.replace(" only", "").replace(" one", ""), "no listeners in attributes"


def test_no_script_is_longer_than_can_be_read_at_once() -> None:
    assert [name for name, file in FILES.items() if file.body.count(b"\n") > 400 and name.endswith(".js")] == []


def _named(name: str, text: str) -> list[str]:
    """The paths of the files that a file of ours loads."""
    import posixpath
    import re

    here = posixpath.dirname(name)
    imports = re.findall(r'^(?:import|export)\b[^;]*?from "([^"]+)"', text, re.MULTILINE | re.DOTALL)
    linked = re.findall(r'(?:src|href)="(/static/[^"]+)"', text)
    return [posixpath.normpath(posixpath.join(here, path)) for path in imports] + [
        path.removeprefix("/static/") for path in linked
    ]


def test_the_folder_is_where_the_package_is() -> None:
    assert FOLDER.parent == Path(__file__).parents[2] / "bridge" / "console"


async def test_the_pages_can_be_switched_off(tmp_path: Path) -> None:
    async with (
        ScriptedSpeech().running() as speech,
        bridge(tmp_path, speech.url, BRIDGE_API__CONSOLE="false") as up,
        aiohttp.ClientSession() as http,
    ):
        for address in ("/", "/calls", "/softphone", "/static/common/api.js"):
            async with http.get(up.url + address) as answer:
                assert answer.status == 404


async def test_without_a_token_only_this_machine_is_given_the_pages(tmp_path: Path) -> None:
    async with (
        ScriptedSpeech().running() as speech,
        bridge(tmp_path, speech.url) as up,
        aiohttp.ClientSession() as http,
    ):
        async with http.get(up.url) as answer:
            assert answer.status == 200
        for header in ({"X-Forwarded-For": "203.0.113.7"}, {"Host": "evil.example"}):
            async with http.get(up.url, headers=header) as answer:
                assert answer.status == 403
