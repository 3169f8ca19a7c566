"""Calls between two people, whole: the carrier's two tracks on one side, speech to text on the other."""

from __future__ import annotations

import asyncio
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import jiwer
import pytest
from whisper_normalizer.english import EnglishTextNormalizer  # type: ignore[import-untyped]  # it has no types

from bridge.app import Bridge, running
from bridge.call.trace import replay
from bridge.settings import Settings
from bridge.settings.source import load_settings
from tests.scripted_speech import Peer, ScriptedSpeech
from tests.speech_set import PACKAGES, Recorded, recordings
from tests.store import wav_reader
from tests.two_people import SILENCE, TwoPeople, two_people

TOKEN = "0123456789abcdef0123456789abcdef"
NUMBER, OTHER = "+15550100002", "+15550100009"
PAUSE = SILENCE * 12_000
"""A second and a half: both turns are over by then."""


def given(folder: Path, **speech: str) -> Settings:
    environment = {
        "BRIDGE_SERVER__PORT": "0",
        "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN,
        "BRIDGE_STORE__RECORDINGS": str(folder),
        "BRIDGE_AGENT__KIND": "echo",
        **speech,
    }
    numbers = ({"number": NUMBER, "mode": "log", "forward_to": OTHER, "announcement": "Calls are recorded."},)
    return load_settings(environment=environment, files=(), overrides={"numbers": numbers})  # type: ignore[dict-item]


def scripted(folder: Path, speech: ScriptedSpeech) -> Settings:
    return given(folder, BRIDGE_SPEECH__BASE_URL=speech.url, BRIDGE_SPEECH__API_KEY="sk_test")


