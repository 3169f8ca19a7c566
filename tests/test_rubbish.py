"""A small flood of strangers: every kind is dealt with, and a call that goes on is heard as before."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.simulator.caller import SimulatedCall
from tests.rubbish import KINDS, one
from tests.scripted_speech import ScriptedSpeech
from tests.test_calls import bridge, line
from tests.waiting import until

ENDS = {
    "nothing": "closed",
    "noise": "closed",
    "tls": "closed",
    "half_a_line": "closed",
    "half_a_head": "closed",
    "half_a_body": "408",
    "no_such_address": "404",
    "long_head": "400",
    "unsigned": "403",
    "wrong_token": "401",
    "stream": "101",
}


async def test_each_kind_is_dealt_with_and_the_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.twilio.gate._FORM_WITHIN_S", 0.3)
    given = {"BRIDGE_SERVER__HEAD_SECONDS": "0.3", "BRIDGE_API__TOKEN": "a token of the api"}
    async with (
        ScriptedSpeech().running() as speech,
        bridge(tmp_path, speech.url, None, **given) as up,
        SimulatedCall(line(up)) as call,
    ):
        heard = await speech.listener()
        port = int(up.url.rpartition(":")[2])
        came = await asyncio.gather(*(one(port, sent, "127.0.0.1") for sent in KINDS.values()))
        assert dict(zip(KINDS, came, strict=True)) == ENDS
        said = bytes(range(256)) * 4
        await call.say(said)
        await until(lambda: said in heard.audio)
