"""What goes wrong on the way to a call of ours: REST that refuses or hangs, callbacks that come late or never."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

from bridge.outbound import dialer, dispatch
from bridge.simulator.party import Party
from bridge.simulator.rest import Fault
from bridge.twilio import rest as rest_module
from bridge.twilio.media_stream import CarrierStream
from bridge.twilio.signature import sign
from tests.outbound.world import ACCOUNT, HUMAN, OURS, TOKEN, World, true, world

CREATE = r"/Calls\.json$"


@pytest.fixture
def _soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_RETRY_AFTER_S", (0.1, 0.1))


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_module.TwilioRest.__init__, "__kwdefaults__", {"timeout_s": 0.5})


async def callback(it: World, path: str, **fields: str) -> tuple[int, str]:
    """Post what the carrier would, signed."""
    url, form = it.up.url + path, [*fields.items()]
    headers = {"X-Twilio-Signature": sign(TOKEN, url, form)}
    async with it.http.post(url, data=form, headers=headers) as response:
        return response.status, await response.text()


class TestRest:
    @pytest.mark.parametrize(
        ("fault", "reason", "said"),
        [
            (Fault(401), "carrier_auth", "BRIDGE_TWILIO__AUTH_TOKEN"),
            (Fault(404), "carrier_request", "Twilio does not place the call"),
            (Fault(400, 21211, "Invalid 'To' Phone Number"), "carrier_request", "Invalid 'To' Phone Number"),
            (Fault(500), "carrier_server", "Twilio answered 500"),
            (Fault(503), "carrier_server", "Twilio answered 503"),
        ],
    )
    async def test_a_refusal_ends_the_call_with_a_code_and_a_sentence(
        self, tmp_path: Path, fault: Fault, reason: str, said: str
    ) -> None:
        async with world(tmp_path) as it:
            it.rest.faults.append(fault)
            call = await it.over(await it.order())
            assert (call["status"], call["reason"], call["sid"]) == ("failed", reason, None)
            assert said in call["detail"]
            it.party(Party("busy"))
            assert (await it.over(await it.order()))["status"] == "busy", "the next is placed all the same"

    @pytest.mark.usefixtures("_soon_again")
    async def test_too_many_requests_are_sent_again_later_and_in_their_order(self, tmp_path: Path) -> None:
        async with world(tmp_path, BRIDGE_OUTBOUND__CONCURRENT_CALLS="1") as it:
            it.parties(p15550100001=Party("busy"), p15550100003=Party("busy"))
            it.rest.faults.append(Fault(429, times=2))
            ids = [await it.order(), await it.order("+15550100003")]
            assert [(await it.over(call_id))["status"] for call_id in ids] == ["busy", "busy"]
            asked = [form["To"][0] for _, path, form in it.rest.requests if path.endswith("/Calls.json")]
            assert asked == [HUMAN, HUMAN, HUMAN, "+15550100003"]

    @pytest.mark.usefixtures("_soon_again")
    async def test_what_is_refused_again_and_again_fails(self, tmp_path: Path) -> None:
        async with world(tmp_path) as it:
            it.rest.faults.append(Fault(429, times=9))
            call = await it.over(await it.order())
            assert (call["status"], call["reason"]) == ("failed", "carrier_limit")
            assert "429" in call["detail"]
            assert len(it.rest.requests) == 3

    @pytest.mark.usefixtures("_soon_again")
    async def test_a_carrier_that_cannot_be_reached_is_tried_again(
        self, tmp_path: Path, unused_tcp_port: int
    ) -> None:
        async with world(tmp_path, BRIDGE_TWILIO__API_URL=f"http://127.0.0.1:{unused_tcp_port}") as it:
            call_id = await it.order()
            call = await it.over(call_id)
            assert (call["status"], call["reason"]) == ("failed", "carrier_unreachable")
            found = it.up.dialer.find(call_id)
            assert found is not None
            assert found.attempts == 3

    @pytest.mark.usefixtures("_impatient")
    async def test_a_carrier_that_hangs_is_not_asked_twice(self, tmp_path: Path) -> None:
        async with world(tmp_path) as it:
            it.rest.faults.append(Fault(hangs=True))
            call = await it.over(await it.order())
            assert (call["status"], call["reason"]) == ("failed", "carrier_timeout")
            assert "did not answer in time" in call["detail"]
            assert len(it.rest.requests) == 1

    async def test_a_call_that_was_placed_though_the_answer_is_lost_is_held(self, tmp_path: Path) -> None:
        async with world(tmp_path) as it:
            it.rest.faults.append(Fault(500, done=True, delay_s=0.2))
            call_id = await it.order()
            leg = await it.leg()
            assert await leg.connected()
            await true(lambda: leg.call_sid in it.up.registry.live)
            await leg.pause(0.3)
            assert (await it.show(call_id))["status"] == "in-progress"
            await leg.hang_up()
            assert (await it.over(call_id))["status"] == "completed"

    async def test_a_call_that_cannot_be_taken_back_is_told(self, tmp_path: Path) -> None:
        async with world(tmp_path) as it:
            it.party(Party(after_s=60))
            call_id = await it.order()
            await it.until(call_id, "ringing")
            it.rest.faults.append(Fault(500))
            status, problem = await it.ask("DELETE", f"/{call_id}")
            assert (status, problem["code"]) == (502, "carrier_server")
            assert (await it.ask("DELETE", f"/{call_id}"))[1]["status"] == "canceled"

    async def test_a_call_that_is_taken_back_while_it_is_being_placed_does_not_come_about(
        self, tmp_path: Path
    ) -> None:
        async with world(tmp_path) as it:
            it.party(Party(after_s=60))
            it.rest.faults.append(Fault(delay_s=0.3))
            call_id = await it.order()
            await true(lambda: bool(it.rest.requests))
            await it.ask("DELETE", f"/{call_id}")
            call = await it.over(call_id)
            assert (call["status"], call["reason"]) == ("canceled", "canceled")


class TestCallbacks:
    async def test_twice_late_and_forged_ones_change_nothing(self, tmp_path: Path) -> None:
        async with world(tmp_path) as it:
            call_id = await it.order()
            leg = await it.leg()
            assert await leg.connected()
            await it.until(call_id, "in-progress")
            path = f"/twilio/status?call={call_id}"
            late = {"CallSid": leg.call_sid, "CallStatus": "ringing", "SequenceNumber": "1"}
            assert (await callback(it, path, **late))[0] == 204
            odd = {"CallSid": leg.call_sid, "CallStatus": "completed", "SequenceNumber": "0"}
            async with it.http.post(it.up.url + path, data=odd) as forged:
                assert forged.status == 403
            assert (await it.show(call_id))["status"] == "in-progress"
            await leg.hang_up()
            await it.over(call_id)
            again = {"CallSid": leg.call_sid, "CallStatus": "in-progress", "SequenceNumber": "7"}
            assert (await callback(it, path, **again))[0] == 204
            assert (await it.show(call_id))["status"] == "completed"

    async def test_reports_about_nobodys_call_are_taken(self, tmp_path: Path) -> None:
        async with world(tmp_path) as it:
            for path in ("/twilio/status?call=nobody", "/twilio/amd?call=nobody", "/twilio/amd"):
                fields = {"CallSid": "CA9", "CallStatus": "ringing", "AnsweredBy": "human", "SequenceNumber": "x"}
                assert (await callback(it, path, **fields))[0] == 204

    async def test_a_carrier_that_tells_nothing_is_asked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else the call would hold its place for ever."""
        monkeypatch.setattr(dialer.Dialer.__init__, "__kwdefaults__", {"on_over": lambda _: None, "silent_s": 0.2})
        async with world(tmp_path) as it:
            it.party(Party("busy"))
            monkeypatch.setattr(it.up.dialer, "report", lambda *_: None)
            call_id = await it.order()
            found = it.up.dialer.find(call_id)
            assert found is not None
            monkeypatch.setattr(found, "order", found.order.__class__(HUMAN, OURS, ring_seconds=0))
            assert (await it.over(call_id))["status"] == "busy"

    async def test_an_answer_to_a_call_that_nobody_wants_any_more_is_hung_up_on(self, tmp_path: Path) -> None:
        async with world(tmp_path) as it:
            it.party(Party("busy"))
            call_id = await it.order()
            await it.over(call_id)
            for name in (call_id, "nobody"):
                form = {"CallSid": "CA9", "From": OURS, "To": HUMAN, "Direction": "outbound-api"}
                status, text = await callback(it, f"/twilio/voice?call={name}", **form)
                assert (status, "<Hangup" in text, "<Stream" in text) == (200, True, False)

    async def test_a_call_that_another_program_has_placed_is_connected_with_the_agent(self, tmp_path: Path) -> None:
        async with world(tmp_path) as it:
            form = {"CallSid": "CA9", "From": OURS, "To": HUMAN, "Direction": "outbound-api"}
            status, text = await callback(it, "/twilio/voice", **form)
            assert (status, "<Stream" in text) == (200, True)

    async def test_a_stream_that_comes_after_its_call_was_taken_back_is_refused(self, tmp_path: Path) -> None:
        async with world(tmp_path) as it:
            it.party(Party(after_s=60))
            call_id = await it.order()
            await it.until(call_id, "ringing")
            sid = it.rest.placed[0].call_sid
            form = {"CallSid": sid, "From": OURS, "To": HUMAN, "Direction": "outbound-api"}
            _, text = await callback(it, f"/twilio/voice?call={call_id}", **form)
            (token,) = re.findall(r'name="token" value="([^"]+)"', text)
            assert (await it.ask("DELETE", f"/{call_id}"))[0] == 200
            async with it.http.ws_connect(it.up.url + "/twilio/media") as socket:
                wire = CarrierStream(stream_sid="MZ1", call_sid=sid, account_sid=ACCOUNT)
                await socket.send_str(wire.connected())
                await socket.send_str(wire.start({"token": token}))
                async with asyncio.timeout(5):
                    await socket.receive()
                assert socket.close_code == 1008
            assert it.counted("refused_requests_total", reason="call_over") == 1
            assert sid not in it.up.registry.live