async def kept(up: Bridge, call: TwoPeople, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Wait until the call is recorded; return its folder and the transcript for programs."""
    if (session := up.registry.logs.live.get(call.sid)) is not None:
        async with asyncio.timeout(15):
            await session.ended.wait()
    (journal,) = folder.rglob("journal.jsonl")
    return journal.parent, json.loads(journal.with_name("transcript.json").read_text())


async def both(speech: ScriptedSpeech, callers: bytes) -> tuple[Peer, Peer]:
    """The speech-to-text sockets of the caller, whose sound begins with `callers`, and of the callee."""
    one, two = await speech.listener(0), await speech.listener(1)
    return (one, two) if (await one.has_audio(800)).startswith(callers) else (two, one)


def samples(up: Bridge, name: str, **labels: str) -> float:
    return up.metrics.registry.get_sample_value(f"phone_bridge_{name}", labels) or 0.0


async def test_a_call_is_connected_listened_to_and_kept(tmp_path: Path) -> None:
    caller_voice, callee_voice = bytes(range(256)) * 10, bytes(reversed(range(256))) * 10
    async with (
        ScriptedSpeech().running() as speech,
        running(scripted(tmp_path, speech)) as up,
        two_people(up.url, TOKEN, called=NUMBER) as call,
    ):
        document = await call.begin()
        assert [(one.tag, one.text) for one in document] == [
            ("Say", "Calls are recorded."),
            ("Start", None),
            ("Dial", None),
        ]
        await call.talk(caller_voice, callee_voice)
        caller, callee = await both(speech, caller_voice[:1])
        assert caller_voice.startswith(bytes((await caller.has_audio(1600))[:1600]))
        assert callee_voice.startswith(bytes((await callee.has_audio(1600))[:1600]))
        await callee.say_turn(" Ann speaking. ")
        await caller.say_turn("Hello, Ann.")
        await caller.turn("start")
        await caller.turn("update", "I wanted")
        await call.ask(
            "/twilio/log-dial-ended", DialCallStatus="completed", DialCallDuration="1", CallStatus="completed"
        )
        await call.hang_up()
        folder, transcript = await kept(up, call, tmp_path)
        assert call.came == []
        assert samples(up, "calls_total", mode="log") == 1
        assert samples(up, "turns_total") == 3
        assert samples(up, "live_calls") == 0
    assert transcript["header"]["other"] == OTHER
    assert transcript["ended"]["reason"] == "caller"
    said = [(line["speaker"], line["name"], line["text"]) for line in transcript["lines"]]
    assert said == [
        ("callee", OTHER, " Ann speaking. "),
        ("caller", "+15550100001", "Hello, Ann."),
        ("caller", "+15550100001", "I wanted"),
    ]
    heard = wav_reader.read((folder / "recording.wav").read_bytes())
    assert (heard.left, heard.right) == (caller_voice, callee_voice)
    # What was decided is decided again from the trace alone.
    agreed, difference = replay((folder / "trace.jsonl").read_bytes(), name="trace")
    assert difference is None
    assert agreed > 10
    assert f"Callee {OTHER}" in (folder / "transcript.txt").read_text()
    assert ">Callee<" in (folder / "timeline.svg").read_text()


async def test_one_side_is_heard_while_the_others_speech_to_text_is_away(tmp_path: Path) -> None:
    async with (
        ScriptedSpeech().running() as speech,
        running(scripted(tmp_path, speech)) as up,
        two_people(up.url, TOKEN, called=NUMBER) as call,
    ):
        await call.begin()
        await call.talk(b"\x01" * 1600, b"\x02" * 1600)
        caller, callee = await both(speech, b"\x01")
        await callee.turn("start")
        await callee.turn("update", "Are you")
        callee.drop()
        await caller.say_turn("Meanwhile.")
        back = await speech.listener(2)
        await call.talk(b"\x01" * 1600, b"\x02" * 1600)
        # It hears the turn again from its beginning.
        assert (await back.has_audio(800)).startswith(b"\x02")
        await back.turn("start")
        await back.turn("update", "Are you still")
        await back.turn("end", "Are you still there?")
        async with asyncio.timeout(5):
            while samples(up, "turns_total") < 2:  # noqa: ASYNC110  Nobody is told when it is counted.
                await asyncio.sleep(0.01)
        await call.hang_up()
        _, transcript = await kept(up, call, tmp_path)
    said = {(line["speaker"], line["text"]) for line in transcript["lines"]}
    assert said == {("callee", "Are you still there?"), ("caller", "Meanwhile.")}


async def test_a_bridge_that_goes_down_keeps_what_it_has_heard(tmp_path: Path) -> None:
    async with ScriptedSpeech().running() as speech, aiohttp.ClientSession() as http:
        async with running(scripted(tmp_path, speech)) as up:
            call = TwoPeople(up.url, TOKEN, http, "CA" + "7" * 32, NUMBER)
            await call.begin()
            await call.talk(b"\x01" * 1600, b"\x02" * 1600)
            peer = await speech.listener(1)
            await peer.say_turn("Last words.")
            async with asyncio.timeout(5):
                while samples(up, "turns_total") < 1:  # noqa: ASYNC110  As above.
                    await asyncio.sleep(0.01)
        (path,) = tmp_path.rglob("transcript.json")
        transcript = json.loads(path.read_text())
        assert [line["text"] for line in transcript["lines"]] == ["Last words."]
        assert transcript["ended"]["reason"] == "shutdown"


# --- real speech -------------------------------------------------------------------------------------------


def chosen(names: tuple[str, ...]) -> list[Recorded]:
    spec = find_spec("moonshine_voice")
    assets = Path(spec.origin).parent / "assets" if spec is not None and spec.origin else Path()
    known = {one.name: one for one in recordings()}
    known["beckett"] = Recorded(
        "beckett",
        assets / "beckett.wav",
        "Ever tried, ever failed. No matter. Try again. Fail again. Fail better.",
        None,
    )
    return [known[name] for name in names]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("callee", "caller", "limit"),
    [
        # Some fifty words: each wrong one counts for two per cent.
        pytest.param(("tc_1", "tc_4"), ("beckett",), 0.3, id="packaged"),
        pytest.param(("ast_conf-onlyperson", "ast_vm-record-prepend"), ("lv_0880", "lv_0930"), 0.2, id="installed"),
    ],
)
async def test_two_recorded_people_are_told_apart_and_understood(
    callee: tuple[str, ...], caller: tuple[str, ...], limit: float, tmp_path: Path
) -> None:
    """They take turns, the one who was called first. Run it with `-s` to see what was heard."""
    theirs, ours = chosen(callee), chosen(caller)
    if missing := [one.name for one in (*theirs, *ours) if not one.there]:
        pytest.skip(f"{', '.join(missing)} not installed: apt-get install {PACKAGES}")
    tracks, order = await asyncio.to_thread(in_turn, theirs, ours)
    async with running(given(tmp_path)) as up, two_people(up.url, TOKEN, called=NUMBER) as call:
        await call.begin()
        await call.talk(tracks["caller"], tracks["callee"])
        await call.hang_up()
        folder, transcript = await kept(up, call, tmp_path)
        assert call.came == []
    lines = transcript["lines"]
    for line in lines:
        print(f"{line['started_ms'] / 1000:6.1f} s  {line['speaker']} {line['name']}  {line['text']!r}")  # noqa: T201  The table is what `-s` is for.
    speakers = [line["speaker"] for line in lines]
    assert [who for at, who in enumerate(speakers) if at == 0 or speakers[at - 1] != who] == order
    assert {line["speaker"]: line["name"] for line in lines} == {"caller": "+15550100001", "callee": OTHER}
    normal = EnglishTextNormalizer()
    references, texts = [], []
    for party, spoken in (("callee", theirs), ("caller", ours)):
        references.append(normal(" ".join(one.reference for one in spoken)))
        texts.append(normal(" ".join(line["text"] for line in lines if line["speaker"] == party)))
        rate = jiwer.wer(references[-1], texts[-1])
        print(f"{party}: word error rate {rate:.1%} of {len(references[-1].split())} words")  # noqa: T201
        assert rate < 2 * limit  # One word of a short text weighs much.
    both_rate = jiwer.wer(references, texts)
    print(f"both: word error rate {both_rate:.1%}")  # noqa: T201
    assert both_rate < limit
    heard = wav_reader.read((folder / "recording.wav").read_bytes())
    assert (heard.left, heard.right) == (tracks["caller"], tracks["callee"])


def in_turn(theirs: list[Recorded], ours: list[Recorded]) -> tuple[dict[str, bytes], list[str]]:
    """Both tracks, one beside the other, and who speaks in which order."""
    tracks = {"callee": bytearray(PAUSE[:4000]), "caller": bytearray(PAUSE[:4000])}
    order = []
    for number in range(max(len(theirs), len(ours))):
        for party, spoken in (("callee", theirs), ("caller", ours)):
            if number < len(spoken):
                order.append(party)
                sound = spoken[number].mulaw() + PAUSE
                tracks[party] += sound
                tracks["caller" if party == "callee" else "callee"] += SILENCE * len(sound)
    whole = {party: bytes(track) + SILENCE * (-len(track) % 160) for party, track in tracks.items()}
    return whole, order
