"""Each exchange finds what it is there for, and nothing in an agent that is well."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from bridge.agent_check import exchanges
from bridge.agent_check.exchanges import Exchange
from bridge.agent_check.findings import Finding
from bridge.agent_check.run import check_agent
from tests.agent_check.authors import SECRET, Handler, Start, always, answered, careful, plain, probing, tried


def only(findings: list[Finding], status: str = "failed") -> Finding:
    (finding,) = findings
    assert finding.status == status, finding
    assert finding.remedy or status in {"ok", "skipped"}
    return finding


# --- agents that are well ----------------------------------------------------------------------------------


async def test_an_agent_that_does_everything_right_is_told_so(start: Start) -> None:
    seen: list[Finding] = []
    report = await check_agent(await start(careful), secret=SECRET, on_finding=seen.append)
    assert {finding.status for finding in report.findings} == {"ok"}, report
    assert (report.ok, len(report.findings), seen) == (True, len(exchanges.EXCHANGES), list(report.findings))
    assert "Everything is well" in report.summary()


async def test_without_a_secret_signatures_are_not_looked_at(start: Start) -> None:
    finding = only(await tried(exchanges.signatures, await start(plain)), "skipped")
    assert "--secret" in finding.message


async def test_what_is_sent_is_what_the_names_say(start: Start) -> None:
    seen: list[dict[str, object]] = []
    headers: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers.append({name.lower(): value for name, value in request.headers.items()})
        seen.append(json.loads(body))
        return await answered(request, seen[-1])

    url = await start(handler)
    for exchange in (exchanges.speculative, exchanges.interrupted, exchanges.transfer_ended, exchanges.digits):
        await tried(exchange, url)
    assert [event["turn"]["speculative"] for event in seen[:2]] == [True, False]  # type: ignore[index]  # JSON
    assert seen[2]["interrupted"] == {"heard": "We are open from nine", "unheard": " to six on weekdays."}
    assert seen[3]["transfer"] == {"to": "+15550100009", "status": "busy"}
    assert [event["digits"] for event in seen[4:]] == ["4711", "#", ""]
    assert len({header["webhook-id"] for header in headers}) == len(headers)
    assert "webhook-signature" not in headers[0]

    headers.clear()
    await tried(exchanges.repeated, url)
    await tried(exchanges.call_ended, url)
    assert sorted(Counter(header["webhook-id"] for header in headers).values()) == [2, 2]


async def test_a_slow_request_really_comes_in_parts(start: Start) -> None:
    parts: list[bytes] = []

    async def handler(request: web.Request) -> web.Response:
        while part := await request.content.readany():
            parts.append(part)
        return web.json_response({"say": json.loads(b"".join(parts))["turn"]["transcript"]})

    assert exchanges.HOURS in only(await tried(exchanges.slow, await start(handler)), "ok").message
    assert len(parts) > 3


async def test_connections_are_really_closed_in_mid_answer(start: Start) -> None:
    gone = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal gone
        event = await request.json()
        if event["turn"]["number"] == 5:
            return web.json_response({"say": "Yes."})
        try:
            response = web.StreamResponse(headers={"content-type": "text/plain"})
            await response.prepare(request)
            await response.write(b"Well, ")
            await asyncio.Event().wait()
        finally:
            gone += 1  # the test server cancels a handler whose connection closed
        return response

    only(await tried(exchanges.cancelled, await start(handler)), "ok")
    async with asyncio.timeout(5):
        while gone < 4:  # noqa: ASYNC110 - connections close one by one
            await asyncio.sleep(0.01)


# --- agents that are not -----------------------------------------------------------------------------------


async def test_an_agent_that_is_not_there_is_told_once(unused_tcp_port: int) -> None:
    report = await check_agent(f"http://127.0.0.1:{unused_tcp_port}/")
    finding = only(list(report.findings))
    assert finding.message == "it cannot be reached: Connection refused"
    assert "start the agent" in finding.remedy


async def test_an_agent_that_hangs_is_not_asked_for_ever(start: Start) -> None:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    report = await check_agent(await start(handler), timeout_s=0.2)
    assert (len(report.findings) < 6, report.findings[-1].check) == (True, "the rest")
    assert report.findings[0].message == "nothing came for 0.2 s"


@pytest.mark.parametrize(
    ("handler", "message", "remedy"),
    [
        (always(status=500), "status 500", "its own log"),
        (always(status=404), "status 404", "path of the URL"),
        (always("<p>Hello</p>", content_type="text/html"), "content type text/html", "README"),
        (always('{"say": '), "not understood", "README"),
        (always('{"says": "Hello"}'), "none of `say`", "README"),
        (always('{"actions": [{"type": "fly"}]}'), "the action 'fly' is refused: no such action", "README"),
        (always('{"type": "transfer", "to": "5551234"}'), "neither a number like", "README"),
        (always(b"Gr\xfc\xdfe", content_type="text/plain"), "byte 2 of the answer is no UTF-8", "UTF-8"),
        (always(b"x" * 2_000_000, content_type="text/plain"), "longer than 1000000 bytes", "README"),
    ],
)
async def test_an_answer_that_is_no_good(start: Start, handler: Handler, message: str, remedy: str) -> None:
    finding = only(await tried(exchanges.good, await start(handler)))
    assert (message in finding.message, remedy in finding.remedy) == (True, True), finding


async def test_a_redirect_is_told_with_its_target(start: Start) -> None:
    async def handler(request: web.Request) -> web.Response:
        raise web.HTTPPermanentRedirect("/agent/")

    assert "give the final address (/agent/)" in only(await tried(exchanges.good, await start(handler))).remedy


async def test_a_webhook_that_takes_no_posts(start: Start) -> None:
    assert "take POST" in only(await tried(exchanges.good, await start(always(status=405)))).remedy


async def test_an_answer_that_never_ends(start: Start) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/plain"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                await response.write(b"well ")
                await asyncio.sleep(0.05)
        return response

    finding = only(await tried(exchanges.good, await start(handler), whole_s=0.4))
    assert "not complete after 0.4 s" in finding.message


async def test_an_answer_that_breaks_off(start: Start) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/plain"})
        await response.prepare(request)
        await response.write(b"Well, ")
        assert request.transport is not None
        await asyncio.sleep(0.05)
        request.transport.abort()
        return response

    finding = only(await tried(exchanges.good, await start(handler)))
    assert "broke its answer off" in finding.message


async def test_silence_where_the_caller_waits_is_a_warning(start: Start) -> None:
    url = await start(always(status=204))
    assert "hears nothing" in only(await tried(exchanges.good, url), "warning").message
    only(await tried(exchanges.silence, url), "ok")


async def test_a_late_first_word_is_a_warning(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.agent_check.judge.SLOW_MS", 100)

    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(0.15)
        return web.json_response({"say": "Hello."})

    assert "stream the answer" in only(await tried(exchanges.good, await start(handler)), "warning").remedy


def failing_over(kind: str, value: object) -> Handler:
    """An agent that answers 500 to requests that hold something."""

    async def handler(request: web.Request) -> web.StreamResponse:
        event = await request.json()
        if value in {event.get(kind), event["turn"].get(kind), len(await request.read()) > 100_000}:
            return web.Response(status=500)
        return await answered(request, event)

    return handler


async def strict(request: web.Request) -> web.StreamResponse:
    event = await request.json()
    if set(event["turn"]) != {"number", "transcript", "speculative"}:
        return web.Response(status=422)
    return await answered(request, event)


@pytest.mark.parametrize(
    ("exchange", "handler", "remedy"),
    [
        (exchanges.digits, failing_over("digits", ""), "its own log"),
        (exchanges.speculative, failing_over("speculative", True), "its own log"),
        (exchanges.silence, failing_over("type", "silence"), "its own log"),
        (exchanges.transfer_ended, failing_over("type", "transfer.ended"), "its own log"),
        (exchanges.message, failing_over("type", "message"), "its own log"),
        (exchanges.call_ended, failing_over("type", "call.ended"), "its own log"),
        (exchanges.unknown_type, failing_over("type", "weather.changed"), "answer 204 to types"),
        (exchanges.odd_text, failing_over("transcript", ""), "its own log"),
        (exchanges.long_call, failing_over("", True), "its own log"),
        (exchanges.unknown_fields, strict, "pass over fields"),
    ],
)
async def test_the_part_of_a_call_that_an_agent_fails_over(
    start: Start, exchange: Exchange, handler: Handler, remedy: str
) -> None:
    url = await start(handler)
    assert remedy in only(await tried(exchange, url)).remedy
    only(await tried(exchanges.good, url), "ok")


async def test_a_body_that_the_agent_finds_too_large(start: Start) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if len(await request.read()) > 50_000:
            raise web.HTTPRequestEntityTooLarge(50_000, 100_000)
        return await plain(request)

    assert "2 MB" in only(await tried(exchanges.long_call, await start(handler))).remedy


async def test_an_agent_that_answers_what_it_cannot_know(start: Start) -> None:
    finding = only(await tried(exchanges.unknown_type, await start(always('{"say": "Hello."}'))), "warning")
    assert "cannot know" in finding.message


async def test_an_agent_that_talks_after_the_end(start: Start) -> None:
    finding = only(await tried(exchanges.call_ended, await start(always('{"say": "Bye."}'))), "warning")
    assert "after the call is over" in finding.message


async def test_an_agent_that_answers_a_repeated_question_with_nothing(start: Start) -> None:
    known: set[str] = set()

    async def handler(request: web.Request) -> web.Response:
        first = request.headers["webhook-id"] not in known
        known.add(request.headers["webhook-id"])
        return web.json_response({"say": "Hello."}) if first else web.Response(status=204)

    assert "answer again" in only(await tried(exchanges.repeated, await start(handler))).remedy


async def test_an_agent_that_breaks_when_a_caller_cuts_in(start: Start) -> None:
    broken = False

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal broken
        if broken:
            return web.Response(status=500)
        try:
            await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            broken = True
            raise
        return await plain(request)

    finding = only(await tried(exchanges.cancelled, await start(handler)))
    assert "after closed connections" in finding.message


async def test_an_agent_that_answers_one_caller_after_the_other(start: Start) -> None:
    one = asyncio.Lock()

    async def handler(request: web.Request) -> web.Response:
        async with one:
            await asyncio.sleep(0.08)
        return web.json_response({"say": "Hello."})

    assert (
        "several requests at a time" in only(await tried(exchanges.at_once, await start(handler)), "warning").remedy
    )


async def test_an_agent_that_closes_its_connections(start: Start) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.json_response({"say": "Hello."})
        response.force_close()
        return response

    finding = only(await tried(exchanges.connections, await start(handler)), "warning")
    assert "3 questions took 3 connections" in finding.message


async def test_an_agent_that_dies_of_what_is_no_question(unused_tcp_port: int) -> None:
    async def brittle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        body = await reader.readexactly(int(length.partition(b":")[2]))
        if not body:
            server.close()
        else:
            writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(brittle, "127.0.0.1", unused_tcp_port)
    async with server:
        finding = only(await tried(exchanges.malformed, f"http://127.0.0.1:{unused_tcp_port}/"), "warning")
    assert "any stranger can stop your agent" in finding.remedy


# --- signatures --------------------------------------------------------------------------------------------


async def test_an_agent_that_checks_nothing(start: Start) -> None:
    findings = await tried(exchanges.signatures, await start(plain), secret=SECRET)
    assert [finding.status for finding in findings] == ["failed"] * 4
    assert [finding.message.partition(" is not")[0] for finding in findings] == [
        "an unsigned request",
        "a request signed with another secret",
        "a request that was changed on its way",
        "a request that is an hour old",
    ]


async def test_an_agent_that_does_not_look_at_the_time(start: Start) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        body, headers = await request.read(), request.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body.decode()}".encode()
        import base64
        import hmac

        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        wanted = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
        if headers.get("webhook-signature") != wanted:
            return web.Response(status=403)
        return await plain(request)

    finding = only(await tried(exchanges.signatures, await start(handler), secret=SECRET))
    assert "an hour old is not refused" in finding.message


async def test_a_refusal_with_another_status_is_a_warning(start: Start) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = await careful(request)
        return web.Response(status=400) if response.status == 401 else response

    findings = await tried(exchanges.signatures, await start(handler), secret=SECRET)
    assert [finding.status for finding in findings] == ["warning"] * 4


async def test_a_wrong_secret_is_told_where_it_shows(start: Start) -> None:
    finding = only(await tried(exchanges.good, await start(careful), secret="whsec_c29tZXRoaW5nIGVsc2U="))
    assert "--secret" in finding.remedy


async def test_the_repeated_request_is_signed_as_standard_webhooks_says(start: Start) -> None:
    async with probing(await start(careful), secret=SECRET) as probe:
        request = probe.request(exchanges.turn(exchanges.call(7)))
        assert Webhook(SECRET).verify(request.body, dict(request.headers))["call"]["id"] == "check-7"
        assert (await probe.send(request)).status == 200
