"""A session with everything around it, for its tests."""

from __future__ import annotations

import asyncio
import json

import pytest

from bridge.call import session as module
from bridge.call.carrier import Carrier
from bridge.call.session import Session
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.policy import Policy
from tests.call.peers import (
    INFO,
    KeptRecord,
    Recognizers,
    Script,
    ScriptedAgent,
    ScriptedRecognizer,
    ScriptedSocket,
    ScriptedVoice,
    Voices,
    peers,
)


class Call:
    """A session with everything around it."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.agent = ScriptedAgent()
        self.record = KeptRecord()
        self.steps: list[tuple[float, on.Event, list[do.Command]]] = []
        self.peers = peers(self.agent, voice="usual", language="en")
        self.session = Session(INFO, Policy(), self.peers, self.record, (lambda *step: self.steps.append(step),))
        self.sockets: list[ScriptedSocket] = []
        self.carriers: list[Carrier] = []

    @property
    def recognizer(self) -> ScriptedRecognizer:
        assert isinstance(self.peers.recognizers, Recognizers)
        return self.peers.recognizers.opened[0]

    @property
    def voice(self) -> ScriptedVoice:
        assert isinstance(self.peers.synthesizer, Voices)
        return self.peers.synthesizer.opened[0]

    def attach(self) -> ScriptedSocket:
        socket = ScriptedSocket()
        self.sockets.append(socket)
        self.carriers.append(Carrier(socket, f"MZ{len(self.sockets)}", socket.abort))
        self.session.attach(self.carriers[-1])
        return socket

    def do(self, *commands: do.Command) -> None:
        """Let the conversation ask for this."""
        self.script.answer(on.DigitPressed, *commands)
        self.session.take(on.DigitPressed("1"))

    async def over(self) -> None:
        async with asyncio.timeout(5):
            await self.session.ended.wait()


def scripted(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Put a script in the place of the conversation."""
    script = Script()
    monkeypatch.setattr(module, "Conversation", lambda policy: script)
    return script


def ask(reply: int) -> do.AskAgent:
    return do.AskAgent(reply, "turn.ended", 1, "Hello", False, None, ())


def sent(socket: ScriptedSocket) -> list[str]:
    return [json.loads(text)["event"] for text in socket.sent]
