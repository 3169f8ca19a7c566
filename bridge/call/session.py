"""One live call: the shell that carries a conversation's commands to their peers, and the peers' events back.

It decides nothing about the talk. Every event goes through `take`, in the order in which they came; the commands
that result are carried out before the next event is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

import structlog
from msgspec import Struct

from bridge.agents.base import Agent, CallInfo
from bridge.audio.codec import BYTES_PER_MS, silence
from bridge.call import trace
from bridge.call.asking import Asking
from bridge.call.attending import attend
from bridge.call.carrier import Carrier
from bridge.call.flag import Flag
from bridge.call.inbox import Inbox, attempt
from bridge.call.others import Others
from bridge.call.sounds import Sounds
from bridge.call.warm import WarmRecognizer
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.actions import Action
from bridge.conversation.journal import CallClosed, CallGivenAway
from bridge.conversation.machine import Conversation
from bridge.conversation.outlook import Floor, Saying
from bridge.conversation.policy import Policy
from bridge.conversation.recording import State
from bridge.store.base import CallFiles, CallRecord, Reopened
from bridge.stt.base import Recognizer, RecognizerFactory
from bridge.tasks import spawn
from bridge.tts.base import Synthesizer, Voice

Observer: TypeAlias = Callable[[float, on.Event, list[do.Command]], None]
"""Sees every step of a call: the time, what happened, what was done. Must not wait and not raise."""

_AHEAD_MS = 30_000
"""Sound whose timestamp lies further ahead of the clock than this is not recorded: it would fill the disk."""


class Peers(Struct, frozen=True):
    """Whom a call talks to."""

    recognizers: RecognizerFactory
    synthesizer: Synthesizer
    agent: Agent | None
    """None: nobody answers, the call is only transcribed."""
    voice: str | None = None
    """The called number's own voice; None is the voice of the settings."""
    language: str | None = None
    sounds: Sounds | None = None
    """What agents may play; None: nothing."""


