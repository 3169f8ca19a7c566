from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bridge.audio import wav
from bridge.errors import SettingsError
from bridge.simulator.caller import CallError, CallEvent, Line
from bridge.simulator.run import CallOptions, run_call
from tests.simulator.scripted_bridge import (
    HANG_UP,
    TOKEN,
    Bridge,
    Peer,
    close_after_a_frame,
    listen,
    loud,
    polite_agent,
    serving,
    stream,
)


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    path = tmp_path / "hello.wav"
    path.write_bytes(wav.write_mulaw(b"\xff" * 800 + loud(300, 0x15) + b"\xff" * 800))
    return path


async def test_wavs_are_said_when_the_agent_is_silent_and_answered(hello: Path, tmp_path: Path) -> None:
    bridge = Bridge([stream()], polite_agent)
    record = tmp_path / "call.wav"
    seen: list[CallEvent] = []
    async with serving(bridge) as url:
        options = CallOptions(Line(url, TOKEN), wavs=(hello, hello), record=record, silence_s=0.2)
        report = await run_call(options, on_event=seen.append)
    assert report.ok, str(report)
    assert (report.outcome, report.failures, report.problems) == ("caller_hung_up", (), ())
    assert [turn.said for turn in report.turns] == ["hello.wav", "hello.wav"]
    for turn in report.turns:
        assert turn.end_s - turn.start_s == pytest.approx(0.3, abs=0.03), "the quiet ends of the file do not count"
        assert turn.response_ms is not None
        assert 60 <= turn.response_ms <= 300
    assert report.interruptions == ()
    assert report.heard_s == pytest.approx(1.5)
    assert (report.marks, report.marks_cleared, report.underruns) == (3, 0, 0)
    left = wav.read_mulaw(record.read_bytes(), name="left", channel=0)
    assert left.count(loud(300, 0x15)) == 2
    shown = str(report)
    assert "turn 2: hello.wav" in shown
    assert "answered after" in shown
    assert json.loads(json.dumps(report.as_dict()))["turns"][0]["said"] == "hello.wav"
    assert [event.kind for event in seen].count("caller_said") == 2
    assert seen[-1].kind == "call_ended"


async def test_no_answer_is_a_failure(hello: Path) -> None:
    bridge = Bridge([stream()], listen)
    async with serving(bridge) as url:
        report = await run_call(CallOptions(Line(url, TOKEN), wavs=(hello,), greeting_s=0.1, answer_s=0.3))
    assert not report.ok
    assert report.failures == ("hello.wav was not answered within 0.3 s",)
    assert report.turns[0].response_ms is None
    assert "no answer" in str(report)


async def test_a_call_that_ends_too_early_is_a_failure(hello: Path) -> None:
    bridge = Bridge([stream()], close_after_a_frame)
    async with serving(bridge) as url:
        report = await run_call(CallOptions(Line(url, TOKEN), wavs=(hello,)))
    assert report.failures == ("the call ended before hello.wav was said",)
    assert report.outcome == "bridge_hung_up"


