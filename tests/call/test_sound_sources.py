"""Where sounds come from: what files and answers are not played, and where nothing may lead."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from aiohttp import web

from bridge.audio import wav
from bridge.call import sound_sources
from bridge.call.sounds import Sounds
from tests.call.sounding import MULAW, WAV, Call, Handler, Server, calling, raw_server, serving


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[Call]:
    (tmp_path / "sounds").mkdir()
    async with calling(tmp_path / "sounds") as call:
        yield call


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


# --- files that may not be had -------------------------------------------------------------------------------


@pytest.fixture
def strange_files(tmp_path: Path) -> Path:
    folder = tmp_path / "sounds"
    (tmp_path / "secret.wav").write_bytes(WAV)
    (tmp_path / "sounds-too").mkdir()
    (tmp_path / "sounds-too" / "a.wav").write_bytes(WAV)
    (folder / "deep").mkdir()
    (folder / "deep" / "inside.wav").write_bytes(WAV)
    (folder / "out.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "up").symlink_to(tmp_path)
    (folder / "in.wav").symlink_to("deep/inside.wav")
    (folder / "round.wav").symlink_to("round.wav")
    os.mkfifo(folder / "pipe.wav")
    (folder / "empty.wav").write_bytes(b"")
    (folder / "page.wav").write_bytes(b"<!doctype html><title>Not found</title>" * 10)
    (folder / "long.wav").write_bytes(wav.write_mulaw(b"\xff" * (601 * 8000)))
    with (folder / "huge.wav").open("wb") as huge:
        huge.write(WAV)
        huge.truncate(11 * 2**20)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [
        ("../secret.wav", "sound_refused", "outside the sounds folder"),
        ("deep/../../secret.wav", "sound_refused", "outside the sounds folder"),
        ("../sounds-too/a.wav", "sound_refused", "outside the sounds folder"),
        ("/etc/passwd", "sound_refused", "outside the sounds folder"),
        ("../nothing-there.wav", "sound_refused", "outside the sounds folder"),
        ("out.wav", "sound_refused", "outside the sounds folder"),
        ("up/secret.wav", "sound_refused", "outside the sounds folder"),
        ("deep", "sound_refused", "it is no file"),
        ("", "sound_refused", "it is no file"),
        ("pipe.wav", "sound_refused", "it is no file"),
        ("huge.wav", "sound_refused", "has more than 10 MiB: make it shorter"),
        ("long.wav", "sound_refused", "longer than 10 minutes: make it shorter"),
        ("nothing.wav", "sound_unreachable", "No such file or directory; sounds are looked for below"),
        ("in.wav/x.wav", "sound_unreachable", "Not a directory; sounds are looked for below"),
        ("round.wav", "sound_unreachable", "round.wav"),
        ("a\0.wav", "sound_unreachable", "null"),
        ("x" * 300, "sound_unreachable", "File name too long"),
        ("empty.wav", "sound_format", "it is no WAV file; wanted is a mono or stereo WAV with PCM"),
        ("page.wav", "sound_format", "it is no WAV file"),
    ],
)
async def test_what_files_are_not_played(
    call: Call, strange_files: Path, source: str, code: str, message: str
) -> None:
    told, reason = await call.failure(source)

    assert told == code
    assert message in reason


@pytest.mark.parametrize("source", ["deep/inside.wav", "in.wav", "./deep/../deep/inside.wav", "{folder}/in.wav"])
async def test_what_files_are_played(call: Call, strange_files: Path, source: str) -> None:
    assert await call.heard(source.format(folder=strange_files / "sounds")) == MULAW


async def test_without_a_folder_no_file_is_played() -> None:
    assert await Call(Sounds()).failure("/etc/hostname") == (
        "sound_refused",
        "cannot play '/etc/hostname': there is no sounds folder; set one, or give an http(s) URL",
    )


# --- servers that fail ---------------------------------------------------------------------------------------


async def answer_404(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=404, body=WAV)


async def answer_500(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=500)


async def answer_304(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=304)


async def answer_html(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="<!doctype html><title>Sign in</title>", content_type="text/html")


async def answer_nothing(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"")


async def answer_gzip(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=gzip.compress(WAV), headers={"Content-Encoding": "gzip"})


async def answer_huge(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=WAV + bytes(11 * 2**20))


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (answer_404, "sound_unreachable", "cannot be had: status 404; check its URL"),
        (answer_500, "sound_unreachable", "cannot be had: status 500; check its URL"),
        (answer_304, "sound_unreachable", "cannot be had: status 304"),
        (answer_html, "sound_format", "it is no WAV file; wanted is a mono or stereo WAV with PCM"),
        (answer_html, "sound_format", "(its server calls it 'text/html; charset=utf-8')"),
        (answer_nothing, "sound_format", "it is no WAV file"),
        (answer_gzip, "sound_format", "it is no WAV file"),
        (answer_huge, "sound_refused", "has more than 10 MiB: make it shorter, or mu-law at 8000 Hz"),
    ],
)
async def test_what_answers_are_not_played(
    call: Call, server: Server, answer: Handler, code: str, message: str
) -> None:
    server.answer = answer

    told, reason = await call.failure(server.url)

    assert told == code
    assert message in reason
    server.answer = server.wav
    assert await call.heard(server.url) == MULAW  # No failure is kept.


async def test_an_endless_answer_is_cut_off(call: Call, server: Server) -> None:
    sent = 0
    cut = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while sent < 200 * 2**20:
                await response.write(WAV * 10)
                sent += len(WAV) * 10
        finally:
            cut.set()
        return response

    server.answer = endless
    code, message = await call.failure(server.url)

    assert (code, "has more than 10 MiB" in message) == ("sound_refused", True)
    await cut.wait()
    assert sent < 30 * 2**20


async def test_an_answer_that_says_that_it_is_huge_is_not_read(call: Call) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 10485761\r\n\r\n") as (url, _, left):
        code, message = await call.failure(url)
        assert (code, "has more than 10 MiB" in message) == ("sound_refused", True)
        await left.wait()


async def test_a_connection_that_breaks(call: Call) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + WAV[:500])
        writer.close()

    async with await asyncio.start_server(half, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        code, message = await call.failure(f"http://127.0.0.1:{port}/")
    assert (code, "ClientPayloadError" in message) == ("sound_unreachable", True)

    code, message = await call.failure(f"http://127.0.0.1:{port}/")
    assert code == "sound_unreachable"
    assert message.endswith("; put the file into the sounds folder or serve it from another address")
    assert "no connection (" in message


async def test_no_http_at_all(call: Call) -> None:
    async with raw_server(b"220 mail.example ESMTP\r\n\r\n") as (url, _, _):
        code, _ = await call.failure(url)
    assert code == "sound_unreachable"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + WAV[:50]])
async def test_a_slow_server_is_left(answer: bytes) -> None:
    of = Sounds(allow_private=True, total_seconds=0.2)
    async with raw_server(answer) as (url, _, left):
        code, message = await Call(of).failure(url)
        assert (code, "it was not there within 0.2 s" in message) == ("sound_unreachable", True)
        await left.wait()
    await of.close()


async def test_a_connection_that_does_not_come(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    of = Sounds(allow_private=True, connect_seconds=0.1)
    code, message = await Call(of).failure(server.url.replace("127.0.0.1", "localhost"))
    await of.close()

    assert (code, "no connection within 0.1 s" in message) == ("sound_unreachable", True)


@pytest.mark.parametrize(
    "source",
    ["ftp://example.org/a.wav", "file:///etc/passwd", "http://", "http://[::", "http://a:b:c/", "javascript://x"],
)
async def test_what_is_no_web_address(call: Call, source: str) -> None:
    code, message = await call.failure(source)

    assert code == "sound_refused"
    assert "is no http(s) URL" in message


async def test_a_name_that_nobody_has(call: Call) -> None:
    code, message = await call.failure("http://nobody.invalid/a.wav")

    assert code == "sound_unreachable"
    assert "no connection" in message


async def test_one_line_in_the_log_without_what_may_be_secret(call: Call, server: Server) -> None:
    server.answer = answer_404
    url = server.url.replace("http://", "http://me:hidden@") + "?token=hidden"

    with structlog.testing.capture_logs() as logs:
        _, message = await call.failure(url)

    assert message == f"the sound at {server.url} cannot be had: status 404; check its URL"
    assert logs == [
        {
            "event": "sound_failed",
            "log_level": "warning",
            "call": "call-1",
            "utterance": 1,
            "source": server.url,
            "code": "sound_unreachable",
            "reason": message,
        }
    ]


async def test_no_proxy_of_the_environment_is_used(
    call: Call, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    assert await call.heard(server.url) == MULAW


# --- where servers may lead ----------------------------------------------------------------------------------


def redirecting(*targets: str) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        step = int(request.query.get("step", 0))
        if step < len(targets):
            return web.Response(status=302, headers={"Location": targets[step]})
        return web.Response(body=WAV)

    return answer


async def test_three_redirects_are_followed(call: Call, server: Server) -> None:
    server.answer = redirecting("/b?step=1", "?step=2", f"{server.url}?step=3")
    assert await call.heard(server.url) == MULAW

    server.answer = redirecting("?step=1", "?step=2", "?step=3", "?step=4")
    code, message = await call.failure(f"{server.url}?")
    assert code == "sound_refused"
    assert "redirected more than 3 times: give its final URL" in message


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://[::", "data:audio/wav,x"])
async def test_redirects_lead_to_web_addresses_only(call: Call, server: Server, target: str) -> None:
    server.answer = redirecting(target)

    code, message = await call.failure(server.url)

    assert code == "sound_refused"
    assert "redirects to no http(s) URL" in message


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
async def test_private_networks_are_refused(server: Server, host: str) -> None:
    of = Sounds()

    code, message = await Call(of).failure(server.url.replace("127.0.0.1", host))

    assert code == "sound_refused"
    assert "it is in a private network, where sounds may not be fetched from; put the file" in message
    assert server.requests == []
    await of.close()


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f000001", "0177.0.0.1", "0"])
async def test_other_notations_do_not_lead_into_private_networks(server: Server, host: str) -> None:
    of = Sounds()

    await Call(of).failure(server.url.replace("127.0.0.1", host))

    assert server.requests == []
    await of.close()


async def test_a_redirect_does_not_lead_into_a_private_network(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_sources, "_is_public", lambda address: address == "127.0.0.1")
    of = Sounds()
    call = Call(of)
    assert await call.heard(server.url) == MULAW

    server.answer = redirecting(server.url.replace("127.0.0.1", "127.0.0.2"))
    code, _ = await call.failure(f"{server.url}?other")

    assert code == "sound_refused"
    assert len(server.requests) == 2
    await of.close()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::5db8:d822", True),
        ("2002:5db8:d822::1", True),
        *((address, False) for address in ("10.0.0.1", "172.16.5.5", "192.168.1.1", "127.9.9.9", "0.0.0.0")),
        *((address, False) for address in ("169.254.169.254", "100.64.0.1", "224.0.0.1", "240.0.0.1")),
        *((address, False) for address in ("::", "::1", "fe80::1%eth0", "fc00::1", "ff0e::1", "::7f00:1")),
        *((address, False) for address in ("::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:a00:1::", "2001::1")),
        *((address, False) for address in ("localhost", "127.1", "2130706433", "")),
    ],
)
def test_what_addresses_are_public(address: str, public: bool) -> None:
    assert sound_sources._is_public(address) is public
