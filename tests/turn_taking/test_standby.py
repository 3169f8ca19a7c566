"""A call whose speech service is away, heard and answered by the local models: recorded speech, in real time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge.simulator.caller import SimulatedCall
from tests.turn_taking import voices
from tests.turn_taking.stage import stage

AWAY = "http://127.0.0.1:9"


def answer(body: dict[str, Any]) -> dict[str, Any] | None:
    return {"say": "I have heard you well."} if body["type"] == "turn.ended" else None


async def test_the_local_models_hear_and_answer_while_the_service_is_away(speech_url: str, tmp_path: Path) -> None:
    environment = {"BRIDGE_SPEECH__API_KEY": "sk_main", "BRIDGE_SPEECH__STANDBY": speech_url}
    async with stage(tmp_path, AWAY, answer, **environment) as there:
        async with SimulatedCall(there.line()) as call:
            await call.say(voices.recorded(voices.QUESTION_S), 1.0)
            assert await call.wait_agent_speaking(15)
            assert await call.wait_until_agent_silent(1.0, 15)
        journal = await there.journal(call)
    (heard,) = (one for one in journal.entries if one["entry"] == "caller_spoke" and one["meaning"] == "words")
    (said,) = (one for one in journal.entries if one["entry"] == "agent_spoke" and one["occasion"] == "turn.ended")
    assert "age of foolishness" in heard["transcript"].lower()
    assert said["heard"] == "I have heard you well."
    assert (heard["standby"], said["standby"]) == (True, True)
