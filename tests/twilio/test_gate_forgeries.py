"""Whatever a stranger sends to Twilio's addresses, over real sockets: forged, mutated, old, replayed, unsigned."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # the library has no types

from bridge.twilio.gate import TRY_AGAIN
from tests.test_calls import TOKEN
from tests.twilio.forgeries import (
    OLD,
    STREAMS,
    WEBHOOKS,
    attempts,
    retired,
    stream_attempts,
    try_webhook,
    world,
)


async def test_no_webhook_takes_what_twilio_did_not_sign(tmp_path: Path) -> None:
    async with world(tmp_path, BRIDGE_TWILIO__OLD_AUTH_TOKENS=OLD) as it:
        assert len(it.webhooks) >= 9, it.webhooks
        tried = [one for path in it.webhooks for one in attempts(it, path)]
        good = [one for one in tried if WEBHOOKS[one.kind][0].status == 200]
        for attempt in [one for one in tried if one not in good]:
            assert await try_webhook(it, attempt) in WEBHOOKS[attempt.kind], attempt
        assert not it.up.registry.sessions
        assert it.up.registry.expected == 0, "nothing was done for any of them"
        for attempt in good:
            assert await try_webhook(it, attempt) in WEBHOOKS[attempt.kind], attempt
        it.rotate()
        for attempt in retired(it):
            tried.append(attempt)
            assert await try_webhook(it, attempt) in WEBHOOKS[attempt.kind], attempt
        assert {(one.kind, one.path.partition("?")[0]) for one in tried} == {
            (kind, path) for kind in WEBHOOKS for path in it.webhooks
        }


async def test_an_address_may_be_signed_with_the_fragment_that_we_handed_it_out_with(tmp_path: Path) -> None:
    async with world(tmp_path) as it, aiohttp.ClientSession() as http:
        url, form = it.up.url + "/twilio/stream-ended?leg=1", {"CallSid": "CA1", "CallStatus": "completed"}
        for fragment, status in (("", 200), (TRY_AGAIN, 200), ("#rc=4", 403)):
            given = RequestValidator(TOKEN).compute_signature(url + fragment, form)
            async with http.post(url + fragment, data=form, headers={"X-Twilio-Signature": given}) as answer:
                assert answer.status == status, fragment


async def test_a_form_that_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.twilio.gate._FORM_WITHIN_S", 0.2)
    async with world(tmp_path) as it:
        port = int(it.up.url.rpartition(":")[2])

        async def half(path: str) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            writer.write((head + "Content-Length: 100\r\n\r\nCallSid=").encode())
            line = await asyncio.wait_for(reader.readline(), 5)
            writer.close()
            return line

        lines = await asyncio.gather(*map(half, it.webhooks))
        assert {line.split()[1] for line in lines} == {b"408"}


async def test_no_stream_comes_in_without_a_ticket_of_its_own(tmp_path: Path) -> None:
    async with world(tmp_path, BRIDGE_TWILIO__OLD_AUTH_TOKENS=OLD) as it:
        assert it.streams == ["/twilio/media"]
        tried = set()
        async for kind, came in stream_attempts(it):
            assert came == STREAMS[kind], kind
            tried.add(kind)
        assert tried == {*STREAMS}


async def test_a_stream_that_says_nothing_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.twilio.routes._START_WITHIN_S", 0.2)
    async with world(tmp_path) as it:
        assert await it.stream() == 1008
        assert it.refused("no_start") == 1
