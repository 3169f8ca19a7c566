"""What must be heard to its last byte: a protected notice under the caller's talk, and a farewell in noise."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bridge.simulator.caller import SimulatedCall
from tests.turn_taking import truth, voices
from tests.turn_taking.speech_relay import SpeechRelay
from tests.turn_taking.stage import Stage, heard_after, show, stage

NOTICE = "Please note that this call is recorded for training, and that you may object to it at any time."
REPLY = "Good, then let us begin."
FAREWELL = "Thank you very much for calling us, and have a pleasant evening. Good-bye."
ALL_MARKS = range(100_000)


async def notice_under_talk(folder: Path, relay: SpeechRelay) -> str:
    """Talk over a protected notice, and be answered behind it."""

    def answer(body: dict[str, Any]) -> dict[str, Any] | None:
        if body["type"] == "call.started":
            return {"actions": [{"type": "say", "text": NOTICE, "interruptible": False}]}
        return {"say": REPLY} if body["type"] == "turn.ended" else None

    question = voices.recorded(voices.QUESTION_S)
    async with stage(folder, relay.url, answer) as there, SimulatedCall(there.line()) as call:
        began = await call.wait_agent_speaking(10)
        assert began is not None
        said = await call.say(question, at=began + 0.8)
        assert said.speech_end_s is not None
        await there.agent.until(lambda: any(one.answered for one in there.agent.turns(call)))
        assert await call.wait_until_agent_silent(1.5, 20)
        both = b"".join(stretch.audio for stretch in call.heard)
        await call.hang_up()
        journal = await there.journal(call)
    (notice,), (reply,) = relay.said(NOTICE), relay.said(REPLY)
    assert both == bytes(notice.audio + reply.audio)
    assert not [clear for clear in call.clears if clear.dropped_bytes]
    questions = [one for one in there.agent.turns(call) if not one.cancelled]
    assert "foolishness" in questions[-1].transcript
    assert "interrupted" not in questions[-1].body
    spoke = [(one["heard"], one["interrupted"]) for one in journal.all("agent_spoke")]
    assert spoke == [(NOTICE, False), (REPLY, False)]
    assert len(journal.turns) == 1
    return f"{len(notice.audio)} bytes played under the caller's talk, then {len(reply.audio)} of the answer"


async def farewell(there: Stage, relay: SpeechRelay, noise: tuple[float, bytes] | None, **line: Any) -> str:
    """Hear the farewell to the end of the call, and make a noise at this second of it."""
    async with SimulatedCall(there.line(**line)) as call:
        began = await call.wait_agent_speaking(10)
        assert began is not None
        if noise is not None:
            await call.say(noise[1], at=began + noise[0])
        async with asyncio.timeout(25):
            assert await call.ended() == "bridge_hung_up"
        stretches = heard_after(call, 0.0)
        after_s = call.now - stretches[-1].end_s
        journal = await there.journal(call)
    heard = truth.heard_of(relay, FAREWELL, stretches)
    # On a slow line, or without marks, what sounded last is not known: rather once more than not at all.
    heard.check(most_repeated=10 if "lost_marks" in line else 3 if line else 1)
    assert (len(heard.pieces) == 1) == (noise is None or len(noise[1]) > 8000), "a cough did not silence the agent"
    assert journal.all("call_closed")[0]["reason"] == "agent"
    (spoke,) = journal.all("agent_spoke")
    assert (spoke["heard"], spoke["unheard"]) == (FAREWELL, "")
    assert 0 <= after_s < 4, f"hung up {after_s:.2f} s after the last byte"
    return f"{heard}; hung up {after_s:.2f} s after the last byte"


@pytest.mark.timeout(90)
async def test_notices_and_farewells_are_heard_to_the_last_byte(relay: SpeechRelay, tmp_path: Path) -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any] | None:
        if body["type"] == "turn.ended":
            return {"say": "This was not to be asked."}
        return {"actions": [{"type": "say", "text": FAREWELL}, {"type": "hang_up"}]}

    cough = await asyncio.to_thread(voices.cough)
    music = await asyncio.to_thread(voices.music, 4.0)
    cases: dict[str, tuple[tuple[float, bytes] | None, dict[str, Any]]] = {
        "undisturbed": (None, {}),
        "slow line": (None, {"lag_ms": 150}),
        "no mark comes back": (None, {"lost_marks": ALL_MARKS, "lag_ms": 60}),
        "every third mark is lost": (None, {"lost_marks": ALL_MARKS[::3]}),
        "a cough": ((1.2, cough), {}),
        "a cough, and cleared marks do not return": ((1.8, cough), {"after_clear": "never", "lag_ms": 60}),
        "a cough, and no mark comes back": ((2.4, cough), {"lost_marks": ALL_MARKS}),
        "music": ((0.3, music), {}),
    }
    async with stage(tmp_path / "farewells", relay.url, answer) as there:
        notice, *farewells = await asyncio.gather(
            notice_under_talk(tmp_path / "notice", relay),
            *(farewell(there, relay, noise, **line) for noise, line in cases.values()),
        )
    show(f"protected notice: {notice}")
    for name, result in zip(cases, farewells, strict=True):
        show(f"farewell, {name}: {result}")
