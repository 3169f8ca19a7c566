"""What stands around a call in these tests: peers that do what the test says, and keep what they were told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from bridge.agents.base import Agent, CallInfo, Question
from bridge.call.registry import Profile
from bridge.call.session import Peers
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.actions import Action, Tuning
from bridge.conversation.journal import Entry
from bridge.conversation.policy import Policy
from bridge.errors import BridgeError
from bridge.store.base import CallFiles, CallHeader, CallRecord, Reopened, Store
from bridge.stt.base import EmitTurn, Recognizer, RecognizerFactory
from bridge.tts.base import EmitSpeech, Synthesizer, Voice

INFO = CallInfo("c1", "CA1", "+15550100001", "+15550100002")


class Clock:
    """The event loop's clock, which the test can put forward: what is due then is due at once."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        real = loop.time
        self._ahead = 0.0
        self._loop = loop
        loop.time = lambda: real() + self._ahead  # type: ignore[method-assign]  # of this test's own loop

    @property
    def now(self) -> float:
        return self._loop.time()

    async def forward(self, seconds: float) -> None:
        """Let the time pass, second by second, and everything happen that is due in it."""
        while seconds > 0:
            self._ahead += min(seconds, 1.0)
            seconds -= 1.0
            await settle()


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(12):
        await asyncio.sleep(0)


class ScriptedRecognizer(Recognizer):
    def __init__(self, emit: EmitTurn, name: str) -> None:
        self.emit = emit
        self.name = name
        self.told: list[Any] = []
        self.abort_fails = False
        self.hold: asyncio.Event | None = None
        """Aborting waits for this."""

    def send(self, audio: bytes) -> None:
        self.told.append(audio)

    def forget(self) -> None:
        self.told.append("forget")

    def tune(self, tuning: Tuning) -> None:
        self.told.append(tuning)

    async def finish(self) -> None:
        self.told.append("finish")

    async def abort(self) -> None:
        if self.hold is not None:
            await self.hold.wait()
        self.told.append("abort")
        if self.abort_fails:
            raise ValueError("it did not want to")


class Recognizers(RecognizerFactory):
    def __init__(self) -> None:
        self.opened: list[ScriptedRecognizer] = []

    def open(self, emit: EmitTurn, *, name: str) -> Recognizer:
        self.opened.append(ScriptedRecognizer(emit, name))
        return self.opened[-1]

    async def close(self) -> None:
        pass


class ScriptedVoice(Voice):
    def __init__(self, emit: EmitSpeech, name: str) -> None:
        self.emit = emit
        self.name = name
        self.told: list[Any] = []
        self.fails_at_once = False

    def speak(
        self, utterance: int, text: str, *, more: bool, voice: str | None = None, language: str | None = None
    ) -> None:
        if self.fails_at_once:
            self.emit(on.SpeechFailed(utterance, "speech_request", "no"))
        self.told.append((utterance, text, more, voice, language))

    def cancel(self, utterance: int) -> None:
        self.told.append(("cancel", utterance))

    async def close(self) -> None:
        self.told.append("close")


class Voices(Synthesizer):
    def __init__(self) -> None:
        self.opened: list[ScriptedVoice] = []
        self.warmed = 0

    def warm(self) -> None:
        self.warmed += 1

    def open(self, emit: EmitSpeech, *, name: str) -> Voice:
        self.opened.append(ScriptedVoice(emit, name))
        return self.opened[-1]

    async def close(self) -> None:
        pass