async def test_an_invalid_message_is_no_success(hello: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.next("start")
        await peer.socket.send_bytes(b"x")
        await peer.read_to_the_end()

    bridge = Bridge([stream()], script)
    async with serving(bridge) as url:
        report = await run_call(CallOptions(Line(url, TOKEN), greeting_s=0.2))
    assert report.failures == ()
    assert not report.ok
    assert "31950" in str(report)


SCENARIO = """
name = "an interruption"
[[steps]]
do = "wait_for_agent"
silence_ms = 200
[[steps]]
do = "say"
wav = "hello.wav"
[[steps]]
do = "expect_agent"
within_ms = 400
[[steps]]
do = "interrupt"
wav = "hello.wav"
after_ms = 50
[[steps]]
do = "expect_cut"
within_ms = 300
[[steps]]
do = "digits"
keys = "1#"
[[steps]]
do = "wait_for_agent"
silence_ms = 300
[[steps]]
do = "expect_heard"
at_least_s = 1.0
[[steps]]
do = "hang_up"
"""


async def test_a_scenario_with_an_interruption(hello: Path) -> None:
    path = hello.parent / "call.toml"
    path.write_text(SCENARIO)
    bridge = Bridge([stream()], polite_agent)
    async with serving(bridge) as url:
        report = await run_call(CallOptions(Line(url, TOKEN), scenario=path))
    assert report.ok, str(report)
    (interruption,) = report.interruptions
    assert interruption.cleared
    assert 0 <= interruption.cut_ms < 300
    assert "interrupts: cut after" in str(report)
    assert report.clears == 1
    assert [message["dtmf"]["digit"] for message in bridge.peers[0].of("dtmf")] == ["1", "#"]


async def test_expectations_that_do_not_hold_are_told_and_the_call_goes_on(hello: Path) -> None:
    steps = [
        {"do": "expect_cut", "within_ms": 10},
        {"do": "say", "wav": "hello.wav", "silence_ms": 20},
        {"do": "expect_agent", "within_ms": 100},
        {"do": "interrupt", "wav": "hello.wav", "timeout_ms": 100},
        {"do": "wait_for_agent", "timeout_ms": 100},
        {"do": "wait_until_silent", "silence_ms": 200, "timeout_ms": 100},
        {"do": "expect_heard", "at_least_s": 1},
        {"do": "expect_end", "within_ms": 50},
        {"do": "hang_up"},
        {"do": "say", "wav": "hello.wav"},
        {"do": "pause", "ms": 1},
    ]
    path = hello.parent / "call.json"
    path.write_text(json.dumps({"steps": steps}))
    bridge = Bridge([stream()], listen)
    async with serving(bridge) as url:
        report = await run_call(CallOptions(Line(url, TOKEN), scenario=path))
    assert report.failures == (
        "step 1 (expect_cut): the agent was not speaking when the caller began",
        "step 3 (expect_agent): the agent was not heard within 100 ms",
        "step 4 (interrupt): the agent was not heard within 100 ms",
        "step 5 (wait_for_agent): the agent was not heard within 100 ms",
        # The silence of an agent that never spoke counts from the question on.
        "step 6 (wait_until_silent): the agent was not silent within 100 ms",
        "step 7 (expect_heard): 0.00 s were heard, expected 1 s",
        "step 8 (expect_end): the call was still going on after 50 ms",
        "step 10 (say): the call is over",
    )


async def test_the_end_by_the_bridge_can_be_expected_and_waited_for(hello: Path) -> None:
    path = hello.parent / "call.json"
    path.write_text('{"steps": [{"do": "expect_end", "within_ms": 3000}]}')
    for options in ({"scenario": path}, {"hang_up": False, "greeting_s": 0.05}):
        bridge = Bridge([stream("/twilio/stream-ended"), HANG_UP], close_after_a_frame)
        async with serving(bridge) as url:
            report = await run_call(CallOptions(Line(url, TOKEN), **options))
        assert report.ok, str(report)
        assert report.outcome == "bridge_hung_up"


async def test_the_time_limit(tmp_path: Path) -> None:
    bridge = Bridge([stream()], listen)
    record = tmp_path / "call.wav"
    async with serving(bridge) as url:
        report = await run_call(CallOptions(Line(url, TOKEN), hang_up=False, timeout_s=0.3, record=record))
    assert report.failures == ("the call took longer than 0.3 s",)
    assert report.outcome == "caller_hung_up"
    assert len(bridge.peers[0].of("stop")) == 1
    assert record.stat().st_size > 1000


async def test_control_c_hangs_up_and_keeps_the_recording(tmp_path: Path) -> None:
    bridge = Bridge([stream()], listen)
    record = tmp_path / "call.wav"
    async with serving(bridge) as url:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await run_call(CallOptions(Line(url, TOKEN), hang_up=False, record=record))
    assert len(bridge.peers[0].of("stop")) == 1
    assert record.stat().st_size > 1000


async def test_files_that_cannot_be_used_are_told_before_anything_is_dialled(tmp_path: Path) -> None:
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"MThd" * 20)
    line = Line("http://127.0.0.1:9")
    for options, says in (
        (CallOptions(line, wavs=(noise,)), "noise.wav: it is no WAV file"),
        (CallOptions(line, wavs=(tmp_path / "none.wav",)), "none.wav: No such file"),
        (CallOptions(line, scenario=tmp_path / "none.toml"), "none.toml: No such file"),
        (CallOptions(line, record=tmp_path / "none" / "call.wav"), "is no folder"),
    ):
        with pytest.raises(SettingsError, match=says) as caught:
            await run_call(options)
        assert "\n" not in caught.value.message
    with pytest.raises(CallError, match="cannot reach"):
        await run_call(CallOptions(line))


