"""Whole calls over a bridge of two processes that speaks https itself."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest

from bridge.tasks import spawn
from tests.test_rotation import certificate
from tests.waiting import until
from tests.workers.world import eventually, stop, together, worker_of


async def test_calls_are_shared_and_wherever_a_stream_arrives_it_is_answered_by_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    any_certificate = ssl.create_default_context()
    any_certificate.check_hostname, any_certificate.verify_mode = False, ssl.CERT_NONE
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", any_certificate)
    files = await asyncio.to_thread(certificate, tmp_path, "voice.example.com")
    chain, key = map(str, files)
    async with together(tmp_path, BRIDGE_SERVER__TLS_CERTIFICATE=chain, BRIDGE_SERVER__TLS_KEY=key) as up:
        assert up.url.startswith("https://")
        async with up.calls(4, report_status=True) as calls:
            assert sorted(map(worker_of, calls)) == [0, 0, 1, 1]
            seen = await up.live(*calls)
            await asyncio.gather(*(up.heard_by(call, f"This is call {n}.") for n, call in enumerate(calls)))
            talk = [[line["heard"] for line in call["talk"]] for call in await up.live(*calls)]
            assert talk == [[f"This is call {n}."] for n in range(4)]
            own = [worker_of(call) for call in calls]
            for number, one in zip(own, seen, strict=True):
                if number == 1:
                    assert (await up.post(f"/api/v1/calls/{one['id']}/hang-up"))[0] == 202
            others = [call for number, call in zip(own, calls, strict=True) if number == 0]
            await up.live(*others)
            # The second has no calls by now, but the streams of some of the first's may pass through it.
            stopping = spawn(stop(up.process), name="stop")

            async def draining() -> bool:
                return "calls_draining" in await up.log()

            await eventually(draining)
            since = others[0].now
            await until(lambda: others[0].now > since + 1)
            assert [(call.live, len(call.phones)) for call in others] == [(True, 1)] * 2
        assert await stopping == 0
        assert "Traceback" not in await up.log()
    assert [call.problems for call in calls] == [[]] * 4