class ScriptedAgent(Agent):
    """Hands on what `pieces` says, then fails with `error` if there is one. `hold` lets it wait before its end."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.pieces: list[Action] = []
        self.error: BridgeError | None = None
        self.hold: asyncio.Event | None = None
        self.left: list[int] = []
        """Replies whose work has stopped, whether it was done or cancelled."""

    async def ask(self, question: Question) -> AsyncIterator[Action]:
        self.questions.append(question)
        try:
            for piece in self.pieces:
                yield piece
            if self.hold is not None:
                await self.hold.wait()
            if self.error is not None:
                raise self.error
        finally:
            self.left.append(question.reply)

    async def close(self) -> None:
        pass


class KeptRecord(CallRecord):
    def __init__(self, header: CallHeader | None = None) -> None:
        self.header = header
        self.entries: list[Entry] = []
        self.lines: list[bytes] = []
        self.sound: list[Any] = []
        self.closed = 0
        self.hold: asyncio.Event | None = None
        self.unsettled: asyncio.Event | None = None
        """Settling waits for this, as for a slow disk."""

    def append(self, entry: Entry) -> None:
        self.entries.append(entry)

    async def settled(self) -> None:
        if self.unsettled is not None:
            await self.unsettled.wait()

    def trace(self, line: bytes) -> None:
        self.lines.append(line)

    def caller_audio(self, at_ms: int, audio: bytes) -> None:
        self.sound.append(("caller", at_ms, audio))

    def callee_audio(self, at_ms: int, audio: bytes) -> None:
        self.sound.append(("callee", at_ms, audio))

    def agent_audio(self, at_ms: float, audio: bytes) -> None:
        self.sound.append(("agent", at_ms, audio))

    def agent_cleared(self, at_ms: float) -> None:
        self.sound.append(("cleared", at_ms))

    def pause_audio(self, at_ms: float) -> None:
        self.sound.append(("paused", at_ms))

    def resume_audio(self, at_ms: float) -> None:
        self.sound.append(("resumed", at_ms))

    async def close(self) -> CallFiles:
        if self.hold is not None:
            await self.hold.wait()
        self.closed += 1
        path = Path("/nowhere")
        return CallFiles(path, path, path, path, path, None, path)


class KeptStore(Store):
    def __init__(self) -> None:
        self.records: list[KeptRecord] = []
        self.left: dict[str, Reopened] = {}
        """What processes that have died left, by the carrier's id."""

    async def reopen(self, sid: str) -> Reopened | None:
        await asyncio.sleep(0)  # The disk takes its time.
        return self.left.pop(sid, None)

    def open(self, header: CallHeader) -> CallRecord:
        self.records.append(KeptRecord(header))
        return self.records[-1]

    async def close(self) -> None:
        pass


class ScriptedSocket:
    """A WebSocket. While `reads` is cleared the peer takes nothing."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.closed = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()
        self.broken: Exception | None = None
        self.cut = 0

    async def send_str(self, data: str) -> None:
        await self.reads.wait()
        if self.broken is not None:
            raise self.broken
        self.sent.append(data)

    async def close(self) -> object:
        await self.reads.wait()
        self.closed.set()
        return True

    def abort(self) -> None:
        self.cut += 1


class Script:
    """A conversation that does what the test says: stands in for `Conversation` in the session."""

    def __init__(self) -> None:
        self.events: list[on.Event] = []
        self.answers: dict[type[Any], deque[list[do.Command]]] = {}
        self.deadline: float | None = None
        self.expects_stream = True
        self.leaves_for_a_while = False
        self.masked = False
        self.fails_at: type[Any] | None = None

    def answer(self, kind: type[Any], *commands: do.Command) -> None:
        """Answer the next event of this kind with these commands."""
        self.answers.setdefault(kind, deque()).append([*commands])

    def handle(self, event: on.Event, now: float) -> list[do.Command]:
        self.events.append(event)
        if self.fails_at is type(event):
            raise ZeroDivisionError
        waiting = self.answers.get(type(event))
        return waiting.popleft() if waiting else []


def peers(agent: Agent | None = None, **more: Any) -> Peers:
    return Peers(Recognizers(), Voices(), agent, **more)


def profiles(default: Profile | None = None, **by_number: Profile) -> Callable[[str], Profile]:
    found: Mapping[str, Profile] = by_number
    usual = default or Profile(Policy(), peers(ScriptedAgent()), "scripted")
    return lambda called: found.get(called, usual)


class HangUps:
    """The carrier's REST API, as far as calls are ended by it."""

    def __init__(self, error: BridgeError | None = None) -> None:
        self.asked: list[str] = []
        self.error = error

    def __call__(self, sid: str) -> Awaitable[None]:
        return self._hang_up(sid)

    async def _hang_up(self, sid: str) -> None:
        self.asked.append(sid)
        if self.error is not None:
            raise self.error