async def test_an_agent_that_is_not_to_be_cut_and_a_stream_that_breaks(hello: Path) -> None:
    async def stubborn_agent(peer: Peer) -> None:
        await peer.next("start")
        await peer.media(loud(1000))
        await peer.read_to_the_end()

    steps = [
        {"do": "interrupt", "wav": "hello.wav", "after_ms": 50},
        {"do": "expect_no_cut", "for_ms": 400},
        {"do": "expect_no_cut", "for_ms": 5000},
        {"do": "drop_stream"},
        {"do": "expect_no_cut", "for_ms": 0},
        {"do": "hang_up"},
    ]
    path = hello.parent / "call.json"
    path.write_text(json.dumps({"steps": steps}))
    bridge = Bridge([stream("/twilio/stream-ended"), stream()], stubborn_agent, listen)
    async with serving(bridge) as url:
        report = await run_call(CallOptions(Line(url, TOKEN), scenario=path))
    (failure,) = report.failures
    assert failure.startswith("step 3 (expect_no_cut): the agent fell silent after ")
    assert failure.endswith(" ms, expected 5000 ms")
    assert len(bridge.peers) == 2, "the caller came back on a new stream"
    assert bridge.peers[0].of("stop") == []


async def test_keys_cut_the_agent_off_and_are_answered(hello: Path) -> None:
    """An agent that talks until a key is pressed, and answers it."""

    async def menu(peer: Peer) -> None:
        await peer.next("start")
        await peer.media(loud(3000))
        await peer.next("dtmf")
        await peer.send("clear")
        for _ in range(20):
            await peer.next("media")
        await peer.media(loud(200))
        await peer.read_to_the_end()

    steps = [
        {"do": "say", "wav": "hello.wav"},
        {"do": "pause", "ms": 600},
        {"do": "digits", "keys": "1"},
        {"do": "expect_cut", "within_ms": 300},
        {"do": "expect_agent", "within_ms": 700},
        {"do": "wait_for_agent", "silence_ms": 100, "timeout_ms": 2000},
    ]
    path = hello.parent / "call.json"
    path.write_text(json.dumps({"steps": steps}))
    bridge = Bridge([stream()], menu)
    async with serving(bridge) as url:
        report = await run_call(CallOptions(Line(url, TOKEN), scenario=path))
    assert report.ok, str(report)


async def test_an_agent_that_was_cut_off_between_two_sentences(hello: Path) -> None:
    async def pausing(peer: Peer) -> None:
        await peer.next("start")
        await peer.media(loud(200) + b"\xff" * 8000 + loud(400))
        await peer.next("dtmf")
        await peer.send("clear")
        await peer.read_to_the_end()

    steps = [{"do": "pause", "ms": 900}, {"do": "digits", "keys": "1"}, {"do": "expect_cut", "within_ms": 300}]
    path = hello.parent / "call.json"
    path.write_text(json.dumps({"steps": steps}))
    async with serving(Bridge([stream()], pausing)) as url:
        report = await run_call(CallOptions(Line(url, TOKEN), scenario=path))
    assert report.ok, str(report)


async def test_a_scenario_names_its_numbers_and_a_worse_network(tmp_path: Path) -> None:
    path = tmp_path / "call.yaml"
    path.write_text(
        "from: '+15550100009'\nto: '+15550100008'\nsteps: [pause: 100, hang_up]\n"
        "carrier: {lag_ms: 30, repeat_requests: true, callback_delay_ms: 1}\n"
    )
    bridge = Bridge([stream(more=' statusCallback="{origin}/twilio/status"')], listen)
    async with serving(bridge) as url:
        report = await run_call(CallOptions(Line(url, TOKEN), scenario=path))
    assert report.ok, str(report)
    asked = [(path, form.get("From"), form.get("To"), form.get("StreamEvent")) for path, form in bridge.requests]
    assert asked[0] == ("/twilio/voice", "+15550100009", "+15550100008", None)
    assert [event for _, _, _, event in asked].count("stream-started") == 2
