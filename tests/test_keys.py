"""Whole calls with keys: a burst over the agent's speech, secrets that leave no trace, and tones into the call."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.audio import dtmf
from bridge.audio.codec import silence
from bridge.conversation.actions import GatherDigits, Play, Say, SendDigits
from bridge.simulator.caller import SimulatedCall
from tests.audio.test_dtmf import decoded, linear
from tests.scripted_speech import ScriptedSpeech
from tests.store import wav_reader
from tests.test_calls import PYTHON, Asked, agent, bridge, kept, line, played, speech

__all__ = ["agent", "speech"]

CARD = "4711081547110815"
LONG = " ".join(f"word{number}" for number in range(30))


async def asked(agent: Asked, occasion: str) -> str:
    """Wait for a question, and return its keys."""
    async with asyncio.timeout(10):
        while not (found := [question for question in agent if question.occasion == occasion]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # Nobody is told when it is there.
    return found[-1].digits


async def test_twenty_keys_over_the_agents_speech_arrive_complete(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    keys = "01234567890123456789"
    agent.answers = [[Say(LONG), GatherDigits(length=20)]]
    async with bridge(tmp_path, speech.url, **PYTHON) as up, SimulatedCall(line(up)) as call:
        await (await speech.listener()).say_turn("My account")
        assert await call.wait_agent_speaking(10) is not None
        await call.digits(keys)
        assert await asked(agent, "digits") == keys
        await call.hang_up()
        journal = await kept(up, call, tmp_path)
    assert [entry["digits"] for entry in journal if entry["entry"] == "digits_gathered"] == [keys]
    assert next(entry for entry in journal if entry["entry"] == "agent_spoke")["unheard"]


@pytest.mark.parametrize("early", [False, True])
async def test_a_secret_reaches_the_agent_and_nothing_else(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked, *, early: bool
) -> None:
    agent.answers = [[Say("Your card number please." if not early else LONG), GatherDigits(16, masked=True)]]
    voice = bytes(range(1, 127)) * 60
    with capture_logs() as logs:
        async with bridge(tmp_path, speech.url, **PYTHON) as up, SimulatedCall(line(up)) as call:
            peer = await speech.listener()
            await peer.say_turn("I want to pay")
            if early:
                assert await call.wait_agent_speaking(10) is not None
            else:
                assert await call.wait_for_agent(10, silence_s=0.5)
            await call.digits(CARD[:8])
            await call.say(voice)  # Whoever reads the number out loud is not recorded either.
            await call.say(dtmf.tones(CARD))  # A phone may send its tones along as sound.
            await call.digits(CARD[8:])
            assert await asked(agent, "digits") == CARD
            await call.say(voice)
            await call.say(dtmf.tones("357"))
            before = len(peer.audio)
            await peer.has_audio(before + 1600)
            await call.hang_up()
            journal = await kept(up, call, tmp_path)
    (gathered,) = [entry for entry in journal if entry["entry"] == "digits_gathered"]
    assert (gathered["digits"], gathered["count"], gathered["masked"]) == ("", 16, True)
    assert not [entry for entry in journal if entry["entry"] == "key_pressed"]
    files = {path: await asyncio.to_thread(path.read_bytes) for path in tmp_path.rglob("*") if path.is_file()}
    assert len(files) >= 5
    for path, content in files.items():
        assert CARD.encode() not in content, path
        assert not [digit for digit in "4718" if f'"digit":"{digit}"'.encode() in content], path
    assert CARD not in str(logs)
    # The voice was said twice, and heard once: what lay within the secret is silence.
    (recording,) = [content for path, content in files.items() if path.suffix == ".wav"]
    sides = wav_reader.read(recording)
    assert sides.left.count(voice) == bytes(peer.audio).count(voice) == 1
    # The decoder does hear tones that are no secret.
    assert [decoded(linear(sound)) for sound in (sides.left, sides.right, bytes(peer.audio))] == ["357", "", "357"]


async def test_tones_and_sounds_are_heard_among_the_words(
    speech: ScriptedSpeech, tmp_path: Path, agent: Asked
) -> None:
    agent.answers = [[SendDigits("1w2#"), Play("no-such-file.wav")]]
    async with bridge(tmp_path, speech.url, **PYTHON) as up, SimulatedCall(line(up)) as call:
        await (await speech.listener()).say_turn("Press the keys")
        tones = dtmf.tones("1w2#")
        assert await call.wait_for_agent(10, silence_s=1.0)
        assert played(call.heard) == tones
        assert call.problems == []
        await call.hang_up()
        journal = await kept(up, call, tmp_path)
    assert [entry["code"] for entry in journal if entry["entry"] == "problem_met"] == ["sound_unreachable"]
    assert silence(500) in tones
