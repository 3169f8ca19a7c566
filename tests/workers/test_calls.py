"""Whole calls over a bridge of two processes: whichever gets a request, all is as with one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bridge.simulator.caller import SimulatedCall
from bridge.simulator.party import Party
from bridge.twilio.signature import sign
from tests.bridge_process import TOKEN
from tests.waiting import until
from tests.workers.world import OURS, Together, eventually, start_message, stop, together, worker_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

DESK = "+15550100009"
SENT = "sent.jsonl"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Together]:
    async with together(tmp_path_factory.mktemp("together"), BRIDGE_SINKS__FILE=SENT) as bridge:
        yield bridge
        assert await stop(bridge.process) == 0
        assert "Traceback" not in await bridge.log()


async def test_calls_are_shared_and_everybody_sees_all_of_them(up: Together) -> None:
    async with up.calls(4, report_status=True) as calls:
        assert sorted(map(worker_of, calls)) == [0, 0, 1, 1]
        for _ in range(4):  # Whichever worker is asked.
            seen = await up.live(*calls)
        assert [call["mode"] for call in seen] == ["agent"] * 4
        assert len({call["id"] for call in seen}) == 4
        await asyncio.gather(*(up.heard_by(call, f"This is call {number}.") for number, call in enumerate(calls)))
        talk = [[line["heard"] for line in call["talk"]] for call in await up.live(*calls)]
        assert talk == [[f"This is call {number}."] for number in range(4)]
        for call, kept in zip(calls, seen, strict=True):
            assert f"This is call {calls.index(call)}." in str(
                await up.get(f"/api/v1/calls/{kept['id']}/transcript")
            )
            status, _ = await up.post(f"/api/v1/calls/{kept['id']}/hang-up")
            assert status == 202
        async with asyncio.timeout(10):
            assert [await call.ended() for call in calls] == ["bridge_hung_up"] * 4
    assert [call.problems for call in calls] == [[]] * 4
    kept_calls = await up.kept(*calls)
    assert sorted(one["sid"] for one in kept_calls) == sorted(call.call_sid for call in calls)
    await up.live()
    assert (await up.get("/readyz"))["status"] == "ready"

    async def sent() -> list[str]:
        text = await asyncio.to_thread((up.folder / SENT).read_text)
        documents = [json.loads(line) for line in text.splitlines()]
        return sorted(one["call"]["id"] for one in documents if one["type"] == "call.ended")

    async def all_sent() -> bool:
        return await sent() == sorted(call["id"] for call in seen)

    await eventually(all_sent)


async def test_no_secret_is_in_the_list_of_processes_and_sighup_reaches_all(up: Together) -> None:
    for pid in (up.process.pid, *await up.workers()):
        assert TOKEN not in await asyncio.to_thread(Path(f"/proc/{pid}/cmdline").read_text)
    up.process.send_signal(signal.SIGHUP)

    async def taken() -> bool:
        return (await up.log()).count("settings_taken") == 2

    await eventually(taken)


async def test_figures_are_those_of_all(up: Together) -> None:
    async def figures() -> dict[str, float]:
        lines = (await up.get("/metrics")).splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[:1] != "#"}

    begun = 'phone_bridge_calls_total{mode="agent"}'
    before = (await figures()).get(begun, 0.0)
    async with up.calls(2) as calls:
        assert sorted(map(worker_of, calls)) == [0, 1]
        await up.live(*calls)
        now = await figures()
    assert now[begun] == before + 2
    assert now["phone_bridge_live_calls"] == 2

    async def store_is_up() -> bool:
        return (await figures())["phone_bridge_store_up"] == 1

    await eventually(store_is_up)  # The database is opened after the bridge listens.


async def test_a_token_is_good_once_for_all_of_them(up: Together) -> None:
    form = [("CallSid", "CAonce"), ("From", "+15550100001"), ("To", OURS), ("CallStatus", "ringing")]
    url = up.url + "/twilio/voice"
    async with up.http.post(url, data=form, headers={"X-Twilio-Signature": sign(TOKEN, url, form)}) as response:
        document = await response.text()
    token = document.split('name="token" value="')[1].split('"')[0]
    named = int(document.split("/twilio/media/")[1][0])

    async def opened(worker: int) -> aiohttp.ClientWebSocketResponse:
        socket = await up.http.ws_connect(f"{up.url}/twilio/media/{worker}")
        await socket.send_str(start_message("CAonce", token))
        return socket

    first = await opened(named)
    await until(lambda: len(up.speech.stt))
    for worker in (0, 1):
        again = await opened(worker)
        async with asyncio.timeout(5):
            message = await again.receive()
        assert (again.close_code, message.extra) == (1008, "token_used")
    await first.send_str(
        '{"event": "stop", "streamSid": "MZ1", "stop": {"accountSid": "AC1", "callSid": "CAonce"}}'
    )
    await up.live()
    await first.close()


async def test_a_caller_whom_nobody_takes_comes_back_to_the_same_worker(up: Together) -> None:
    async def passed_on(call: SimulatedCall) -> None:
        status, _ = await up.post(f"/api/v1/calls/{call.call_sid}/transfer", {"to": DESK})
        assert status == 202
        assert await call.wait_for_agent(10, silence_s=0.2)  # The caller is told that nobody was reached.

    async with up.calls(2, parties={DESK: Party("busy")}, repeat_requests=True) as calls:
        before = [worker_of(call) for call in calls]
        assert sorted(before) == [0, 1]
        await asyncio.gather(*map(passed_on, calls))
        assert [len(call.phones) for call in calls] == [2, 2]
        assert [worker_of(call) for call in calls] == before
        await up.live(*calls)
    assert [call.problems for call in calls] == [[], []]


async def test_who_takes_a_call_by_a_key_gets_the_caller(up: Together) -> None:
    async def passed_on(call: SimulatedCall) -> None:
        wanted = {"to": DESK, "summary": "A broken bike."}
        status, _ = await up.post(f"/api/v1/calls/{call.call_sid}/transfer", wanted)
        assert status == 202
        async with asyncio.timeout(10):
            await call.ended()

    async with up.calls(2, parties={DESK: Party(keys="1", hang_up_after_s=0.3)}) as calls:
        assert sorted(map(worker_of, calls)) == [0, 1]
        await asyncio.gather(*map(passed_on, calls))
    rows = await up.kept(*calls)
    assert [(row["ended"], row["transfer_to"]) for row in rows] == [("transfer", DESK)] * 2


async def test_what_happens_is_told_in_one_order_and_can_be_taken_up_again(up: Together) -> None:
    async def follow(after: str, until_: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        headers = {"Last-Event-ID": after}
        async with up.http.get(
            f"{up.url}/api/v1/events?types=call.started,call.ended", headers=headers
        ) as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    found.append(json.loads(line[6:]))
                    if sum(event["type"] == until_ for event in found) == 2:
                        return found
        return found

    begin = (await up.get("/api/v1/live"))["last_event_id"]
    async with up.calls(2) as calls:
        seen = await up.live(*calls)
        started = await follow(begin, "call.started")
        assert sorted(event["call"] for event in started) == sorted(call["id"] for call in seen)
        for call in calls:
            await call.hang_up()
        ended = await follow(started[-1]["id"], "call.ended")
    assert sorted(event["call"] for event in ended) == sorted(call["id"] for call in seen)
    numbers = [int(event["id"].partition("-")[2]) for event in (*started, *ended)]
    assert numbers == sorted(set(numbers))


async def test_a_call_is_listened_to_wherever_it_is(up: Together) -> None:
    async with up.calls(2) as calls:
        for call in calls:
            async with up.http.ws_connect(f"{up.url}/api/v1/calls/{call.call_sid}/listen") as ear:
                await call.say(b"\x12" * 1600)
                async with asyncio.timeout(5):
                    frame = await ear.receive_bytes()
            assert frame[:1] == b"\x00"


async def test_calls_of_ours_are_placed_once_and_followed(up: Together) -> None:
    up.rest.line = up.line(parties={"+15550100001": Party("answers")})
    orders = [await up.post("/api/v1/calls", {"to": "+15550100001"}) for _ in range(2)]
    assert [status for status, _ in orders] == [202, 202]
    await until(lambda: len(up.rest.placed) >= 2)

    async def all_are(status: str) -> bool:
        return [(await up.get(f"/api/v1/calls/{order['id']}"))["status"] for _, order in orders] == [status] * 2

    await eventually(lambda: all_are("in-progress"))
    for leg in up.rest.placed[-2:]:
        await leg.hang_up()
    await eventually(lambda: all_are("completed"))


async def test_a_page_is_the_phone_of_a_call(up: Together) -> None:
    begun = [await up.post("/api/v1/softphone") for _ in range(2)]
    sockets = []
    for status, call in begun:
        assert status == 201
        socket = await up.http.ws_connect(up.url + call["stream_url"])
        await socket.send_str(start_message(call["sid"], call["token"]))
        sockets.append(socket)

    async def both_live() -> bool:
        return len((await up.get("/api/v1/live"))["calls"]) == 2

    await eventually(both_live)
    for (_, call), socket in zip(begun, sockets, strict=True):
        await socket.close()
        status, after = await up.post(f"/api/v1/softphone/{call['sid']}/next", {"over": True})
        assert (status, after["steps"][-1]["do"]) == (200, "hang_up")
    await up.live()


async def test_a_call_that_goes_on_elsewhere_is_not_erased(up: Together) -> None:
    async with up.calls(2) as calls:
        (first, second) = await up.live(*calls)
        for call in (first, second):
            async with up.http.delete(f"{up.url}/api/v1/calls/{call['id']}?erase=true") as response:
                assert response.status in {404, 409}, await response.text()
        status, erased = await up.post("/api/v1/erase", {"number": first["from"]})
        assert status == 200
        assert {first["id"], second["id"]} & {*erased["calls"]} == set()
    await up.kept(*calls)

    async def erased_by_id(call: dict[str, Any]) -> bool:
        async with up.http.delete(f"{up.url}/api/v1/calls/{call['id']}?erase=true") as response:
            assert response.status in {204, 409}, await response.text()
            return response.status == 204

    for call in (first, second):
        await eventually(
            partial(erased_by_id, call)
        )  # The record may tell its end before its worker lets go of it.


async def test_one_that_dies_is_started_again_and_all_calls_go_on(up: Together) -> None:
    async def all_are_up() -> bool:
        log = await up.log()
        return log.count("worker_died") == log.count("worker_restarted")

    async def died_and_restarted() -> bool:
        return (await up.log()).count("worker_died") > died_before and await all_are_up()

    await eventually(all_are_up)  # Also where this is tried again.
    died_before = (await up.log()).count("worker_died")
    async with up.calls(2) as calls:
        seen = await up.live(*calls)
        (there, died) = sorted(range(2), key=lambda at: worker_of(calls[at]), reverse=True)
        os.kill((await up.workers())[0], signal.SIGKILL)  # The one that keeps house.
        await eventually(died_and_restarted)
        await up.heard_by(calls[there], "Are you there?")
        now = await up.live(*calls)  # The one that was broken off is back.
        assert [call["id"] for call in now] == [call["id"] for call in seen]
        assert [line["heard"] for line in now[there]["talk"]] == ["Are you there?"]
        await up.heard_by(calls[died], "And you?")
        async with up.calls(2) as more:
            await up.live(*calls, *more)
    (folder,) = (up.folder / "calls").glob(f"*/*-{seen[died]['id']}")
    await until((folder / "timeline.svg").exists)
    assert '"entry":"call_taken_over"' in await asyncio.to_thread((folder / "journal.jsonl").read_text)
    await up.kept(*calls, *more)


async def test_told_to_stop_they_let_calls_end(tmp_path: Path) -> None:
    async with together(tmp_path) as up, up.calls(2) as calls:
        await up.live(*calls)
        up.process.send_signal(signal.SIGTERM)
        form = [("CallSid", "CAlate"), ("From", "+1"), ("To", OURS)]
        url = up.url + "/twilio/voice"
        headers = {"X-Twilio-Signature": sign(TOKEN, url, form)}

        async def refused() -> bool:
            async with up.http.post(url, data=form, headers=headers) as response:
                return "Reject" in await response.text()

        await eventually(refused)
        await calls[0].pause(0.3)
        assert [call.live for call in calls] == [True, True]
        for call in calls:
            await call.hang_up()
        assert await stop(up.process) == 0
        assert "Traceback" not in await up.log()