class Session:
    """One call, from its media stream's start until everything of it is recorded."""

    def __init__(
        self,
        info: CallInfo,
        policy: Policy,
        peers: Peers,
        record: CallRecord | Reopened,
        observers: tuple[Observer, ...] = (),
        warm: WarmRecognizer | None = None,
        others: Others | None = None,
    ) -> None:
        """`record`: a reopened one is that of a call that goes on here: its process has died, or given it away.

        `warm`: the recogniser that was opened for this call before it came; None: open one now. `others`: who calls
        the other side of warm transfers; None: there are none.
        """
        past, record = (record, record.record) if isinstance(record, Reopened) else (None, record)
        self.info = info
        self.files: CallFiles | None = None
        """Where the call was kept; known once it is over."""
        self.ended = Flag()
        """Set when everything of the call is recorded and let go."""
        self.departure: do.LeaveCall | None = None
        """How we ended the call, if it was we who did."""
        self._log = structlog.get_logger().bind(call=info.id, sid=info.sid)
        self._loop = asyncio.get_running_loop()
        self._began: float | None = None
        self._conversation = Conversation(policy) if past is None else self._take_up(past, policy)
        self._peers = peers
        self._record = record
        self._observers = observers
        self._inbox: Inbox[on.Event] = Inbox(
            self._step, self._deadline, on.DeadlineReached(), self._close, call=info.id, sid=info.sid
        )
        take = self._inbox.take  # The peers hold the inbox only, so that nothing keeps a call that is over.
        self._hung_up = False
        self._closing = False
        self.abandoned = False
        """Another process goes on with it, as far as this one knows."""
        self._others = others
        self._attending = attend(peers.agent, info, lambda: take(on.FloorWanted()))
        self.secret = False
        """Whether the step that observers are shown is a secret's: the caller's words and keys are to be hidden."""
        self._masked = False
        """As the conversation has it; it changes with a step only, and is asked for with every frame."""
        self._carrier: Carrier | None = None
        self._asking = None if peers.agent is None else Asking(peers.agent, info, take, record.settled)
        self._offset_ms = 0
        record.trace(trace.first_line(policy) if past is None else trace.resumed_line(policy, past.epoch))
        self._warm = warm or WarmRecognizer(peers.recognizers, info.id)
        self._recognizer: Recognizer = self._warm.recognizer
        self._voice: Voice = peers.synthesizer.open(take, name=info.id)
        self._player = None if peers.sounds is None else peers.sounds.open(take, name=info.id)

    def _take_up(self, past: Reopened, policy: Policy) -> Conversation:
        now = self._loop.time()
        self._began = began = now - past.at_ms / 1000
        conversation = Conversation.resume(past.entries, policy, epoch=past.epoch, began=began, now=now)
        self.departure = conversation.departure
        return conversation

    def await_stream(self) -> None:
        """Begin to wait for the stream with which a call of the past goes on: without it, it ends."""
        self.take(on.DeadlineReached())

    def uses(self, peer: object) -> bool:
        """Tell whether the call needs this peer until its end: an agent, a factory, a synthesiser, or sounds."""
        peers = self._peers
        return any(peer is one for one in (peers.recognizers, peers.synthesizer, peers.agent, peers.sounds))

    # --- who looks after the call --------------------------------------------------------------------------

    @property
    def floor(self) -> Floor:
        """Who has the floor."""
        return self._conversation.floor

    @property
    def at_rest(self) -> bool:
        """Tell whether the call can change its stream at this moment without anybody's losing a word."""
        return self._conversation.at_rest

    @property
    def saying(self) -> Saying | None:
        """What is being said to the caller; None: nothing."""
        return self._conversation.saying

    @property
    def answered(self) -> bool:
        """Tell whether an agent takes the call; else it is only transcribed."""
        return self._asking is not None

    @property
    def away(self) -> bool:
        """Tell whether the call goes on without us: the caller is connected with somebody else, or about to be."""
        return self._conversation.leaves_for_a_while

    def act(self, actions: Sequence[Action]) -> None:
        """Say and do this in the agent's place, as an operator wants it. Never waits, never raises.

        What is said, transfers and hanging up cut off the agent, and wait for words of the caller; they are heard,
        interrupted and kept like an answer of the agent, which learns of them. Notes and settings disturb nothing.
        """
        self.take(on.OperatorActed(tuple(actions)))

    def watch(self, observer: Observer) -> None:
        """Let somebody see every step from here on."""
        self._observers = (*self._observers, observer)

    # --- the carrier's side --------------------------------------------------------------------------------

    @property
    def recording(self) -> State:
        """Whether the call's sound is recorded now."""
        return self._conversation.recording

    @property
    def attached(self) -> bool:
        """Tell whether a media stream carries the call now."""
        return self._carrier is not None

    @property
    def over_for_carrier(self) -> bool:
        """Tell whether no media stream may carry the call any more."""
        return self._hung_up or self._inbox.failed or not self._conversation.expects_stream

    def attach(self, carrier: Carrier) -> None:
        """Go on over this media stream: the first one, or one that replaces a lost one.

        The carrier opens another only when the one before is over, even if nothing here has noticed that yet.
        """
        if (old := self._carrier) is not None:
            self._carrier = None
            old.close()
            self.take(on.StreamLost())
        self._carrier = carrier
        self.departure = None
        carrier.watch(lambda: self.detach(carrier, on.StreamLost()))
        if self._began is None:
            self._began = self._loop.time()
        self._offset_ms = round((self._loop.time() - self._began) * 1000)
        self.take(on.StreamStarted())
        self._warm.adopt(self._inbox.take)  # The conversation listens from its start on.

    def hear(self, timestamp_ms: int | None, audio: bytes) -> None:
        """Take mu-law audio of the caller; `timestamp_ms` counts from the start of the media stream."""
        if self._carrier is not None:
            self._carrier.heard()
        if self._masked:
            audio = silence(len(audio) / BYTES_PER_MS)  # A secret is neither recognised nor kept.
        self._recognizer.send(audio)
        now_ms = self._at_ms()
        at_ms = now_ms if timestamp_ms is None else self._offset_ms + timestamp_ms
        if at_ms <= now_ms + _AHEAD_MS:
            self._record.caller_audio(at_ms, audio)

    def detach(self, carrier: Carrier, event: on.StreamLost | on.StreamStopped) -> None:
        """The media stream is gone. One that another has replaced can say no more about the call."""
        carrier.abandon()
        if self._carrier is carrier:
            self._carrier = None
        elif self._carrier is not None or isinstance(event, on.StreamLost):
            return
        goes_on = self._conversation.leaves_for_a_while
        self._hung_up = self._hung_up or (isinstance(event, on.StreamStopped) and not goes_on)
        # A stream that was left says nothing about the call, which may go on without it for hours.
        self.take(on.StreamLost() if goes_on else event)

    def stop(self, reason: str) -> None:
        """End the call from outside (`shutdown`, or `caller` when the carrier says that it is over)."""
        self._hung_up = True
        if self._carrier is not None:
            self._carrier.close()
            self._carrier = None
        if self._conversation.leaves_for_a_while:
            self.take(on.StreamLost())  # The stream is one thing, the call that goes on without it another.
        self.take(on.StreamStopped(reason))

    def break_off(self) -> None:
        """Close the media stream behind what is queued: the carrier asks whom it likes how the call goes on."""
        if self._carrier is not None:
            self._carrier.close()

    def abandon(self, *, given: bool = False) -> None:
        """Let go of the call without a word, as another process goes on with it: nothing more is said or kept.

        `given`: this one lets it; else it has lost it.
        """
        if given and not self._closing:
            self._record.append(CallGivenAway(self._at_ms()))
        self._hung_up = self.abandoned = True
        if self._carrier is not None:
            self._carrier.close()
            self._carrier = None
        self._inbox.close()
        self._log = self._log.bind(reason="held_elsewhere")
        self._close()

    # --- the loop ------------------------------------------------------------------------------------------

    def take(self, event: on.Event) -> None:
        """Take an event of any peer. Never waits, never raises."""
        self._inbox.take(event)

    def _deadline(self) -> float | None:
        return None if self.ended.is_set() else self._conversation.deadline

    def _step(self, event: on.Event) -> None:
        now = self._loop.time()
        was_masked = self._masked
        commands = self._conversation.handle(event, now)
        self._masked = self._conversation.masked
        for command in commands:
            self._carry_out(command, now)
        self.secret = masked = was_masked or self._masked
        self._record.trace(trace.step_line(now, event, commands, masked=masked))
        if self._attending is not None:
            self._attending.look(event, commands, masked=masked)
        for observe in self._observers:
            observe(now, event, commands)

    # --- commands ------------------------------------------------------------------------------------------

    def _carry_out(self, command: do.Command, now: float) -> None:
        match command:
            case do.SendAudio() | do.SendMark() | do.ClearPlayout() | do.LeaveCall():
                self._to_carrier(command, now)
            case do.Synthesize() | do.PlaySound() | do.SendTones() | do.CancelSpeech():
                self._to_speech(command)
            case do.AskAgent() | do.CancelReply() | do.TellAgentEnded():
                assert self._asking is not None  # noqa: S101  The policy says `agent=False` when there is none.
                self._asking.carry_out(command)
            case do.ForgetTurn() | do.TuneRecognizer() | do.FinishRecognizer() | do.OpenRecognizer():
                self._to_recognizer(command)
            case do.CallOther() | do.CancelOther():
                self._to_others(command)
            case do.Record() | do.PauseRecording() | do.ResumeRecording():
                self._to_record(command)
            case do.Close():
                self._close()

    def _to_recognizer(
        self, command: do.ForgetTurn | do.TuneRecognizer | do.FinishRecognizer | do.OpenRecognizer
    ) -> None:
        match command:
            case do.ForgetTurn():
                self._recognizer.forget()
            case do.TuneRecognizer(tuning):
                self._recognizer.tune(tuning)
            case do.FinishRecognizer():
                spawn(self._recognizer.finish(), name=f"drain-{self.info.id}")
            case do.OpenRecognizer():
                # Listen again, after the session before was finished: what it still tells is of another stretch.
                self._warm.let_go()
                spawn(self._recognizer.abort(), name=f"abort-{self.info.id}")
                self._warm = WarmRecognizer(self._peers.recognizers, self.info.id)
                self._recognizer = self._warm.recognizer
                self._warm.adopt(self._inbox.take)

    def _to_others(self, command: do.CallOther | do.CancelOther) -> None:
        match command:
            case do.CallOther(transfer) if self._others is not None:
                self._others.call(self.info, transfer, self._inbox.take)
            case do.CallOther():
                self.take(on.TransferEnded("failed"))
            case do.CancelOther() if self._others is not None:
                self._others.cancel(self.info)
            case _:
                pass

    def _to_speech(self, command: do.Synthesize | do.PlaySound | do.SendTones | do.CancelSpeech) -> None:
        match command:
            case do.Synthesize(utterance, text, more, voice, language):
                self._voice.speak(
                    utterance,
                    text,
                    more=more,
                    voice=voice or self._peers.voice,
                    language=language or self._peers.language,
                )
            case do.PlaySound(utterance, source, loop) if self._player is not None:
                self._player.play(utterance, source, loop)
            case do.SendTones(utterance, digits) if self._player is not None:
                self._player.tones(utterance, digits)
            case do.PlaySound(utterance) | do.SendTones(utterance):
                self.take(on.SpeechFailed(utterance, "sound_refused", "this bridge plays no sounds"))
            case do.CancelSpeech(utterance):
                self._voice.cancel(utterance)
                if self._player is not None:
                    self._player.cancel(utterance)

    def _to_carrier(self, command: do.SendAudio | do.SendMark | do.ClearPlayout | do.LeaveCall, now: float) -> None:
        carrier = self._carrier
        match command:
            case do.SendAudio(_, audio) if carrier is not None:
                carrier.send_audio(audio)
                self._record.agent_audio(self._at_ms(now), audio)
            case do.SendMark(name) if carrier is not None:
                carrier.send_mark(name)
            case do.ClearPlayout() if carrier is not None:
                carrier.clear()
                self._record.agent_cleared(self._at_ms(now))
            case do.LeaveCall():
                self.departure = command
                self._log.info("call_leaving", reason=command.reason, transfer=command.transfer is not None)
                if carrier is not None:
                    carrier.close()
            case _:
                pass  # The stream is lost; the conversation hears of it on its own.

    def _to_record(self, command: do.Record | do.PauseRecording | do.ResumeRecording) -> None:
        match command:
            case do.Record(entry):
                self._record.append(entry)
                if isinstance(entry, CallClosed):
                    self._log = self._log.bind(reason=entry.reason, seconds=round(entry.at_ms / 1000, 1))
            case do.PauseRecording(at_ms):
                self._record.pause_audio(at_ms)
            case do.ResumeRecording(at_ms):
                self._record.resume_audio(at_ms)

    # --- the end -------------------------------------------------------------------------------------------

    def _close(self) -> None:
        if not self._closing:
            self._closing = True
            spawn(self._let_go(), name=f"close-{self.info.id}")

    async def _let_go(self) -> None:
        """Release every peer, and finish the record. One that fails at that does not keep the others."""
        if self._asking is not None:
            self._asking.cancel()
        self._inbox.stop()
        try:
            await attempt(self._recognizer.abort(), call=self.info.id)
            await attempt(self._voice.close(), call=self.info.id)
            if self._player is not None:
                await attempt(self._player.close(), call=self.info.id)
            self.files = await attempt(self._record.close(), call=self.info.id)
            if self._asking is not None:
                await self._asking.told()
        finally:
            if self._carrier is not None:
                self._carrier.close()
            self._inbox.close()
            self._observers = ()
            self.ended.set()
        self._log.info("call_ended", folder=str(self.files.folder) if self.files else None)

    def _at_ms(self, now: float | None = None) -> int:
        """Return the time of the call in milliseconds."""
        moment = self._loop.time() if now is None else now
        return 0 if self._began is None else round((moment - self._began) * 1000)
