"""Whole calls: the simulated carrier on one side, a scripted speech service on the other, the bridge between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import types
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.agents.base import Question
from bridge.app import Bridge, running
from bridge.call.session import Session
from bridge.call.trace import replay
from bridge.conversation.actions import Action, HangUp, Note, Say, Transfer
from bridge.conversation.events import DigitPressed
from bridge.errors import SettingsError
from bridge.settings.source import load_settings
from bridge.simulator.caller import Line, SimulatedCall
from bridge.simulator.phone import Stretch
from bridge.simulator.rest import FakeTwilioRest
from bridge.twilio import media_stream
from bridge.twilio.signature import sign
from tests.scripted_speech import ScriptedSpeech, sound_of
from tests.waiting import until

TOKEN = "0123456789abcdef0123456789abcdef"

World = Callable[..., Any]


@contextlib.asynccontextmanager
async def bridge(
    folder: Path, speech_url: str, overrides: Mapping[str, Any] | None = None, /, **environment: str
) -> AsyncIterator[Bridge]:
    settings = load_settings(
        environment={
            "BRIDGE_SERVER__PORT": "0",
            "BRIDGE_SPEECH__BASE_URL": speech_url,
            "BRIDGE_SPEECH__API_KEY": "sk_test",
            "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN,
            "BRIDGE_STORE__RECORDINGS": str(folder),
            "BRIDGE_AGENT__KIND": "echo",
            **environment,
        },
        files=(),
        overrides=overrides,
    )
    async with running(settings) as up:
        yield up


@pytest.fixture
async def speech() -> AsyncIterator[ScriptedSpeech]:
    async with ScriptedSpeech().running() as service:
        yield service


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> list[Question]:
    """Put a Python agent at `scripted_agent:answer`; its answers are taken from `.answers`, its questions kept."""
    questions = Asked()
    module = types.ModuleType("scripted_agent")

    async def answer(question: Question) -> Any:
        questions.append(question)
        if question.occasion == "turn.ended" and questions.answers:
            for action in questions.answers.pop(0):
                yield action

    module.answer = answer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "scripted_agent", module)
    return questions


class Asked(list[Question]):
    """The questions that a scripted agent was asked, and the answers it has left."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[list[Action]] = []


PYTHON = {"BRIDGE_AGENT__KIND": "python", "BRIDGE_AGENT__URL": "scripted_agent:answer"}


def line(up: Bridge, **options: Any) -> Line:
    return Line(up.url, TOKEN, **options)


async def live(up: Bridge, sid: str) -> Session:
    """Wait until the call's media stream has started."""
    async with asyncio.timeout(5):
        while sid not in up.registry.live:  # noqa: ASYNC110  Nobody is told when it is there.
            await asyncio.sleep(0.005)
    return up.registry.live[sid]


async def kept(up: Bridge, call: SimulatedCall, folder: Path) -> list[dict[str, Any]]:
    """Wait until the call is recorded, and return its journal."""
    if (session := up.registry.live.get(call.call_sid)) is not None:
        async with asyncio.timeout(10):
            await session.ended.wait()
    (journal,) = [path for path in folder.rglob("journal.jsonl") if call.call_sid in path.read_text()]
    return [json.loads(text) for text in journal.read_text().splitlines()[1:]]


def counted(up: Bridge, reason: str) -> float:
    value = up.metrics.registry.get_sample_value("phone_bridge_refused_requests_total", {"reason": reason})
    return value or 0.0


def played(stretches: list[Stretch]) -> bytes:
    return b"".join(stretch.audio for stretch in stretches)