class TestStopping:
    async def test_what_waits_and_rings_comes_to_nothing_when_the_bridge_stops(self, tmp_path: Path) -> None:
        async with world(tmp_path, BRIDGE_OUTBOUND__CONCURRENT_CALLS="1") as it:
            it.party(Party(after_s=60))
            ringing, waiting = await it.order(), await it.order()
            await it.until(ringing, "ringing")
            it.up.registry.draining = True
            await it.up.dialer.close()
            calls = [await it.show(call_id) for call_id in (ringing, waiting)]
            assert [(call["status"], call["reason"]) for call in calls] == [("canceled", "shutdown")] * 2
            status, problem = await it.ask("POST", body={"to": HUMAN})
            assert (status, problem["code"]) == (503, "draining")
            await true(lambda: it.rest.placed[0].status == "canceled")
            assert len(it.rest.created) == 1


async def test_other_calls_do_not_notice_a_carrier_that_hangs(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.rest.faults.append(Fault(hangs=True, times=20))
        await asyncio.gather(*(it.order() for _ in range(10)))
        await true(lambda: len(it.rest.requests) >= 8)
        async with asyncio.timeout(1):
            async with it.http.get(it.up.url + "/metrics") as response:
                assert response.status == 200
            async with aiohttp.ClientSession() as other, other.get(it.up.url + "/healthz") as response:
                assert response.status == 200