class TestTalking:
    async def test_the_callers_bytes_arrive_untouched_as_mulaw_at_8000_hz(
        self, speech: ScriptedSpeech, tmp_path: Path
    ) -> None:
        async with bridge(tmp_path, speech.url) as up, SimulatedCall(line(up)) as call:
            voice = bytes(range(256)) * 40
            await call.say(voice)
            peer = await speech.listener()
            arrived = await peer.has_audio(len(voice) + 1600)
            sent = b"".join(stretch.audio for stretch in call.sent)
            assert voice in arrived
            assert sent.startswith(arrived)
        assert peer.path == "/stt/turns/websocket"
        assert peer.query == {"model": ["ink-2"], "encoding": ["pcm_mulaw"], "sample_rate": ["8000"]}
        assert peer.headers["x-api-key"] == "sk_test"
        assert peer.headers["cartesia-version"] == "2026-03-01"

    async def test_an_answer_is_spoken_and_heard_to_the_byte(self, speech: ScriptedSpeech, tmp_path: Path) -> None:
        async with bridge(tmp_path, speech.url) as up, SimulatedCall(line(up)) as call:
            peer = await speech.listener()
            await peer.say_turn("Say this back")
            assert await call.wait_for_agent(10, silence_s=0.3)
            assert played(call.heard) == b"".join(sound_of(number) for number in range(3))
            assert call.problems == []
            await call.hang_up()
            journal = await kept(up, call, tmp_path)
        kinds = [entry["entry"] for entry in journal]
        assert kinds == ["call_opened", "caller_spoke", "agent_spoke", "call_closed"]
        assert (journal[2]["heard"], journal[2]["unheard"]) == ("Say this back", "")
        answers = [text for context, text in speech.spoken.items() if not context.startswith("prompts")]
        assert answers == ["Say this back"]

    async def test_a_barge_in_silences_the_agent_and_tells_it_what_was_heard(
        self, speech: ScriptedSpeech, tmp_path: Path, agent: Asked
    ) -> None:
        words = " ".join(f"word{number}" for number in range(20))
        agent.answers = [[Say(words)], [Say("Sure.")]]
        async with bridge(tmp_path, speech.url, **PYTHON) as up, SimulatedCall(line(up)) as call:
            peer = await speech.listener()
            await peer.say_turn("Tell me")
            began = await call.wait_agent_speaking(10)
            assert began is not None
            await call.pause(began + 1.6 - call.now)
            await peer.turn("start")
            assert await call.wait_until_agent_silent(0.2, 5)
            truly_heard = sum(len(stretch.audio) for stretch in call.heard) / 8000 / 0.25
            await peer.turn("update", " Stop")
            await peer.turn("end", " Stop it.")
            assert await call.wait_for_agent(10, silence_s=0.3)
            await call.hang_up()
            await kept(up, call, tmp_path)
        (trace,) = tmp_path.rglob("trace.jsonl")
        steps, difference = replay(trace.read_bytes(), name="trace")
        assert difference is None
        assert steps > 20
        asked = [question for question in agent if question.occasion == "turn.ended"]
        assert asked[0].interrupted is None
        assert asked[1].interrupted is not None
        heard = len(asked[1].interrupted.heard.split())
        assert truly_heard - 2 <= heard <= truly_heard
        assert asked[1].interrupted.heard + asked[1].interrupted.unheard == words
        assert [message.content for message in asked[1].messages] == [
            "Tell me",
            asked[1].interrupted.heard,
            "Stop it.",
        ]
        assert len(call.clears) == 1

    async def test_a_false_alarm_loses_no_word(self, speech: ScriptedSpeech, tmp_path: Path, agent: Asked) -> None:
        agent.answers = [[Say(" ".join(f"word{number}" for number in range(12)))]]
        async with bridge(tmp_path, speech.url, **PYTHON) as up, SimulatedCall(line(up)) as call:
            peer = await speech.listener()
            await peer.say_turn("Tell me")
            began = await call.wait_agent_speaking(10)
            assert began is not None
            await call.pause(began + 1.1 - call.now)
            await peer.turn("start")
            assert await call.wait_until_agent_silent(0.2, 5)
            await peer.turn("end", "")
            assert await call.wait_for_agent(10, silence_s=0.4)
            heard = played(call.heard)
            cut = sum(len(stretch.audio) for stretch in call.heard[:1])
            await call.hang_up()
            journal = await kept(up, call, tmp_path)
        whole = b"".join(sound_of(number) for number in range(12))
        assert heard[:cut] == whole[:cut]
        resumed_at = len(whole) - (len(heard) - cut)
        assert heard[cut:] == whole[resumed_at:]
        assert resumed_at <= cut, "a word was lost"
        assert cut - resumed_at <= 2 * 2000, "more than the last word was said again"
        assert resumed_at % 2000 == 0, "it goes on at the beginning of a word"
        (spoke,) = [entry for entry in journal if entry["entry"] == "agent_spoke"]
        assert (spoke["interrupted"], spoke["unheard"]) == (False, "")

    async def test_the_agent_hangs_up_after_its_last_word_was_heard(
        self, speech: ScriptedSpeech, tmp_path: Path, agent: Asked
    ) -> None:
        agent.answers = [[Say("Good bye and thanks."), HangUp()]]
        async with bridge(tmp_path, speech.url, **PYTHON) as up, SimulatedCall(line(up)) as call:
            peer = await speech.listener()
            await until(lambda: agent)  # A caller who speaks at once is asked about before the call's begin is.
            await peer.say_turn("Bye")
            async with asyncio.timeout(10):
                assert await call.ended() == "bridge_hung_up"
            assert played(call.heard) == b"".join(sound_of(number) for number in range(4))
            journal = await kept(up, call, tmp_path)
            assert journal[-1]["reason"] == "agent"
        assert [question.occasion for question in agent] == ["call.started", "turn.ended", "call.ended"]
        assert agent[-1].outcome["reason"] == "agent"

    async def test_a_transfer_becomes_a_dial(self, speech: ScriptedSpeech, tmp_path: Path, agent: Asked) -> None:
        agent.answers = [[Say("One moment."), Transfer("+15550100300")]]
        async with bridge(tmp_path, speech.url, **PYTHON) as up, SimulatedCall(line(up)) as call:
            await (await speech.listener()).say_turn("A human please")
            async with asyncio.timeout(10):
                await call.ended()
            assert "+15550100300" in call.twiml[1].text

    async def test_the_last_words_before_a_hang_up_are_kept(self, speech: ScriptedSpeech, tmp_path: Path) -> None:
        async with bridge(tmp_path, speech.url) as up, SimulatedCall(line(up)) as call:
            peer = await speech.listener()
            await peer.turn("start")
            await peer.turn("update", "Call me tomorrow")
            await call.pause(0.1)
            await call.hang_up()
            journal = await kept(up, call, tmp_path)
        (spoke,) = [entry for entry in journal if entry["entry"] == "caller_spoke"]
        assert (spoke["transcript"], spoke["incomplete"]) == ("Call me tomorrow", True)
        assert {"type": "close"} in peer.texts


class TestGettingReady:
    async def test_speech_to_text_is_there_before_the_stream_and_is_the_calls_own(
        self, speech: ScriptedSpeech, tmp_path: Path
    ) -> None:
        async with bridge(tmp_path, speech.url) as up, aiohttp.ClientSession() as session:
            token = await token_of(session, up, "CA1")
            peer = await speech.listener()
            assert up.registry.live == {}
            socket = await session.ws_connect(up.url + "/twilio/media")
            await socket.send_str(start_message("CA1", {"token": token}))
            stream = media_stream.CarrierStream(stream_sid="MZ1", call_sid="CA1", account_sid="AC1")
            await socket.send_str(stream.media(b"\x12" * 800, timestamp_ms=20))
            assert await peer.has_audio(800) == b"\x12" * 800
            assert len(speech.stt) == 1
            await socket.close()

    async def test_it_is_let_go_when_the_stream_does_not_come(
        self, speech: ScriptedSpeech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.call.warm.STREAM_WITHIN_S", 0.2)
        async with bridge(tmp_path, speech.url) as up, aiohttp.ClientSession() as session:
            token = await token_of(session, up, "CA1")
            peer = await speech.listener()
            async with asyncio.timeout(5):
                await peer.writer.wait_closed()
            socket = await session.ws_connect(up.url + "/twilio/media")
            await socket.send_str(start_message("CA1", {"token": token}))
            await speech.listener(1)
            await live(up, "CA1")
            await socket.close()


class TestFaults:
    async def test_a_lost_stream_comes_back_and_the_agent_goes_on(
        self, speech: ScriptedSpeech, tmp_path: Path, agent: Asked
    ) -> None:
        agent.answers = [[Say(" ".join(f"word{number}" for number in range(12)))]]
        async with bridge(tmp_path, speech.url, **PYTHON) as up, SimulatedCall(line(up)) as call:
            await (await speech.listener()).say_turn("Tell me")
            assert await call.wait_agent_speaking(10)
            await call.pause(1.0)
            call.drop_stream()
            assert await call.wait_for_agent(10, silence_s=0.5, after=call.now)
            await call.hang_up()
            journal = await kept(up, call, tmp_path)
        kinds = [entry["entry"] for entry in journal]
        assert kinds.count("stream_broke") == kinds.count("stream_resumed") == 1
        (spoke,) = [entry for entry in journal if entry["entry"] == "agent_spoke"]
        assert (spoke["interrupted"], spoke["unheard"]) == (False, "")
        assert played(call.heard).endswith(b"".join(sound_of(number) for number in range(6, 12)))

    async def test_a_refused_key_ends_the_call_with_words_and_one_line(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        async with (
            ScriptedSpeech(stt_status=401).running() as speech,
            bridge(tmp_path, speech.url) as up,
            SimulatedCall(line(up)) as call,
        ):
            async with asyncio.timeout(10):
                assert await call.ended() == "bridge_hung_up"
            assert "<Say" in call.twiml[-1].text
            journal = await kept(up, call, tmp_path)
        (problem,) = [entry for entry in journal if entry["entry"] == "problem_met"]
        assert problem["code"] == "speech_auth"
        assert "BRIDGE_SPEECH__API_KEY" in problem["message"]

    async def test_stopping_in_mid_call_keeps_what_was_said(self, speech: ScriptedSpeech, tmp_path: Path) -> None:
        async with bridge(tmp_path, speech.url) as up:
            call = SimulatedCall(line(up))
            await call.place()
            await (await speech.listener()).say_turn("Remember this")
            assert await call.wait_agent_speaking(10)
        async with asyncio.timeout(10):
            await call.ended()
        (transcript,) = tmp_path.rglob("transcript.txt")
        assert "Remember this" in transcript.read_text()
        (journal,) = tmp_path.rglob("journal.jsonl")
        assert '"reason":"shutdown"' in journal.read_text()

    async def test_a_call_whose_process_died_is_finished_at_the_next_start(
        self, speech: ScriptedSpeech, tmp_path: Path
    ) -> None:
        async with bridge(tmp_path, speech.url) as up, SimulatedCall(line(up)) as call:
            await (await speech.listener()).say_turn("Remember this")
            assert await call.wait_for_agent(10, silence_s=0.3)
            (journal,) = tmp_path.rglob("journal.jsonl")
            left_over = tmp_path / "2026-01-01" / "000000-dead"
            left_over.mkdir(parents=True)
            (left_over / "journal.jsonl").write_bytes(journal.read_bytes() + b'{"entry":"torn')
            os.utime(left_over / "journal.jsonl", (0, 0))  # Nobody asks about a call that was left so long ago.
        async with bridge(tmp_path, speech.url):
            async with asyncio.timeout(10):
                while not (left_over / "timeline.svg").exists():  # noqa: ASYNC110  Nobody is told when it is there.
                    await asyncio.sleep(0.02)
        assert "Remember this" in (left_over / "transcript.txt").read_text()

    async def test_a_call_that_the_carrier_forgets_is_ended_by_request(
        self, speech: ScriptedSpeech, tmp_path: Path, agent: Asked, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.call.registry._CARRIER_ASKS_WITHIN_S", 0.1)
        agent.answers = [[HangUp()]]
        sid = "AC" + "1" * 32
        async with FakeTwilioRest(sid, TOKEN) as rest:
            account = {"BRIDGE_TWILIO__ACCOUNT_SID": sid, "BRIDGE_TWILIO__API_URL": rest.url}
            async with bridge(tmp_path, speech.url, **PYTHON, **account) as up, aiohttp.ClientSession() as session:
                token = await token_of(session, up, "CA1")
                socket = await session.ws_connect(up.url + "/twilio/media")
                await socket.send_str(start_message("CA1", {"token": token}))
                await (await speech.listener()).say_turn("Bye")
                async with asyncio.timeout(10):
                    assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
                    while not rest.requests:  # noqa: ASYNC110  The fake keeps what was asked, and tells nobody.
                        await asyncio.sleep(0.02)
        assert "CA1" in str(rest.requests[0])
        assert "completed" in str(rest.requests[0])

    async def test_a_hundred_and_twenty_calls_at_once_all_reach_the_speech_service(
        self, speech: ScriptedSpeech, tmp_path: Path
    ) -> None:
        async with (
            bridge(tmp_path, speech.url) as up,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):
            calls = [SimulatedCall(line(up), session=session) for _ in range(120)]
            await asyncio.gather(*(call.place() for call in calls))
            peers = [await speech.listener(number) for number in range(120)]
            for peer in peers:
                await peer.has_audio(800)
            assert len(up.registry.live) == 120
            await asyncio.gather(*(call.hang_up() for call in calls))

    async def test_a_stream_does_not_come_back_to_a_call_that_is_being_closed(
        self, speech: ScriptedSpeech, tmp_path: Path
    ) -> None:
        async with bridge(tmp_path, speech.url) as up, SimulatedCall(line(up)) as call:
            await speech.listener()
            session = await live(up, call.call_sid)
            session.stop("caller")
            assert session.over_for_carrier
            async with asyncio.timeout(10):
                assert await call.ended() == "bridge_hung_up"
            assert [document.text for document in call.twiml[1:]] == [call.twiml[-1].text]
            assert "<Hangup" in call.twiml[-1].text

    async def test_the_end_of_the_call_at_the_carrier_is_the_callers_hang_up(
        self, speech: ScriptedSpeech, tmp_path: Path
    ) -> None:
        async with bridge(tmp_path, speech.url) as up, aiohttp.ClientSession() as session:
            socket = await session.ws_connect(up.url + "/twilio/media")
            await socket.send_str(start_message("CA1", {"token": await token_of(session, up, "CA1")}))
            session_of_call = await live(up, "CA1")
            form = [("CallSid", "CA1"), ("CallStatus", "completed")]
            url = up.url + "/twilio/stream-ended"
            async with session.post(
                url, data=form, headers={"X-Twilio-Signature": sign(TOKEN, url, form)}
            ) as response:
                assert "<Hangup" in await response.text()
            async with asyncio.timeout(5):
                await session_of_call.ended.wait()
            assert '"reason":"caller"' in next(tmp_path.rglob("journal.jsonl")).read_text()

    @pytest.mark.parametrize(
        "piece",
        [Say("a \ud800"), Say(5), Note({"who": object()}), Note({(1, 2): 3}), 7],  # type: ignore[arg-type, dict-item]
    )
    async def test_an_odd_piece_of_an_agent_costs_an_apology_and_not_the_call(
        self, speech: ScriptedSpeech, tmp_path: Path, agent: Asked, piece: Any
    ) -> None:
        agent.answers = [[piece], [Say("Fine.")]]
        async with bridge(tmp_path, speech.url, **PYTHON) as up, SimulatedCall(line(up)) as call:
            peer = await speech.listener()
            await peer.say_turn("Hello")
            assert await call.wait_for_agent(10, silence_s=0.3)
            await peer.say_turn(" Again")
            assert await call.wait_for_agent(10, silence_s=0.3)
            await call.hang_up()
            journal = await kept(up, call, tmp_path)
        assert [entry["code"] for entry in journal if entry["entry"] == "problem_met"] == ["agent_answer"]
        assert [entry["heard"] for entry in journal if entry["entry"] == "agent_spoke"][-1] == "Fine."

    async def test_a_bug_in_one_call_ends_that_call_alone(
        self, speech: ScriptedSpeech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with (
            bridge(tmp_path, speech.url) as up,
            SimulatedCall(line(up)) as good,
            SimulatedCall(line(up)) as bad,
        ):
            session = await live(up, bad.call_sid)
            await live(up, good.call_sid)
            broken = session._conversation
            monkeypatch.setattr(broken, "handle", lambda event, now: 1 / 0)
            session.take(DigitPressed("1"))
            async with asyncio.timeout(10):
                assert await bad.ended() == "bridge_hung_up"
                await session.ended.wait()
            assert [*up.registry.live] == [good.call_sid]

    async def test_the_record_is_whole_even_if_the_agent_takes_its_time_at_the_end(
        self, speech: ScriptedSpeech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slow = asyncio.Event()
        module = types.ModuleType("slow_agent")

        async def answer(question: Question) -> Any:
            if question.occasion == "call.ended":
                await slow.wait()

        module.answer = answer  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "slow_agent", module)
        python = {"BRIDGE_AGENT__KIND": "python", "BRIDGE_AGENT__URL": "slow_agent:answer"}
        async with bridge(tmp_path, speech.url, **python) as up, SimulatedCall(line(up)) as call:
            await (await speech.listener()).say_turn("Hello")
            await call.hang_up()
            async with asyncio.timeout(10):
                while not [*tmp_path.rglob("timeline.svg")]:  # noqa: ASYNC110  Nobody is told when it is there.
                    await asyncio.sleep(0.02)
            assert call.call_sid in up.registry.live
            slow.set()

    async def test_a_folder_that_cannot_be_written_to_is_told_at_the_start(
        self, speech: ScriptedSpeech, tmp_path: Path
    ) -> None:
        in_the_way = tmp_path / "file"
        in_the_way.write_text("")
        with pytest.raises(SettingsError, match="BRIDGE_STORE__RECORDINGS"):
            async with bridge(in_the_way, speech.url):
                pass

    @pytest.mark.timeout(120)
    async def test_a_local_speech_server_that_dies_comes_back_at_the_same_address(self, tmp_path: Path) -> None:
        others = children_of(os.getpid())
        async with bridge(tmp_path, "local", BRIDGE_AGENT__GREETING="Hello.") as up:
            async with SimulatedCall(line(up)) as call:
                assert await call.wait_agent_speaking(20)
            for child in children_of(os.getpid()) - others:
                os.kill(child, signal.SIGKILL)
            async with asyncio.timeout(60):
                while True:
                    async with SimulatedCall(line(up)) as call:
                        if await call.wait_agent_speaking(3):
                            break


def children_of(pid: int) -> set[int]:
    """Return the processes of the local speech server that this one has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(child) for task in tasks for child in task.read_text().split()]
    return {child for child in found if b"bridge.speech_server" in Path(f"/proc/{child}/cmdline").read_bytes()}


class TestStrangers:
    @pytest.mark.parametrize(
        ("body", "content_type", "status"),
        [
            (b"a=1", "text/plain", 415),
            (b"--x", "multipart/form-data; boundary=x", 415),
            (b"a=%ff\xff", "application/x-www-form-urlencoded", 400),
            (b"a=1", "application/x-www-form-urlencoded; charset=nonsense", 400),
            (b"a=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        ],
    )
    async def test_what_is_no_form_is_refused_without_ado(
        self, speech: ScriptedSpeech, tmp_path: Path, body: bytes, content_type: str, status: int
    ) -> None:
        async with bridge(tmp_path, speech.url) as up, aiohttp.ClientSession() as session:
            headers = {"Content-Type": content_type}
            async with session.post(up.url + "/twilio/voice", data=body, headers=headers) as response:
                assert response.status == status

    async def test_a_form_that_does_not_come_to_its_end_is_given_up(
        self, speech: ScriptedSpeech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.twilio.gate._FORM_WITHIN_S", 0.2)
        async with bridge(tmp_path, speech.url) as up:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(up.url.rsplit(":", 1)[1]))
            writer.write(
                b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\n\r\nCallSid="
            )
            async with asyncio.timeout(5):
                assert b"408" in await reader.readline()
            writer.close()

    async def test_metrics_are_for_this_machine_or_for_who_has_the_token(
        self, speech: ScriptedSpeech, tmp_path: Path
    ) -> None:
        async with aiohttp.ClientSession() as session:
            async with bridge(tmp_path, speech.url) as up:
                for headers, status in (({}, 200), ({"X-Forwarded-For": "1.2.3.4"}, 401), ({"Via": "proxy"}, 401)):
                    async with session.get(up.url + "/metrics", headers=headers) as response:
                        assert response.status == status
            async with bridge(tmp_path, speech.url, BRIDGE_API__TOKEN="right") as up:
                for given, status in (("Bearer right", 200), ("Bearer wrong", 401), ("", 401)):
                    async with session.get(up.url + "/metrics", headers={"Authorization": given}) as response:
                        assert response.status == status

    async def test_unsigned_and_forged_webhooks_are_refused_and_counted(
        self, speech: ScriptedSpeech, tmp_path: Path
    ) -> None:
        form = {"CallSid": "CA1", "From": "+1", "To": "+2"}
        async with bridge(tmp_path, speech.url) as up, aiohttp.ClientSession() as session:
            for path in ("/twilio/voice", "/twilio/stream-ended", "/twilio/status"):
                for headers in ({}, {"X-Twilio-Signature": sign("wrong", up.url + path, [*form.items()])}):
                    async with session.post(up.url + path, data=form, headers=headers) as response:
                        assert response.status == 403
                        assert "BRIDGE_TWILIO__AUTH_TOKEN" in await response.text()
            assert counted(up, "signature") == 6
            async with session.get(up.url + "/metrics") as response:
                assert 'phone_bridge_refused_requests_total{reason="signature"} 6.0' in await response.text()

    async def test_a_forged_upgrade_is_refused_before_it_is_a_websocket(
        self, speech: ScriptedSpeech, tmp_path: Path
    ) -> None:
        async with bridge(tmp_path, speech.url) as up, aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(up.url + "/twilio/media", headers={"X-Twilio-Signature": "forged"})
            assert refused.value.status == 403
            with pytest.raises(aiohttp.WSServerHandshakeError) as lost:
                await session.ws_connect(up.url + "/twilio/other")
            assert lost.value.status == 404
            assert counted(up, "signature") == 1

    @pytest.mark.parametrize(
        ("reason", "make"),
        [
            ("token_missing", lambda token: {}),
            ("token_wrong", lambda token: {"token": token[:-2] + "xx"}),
            ("wrong_call", lambda token: {"token": token}),
        ],
    )
    async def test_a_stream_without_its_token_is_closed_and_counted(
        self, speech: ScriptedSpeech, tmp_path: Path, reason: str, make: Callable[[str], dict[str, str]]
    ) -> None:
        async with bridge(tmp_path, speech.url) as up, aiohttp.ClientSession() as session:
            token = await token_of(session, up, "CA1")
            sid = "CA2" if reason == "wrong_call" else "CA1"
            assert await closed_with(session, up, sid, make(token)) == (1008, reason)
            assert counted(up, reason) == 1
            assert up.registry.live == {}

    async def test_a_token_opens_one_stream(self, speech: ScriptedSpeech, tmp_path: Path) -> None:
        async with bridge(tmp_path, speech.url) as up, aiohttp.ClientSession() as session:
            token = await token_of(session, up, "CA1")
            first = await session.ws_connect(up.url + "/twilio/media")
            await first.send_str(start_message("CA1", {"token": token}))
            await live(up, "CA1")
            assert await closed_with(session, up, "CA1", {"token": token}) == (1008, "token_used")
            assert counted(up, "token_used") == 1
            assert not first.closed
            # With a token of its own a new stream takes over: the carrier knows first that the old one is dead.
            second = await session.ws_connect(up.url + "/twilio/media")
            await second.send_str(start_message("CA1", {"token": await token_of(session, up, "CA1")}))
            async with asyncio.timeout(5):
                assert (await first.receive()).type is aiohttp.WSMsgType.CLOSE
            assert len(up.registry.live) == 1
            assert not second.closed
            await second.close()

    @pytest.mark.parametrize(
        "frames",
        [["not json"], ['{"event":"connected"}'] * 5, ['{"event":"media","media":{"payload":"AAAA"}}'] * 5, []],
    )
    async def test_a_stream_that_does_not_start_properly_is_closed(
        self, speech: ScriptedSpeech, tmp_path: Path, frames: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.twilio.routes._START_WITHIN_S", 0.2)
        async with bridge(tmp_path, speech.url) as up, aiohttp.ClientSession() as session:
            socket = await session.ws_connect(up.url + "/twilio/media")
            for frame in frames:
                await socket.send_str(frame)
            async with asyncio.timeout(5):
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 1008

    async def test_rubbish_in_mid_stream_is_counted_and_survived(
        self, speech: ScriptedSpeech, tmp_path: Path
    ) -> None:
        async with bridge(tmp_path, speech.url) as up, aiohttp.ClientSession() as session:
            token = await token_of(session, up, "CA1")
            socket = await session.ws_connect(up.url + "/twilio/media")
            await socket.send_str(start_message("CA1", {"token": token}))
            for frame in ("rubbish", '{"event":"media","media":{"payload":"*"}}', '{"event":"new"}', "[1]"):
                await socket.send_str(frame)
            await socket.send_bytes(b"\x00")
            good = media_stream.CarrierStream(stream_sid="MZ1", call_sid="CA1", account_sid="AC1")
            await socket.send_str(good.media(b"\x12" * 800, timestamp_ms=20))
            peer = await speech.listener()
            assert b"\x12" * 800 in await peer.has_audio(800)
            malformed = up.metrics.registry.get_sample_value(
                "phone_bridge_malformed_messages_total", {"peer": "carrier"}
            )
            assert malformed == 4
            await socket.close()


async def token_of(session: aiohttp.ClientSession, up: Bridge, sid: str) -> str:
    form = [("CallSid", sid), ("From", "+15550100001"), ("To", "+15550100002"), ("CallerCity", "")]
    url = up.url + "/twilio/voice"
    headers = {"X-Twilio-Signature": sign(TOKEN, url, form)}
    async with session.post(url, data=form, headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/xml"
        text = await response.text()
    return text.split('name="token" value="')[1].split('"')[0]


def start_message(sid: str, parameters: dict[str, str]) -> str:
    return json.dumps(
        {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": "MZ1",
            "start": {
                "streamSid": "MZ1",
                "accountSid": "AC1",
                "callSid": sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": parameters,
            },
        }
    )


async def closed_with(
    session: aiohttp.ClientSession, up: Bridge, sid: str, parameters: dict[str, str]
) -> tuple[int | None, str]:
    socket = await session.ws_connect(up.url + "/twilio/media")
    await socket.send_str('{"event":"connected","protocol":"Call","version":"1.0.0"}')
    await socket.send_str(start_message(sid, parameters))
    async with asyncio.timeout(5):
        message = await socket.receive()
    return socket.close_code, str(message.extra)
