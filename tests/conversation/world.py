"""A small world around a conversation: an agent, a speech service, a caller, and an independent phone.

Everything happens in virtual time. The phone is the simulator's, which knows nothing of the conversation: it
alone says what the caller heard. Each word is spoken with a byte of its own, so what sounded can be read back.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import Any

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import Action, Say
from bridge.conversation.machine import Conversation
from bridge.conversation.policy import Policy
from bridge.simulator.phone import Phone, PhoneTraits


@dataclass(frozen=True)
class Passing:
    """What the carrier tells of a transfer, and when. Times in seconds from when it was wanted."""

    status: str = "no-answer"
    """`accepted`: of a warm one, that the other side takes the call; empty: nothing, the callback is lost."""
    after: float = 1.0
    doubled: bool = False
    stream_ends: float | None = 0.05
    """When the stream that is left is seen to end; None: never."""
    broken: bool = False
    """It breaks, and does not stop."""


@dataclass(frozen=True)
class Habits:
    """How the peers of this world behave. Times in seconds."""

    answers: tuple[tuple[Action, ...], ...] = ()
    """What the agent answers, question by question; then it has nothing to say."""
    answer_delay: float = 0.2
    piece_delay: float = 0.05
    failing_answers: frozenset[int] = frozenset()
    """Numbers of questions (from 0) that the agent fails to answer."""
    silent_answers: frozenset[int] = frozenset()
    """Numbers of questions to which no answer ever comes."""
    speech_delay: float = 0.1
    chunk: float = 0.4
    """Length of audio in one message of the speech service."""
    chunk_delay: float = 0.02
    word_times: bool = True
    failing_speech: frozenset[int] = frozenset()
    """Numbers of utterances that fail before any audio."""
    lost_speech: frozenset[int] = frozenset()
    """Numbers of utterances whose connection is lost when half of their first piece has come."""
    consulted: tuple[Passing, ...] = (Passing("accepted", 2.0), Passing("declined", 2.0), Passing("busy", 2.0))
    """What becomes of warm transfers, one after the other, and again from the first."""
    dialled: tuple[Passing, ...] = (Passing("no-answer"), Passing("completed"))
    """What becomes of the others, and of the caller in a conference."""


@dataclass
class SpokenWord:
    """A word the speech service was asked to speak."""

    utterance: int
    text: str
    code: int
    """The byte that is its sound."""
    size: int
    """Bytes of audio."""


@dataclass
class World:
    """Runs a call; afterwards tells what was said, what sounded and what was kept."""

    habits: Habits
    policy: Policy
    traits: PhoneTraits
    now: float = 50.0
    steps: list[tuple[float, on.Event, list[do.Command]]] = field(default_factory=list)
    words: list[SpokenWord] = field(default_factory=list)
    said: dict[int, str] = field(default_factory=dict)
    """For each reply, all text that the agent gave to it."""
    sounded_at_close: dict[int, bytes] = field(default_factory=dict)
    """For each closed reply, everything that had sounded when it was recorded."""

    def __post_init__(self) -> None:
        self.conversation = Conversation(self.policy)
        self.phone = Phone(self.traits)
        self._due: list[tuple[float, int, on.Event, int | None]] = []
        self._order = itertools.count()
        self._questions = itertools.count()
        self._cancelled_replies: set[int] = set()
        self._cancelled_speech: set[int] = set()
        self._codes = itertools.cycle(range(1, 250))
        self._pending_text: dict[int, float] = {}
        self.left = False
        self.uninterruptible: set[int] = set()
        self._reply_style: dict[int, bool] = {}
        self._consulted = itertools.cycle(self.habits.consulted)
        self._dialled = itertools.cycle(self.habits.dialled)
        self._asked = 0
        self._asked_last = 0
        self._broken_off: dict[int, list[SpokenWord]] = {}
        self._lost: set[int] = set()
        self.filled: set[int] = set()
        """Replies whose slowness was covered."""
        self.order: list[int] = []
        """Utterances in the order in which they are to sound."""

    # --- running -------------------------------------------------------------------------------------------

    def happen(self, event: on.Event, *, after: float = 0.0) -> None:
        """Let an event come `after` seconds from now."""
        heapq.heappush(self._due, (self.now + after, next(self._order), event, None))

    def run_until(self, moment: float) -> None:
        """Let time pass to `moment`, with everything that happens on the way."""
        for _ in range(200_000):
            deadline = self.conversation.deadline
            candidates = [
                c for c in (deadline, self.phone.due_s, self._due[0][0] if self._due else None) if c is not None
            ]
            first = min(candidates, default=moment + 1)
            if first > moment:
                break
            self.now = max(self.now, first)
            self._advance(deadline)
        else:
            raise AssertionError("the world does not come to rest")
        self.now = max(self.now, moment)
        self._marks()

    def _advance(self, deadline: float | None) -> None:
        self._marks()
        if self._due and self._due[0][0] <= self.now:
            self._give(heapq.heappop(self._due)[2])
        elif deadline is not None and deadline <= self.now:
            produced = self._give(on.DeadlineReached())
            later = self.conversation.deadline
            assert produced or later is None or later > self.now, (
                "the same deadline comes again and leads to nothing"
            )

    def _marks(self) -> None:
        for mark in self.phone.advance(self.now):
            self._give(on.MarkReturned(mark.name))
            self._give(on.MarkReturned(mark.name))  # Every mark comes twice: the second must mean nothing.

    def _give(self, event: on.Event) -> list[do.Command]:
        if self._unwanted(event):
            return []
        if isinstance(event, on.SpeechFailed):
            self._lost.add(event.utterance)
        commands = self.conversation.handle(event, self.now)
        self.steps.append((self.now, event, commands))
        for command in commands:
            if isinstance(command, do.Synthesize) and command.utterance not in self.order:
                behind = len(self.order)
                if (failed := self._goes_on(command.text)) is not None:
                    behind = self.order.index(failed) + 1
                    self._asked_again(failed, command.text)
                self.order.insert(behind, command.utterance)
            self._do(command)
        return commands

    def _unwanted(self, event: on.Event) -> bool:
        """Peers that were told to stop do stop, most of the time: late pieces are let through on purpose."""
        if isinstance(event, on.AgentActed | on.AgentFinished | on.AgentFailed):
            return event.reply in self._cancelled_replies and event.reply % 2 == 0
        if isinstance(event, on.SpeechArrived | on.SpeechFinished | on.WordsTimed | on.SpeechFailed):
            return event.utterance in self._cancelled_speech and event.utterance % 2 == 0
        return False

    # --- the peers -----------------------------------------------------------------------------------------

    def _do(self, command: do.Command) -> None:
        match command:
            case do.SendAudio(_, audio):
                self.phone.media(self.now, audio)
            case do.SendMark(name):
                self.phone.mark(self.now, name)
            case do.ClearPlayout():
                self.phone.clear(self.now)
            case do.AskAgent():
                self._asked_last = command.reply
                self._answer(command)
            case do.CancelReply(reply):
                self._cancelled_replies.add(reply)
            case do.Synthesize():
                self._speak(command)
            case do.CancelSpeech(utterance):
                self._cancelled_speech.add(utterance)
            case _:
                self._end_or_keep(command)

    def _end_or_keep(self, command: do.Command) -> None:
        match command:
            case do.LeaveCall():
                self._leave(command)
            case do.OpenRecognizer():
                self.happen(on.RecognizerConnected(), after=0.1)
            case do.CallOther():
                self._call_other(next(self._consulted))
            case do.PlaySound(utterance) | do.SendTones(utterance):
                self.happen(on.SpeechArrived(utterance, b"\xfa" * 4000), after=0.1)
                self.happen(on.SpeechFinished(utterance), after=0.1)
            case do.FinishRecognizer():
                self.happen(on.RecognizerClosed(), after=0.3)
            case do.Record(journal.AgentSpoke() as spoke):
                self.sounded_at_close[spoke.reply] = b"".join(s.audio for s in self.phone.heard(self.now))
            case _:
                pass

    def _leave(self, leave: do.LeaveCall) -> None:
        """Be the carrier: close the stream, and dial, or press keys, where that was asked for."""
        self.left = not leave.for_a_while
        how = next(self._dialled) if leave.for_a_while else Passing()
        if how.stream_ends is not None:
            ended = on.StreamLost() if how.broken else on.StreamStopped("agent")
            self.happen(ended, after=how.stream_ends)
        if leave.transfer is not None and how.status:
            self.left = how.status == "completed"
            for _ in range(1 + how.doubled):
                self.happen(on.TransferEnded(how.status, 7 * self.left), after=how.after)
        if not self.left and (how.status or leave.digits):
            self.happen(on.StreamStarted(), after=how.after + 0.5)

    def _call_other(self, how: Passing) -> None:
        """Be the carrier, and who is called."""
        event = on.OtherAccepted("room") if how.status == "accepted" else on.TransferEnded(how.status)
        for _ in range((1 + how.doubled) if how.status else 0):
            self.happen(event, after=how.after)

    def _answer(self, ask: do.AskAgent) -> None:
        number = next(self._questions)
        if number in self.habits.silent_answers:
            return
        moment = self.habits.answer_delay
        if number in self.habits.failing_answers:
            self.happen(on.AgentFailed(ask.reply, "agent_status", "500"), after=moment)
            return
        index = self._asked
        self._asked += 1
        for action in self.habits.answers[index] if index < len(self.habits.answers) else ():
            self.happen(on.AgentActed(ask.reply, action), after=moment)
            if isinstance(action, Say):
                self.said[ask.reply] = self.said.get(ask.reply, "") + action.text
            moment += self.habits.piece_delay
        self.happen(on.AgentFinished(ask.reply), after=moment)

    def _speak(self, piece: do.Synthesize) -> None:
        habits = self.habits
        if piece.text and piece.text == self.policy.filler:
            self.filled.add(self._asked_last)
        if piece.utterance in self._broken_off:
            return
        start = max(self._pending_text.get(piece.utterance, 0.0), self.now + habits.speech_delay)
        if piece.utterance in habits.failing_speech:
            self.happen(on.SpeechFailed(piece.utterance, "speech_server", "500"), after=start - self.now)
            return
        audio = bytearray()
        offset = sum(word.size for word in self.words if word.utterance == piece.utterance)
        timed = []
        for text in piece.text.split():
            word = SpokenWord(piece.utterance, text, next(self._codes), 800 + 240 * len(text))
            begin = (offset + len(audio)) / 8000
            timed.append(on.Word(text, begin, begin + word.size / 8000))
            self.words.append(word)
            audio += bytes([word.code]) * word.size
        if piece.utterance in habits.lost_speech:
            self._break_off(piece.utterance, bytes(audio), timed, start)
            return
        size = round(habits.chunk * 8000)
        moment = start
        if habits.word_times and timed:
            self.happen(on.WordsTimed(piece.utterance, tuple(timed)), after=moment - self.now)
        for begin_byte in range(0, len(audio), size):
            chunk = bytes(audio[begin_byte : begin_byte + size])
            self.happen(on.SpeechArrived(piece.utterance, chunk), after=moment - self.now)
            moment += habits.chunk_delay
        if not piece.more:
            self.happen(on.SpeechFinished(piece.utterance), after=moment - self.now)
        self._pending_text[piece.utterance] = moment

    def _break_off(self, utterance: int, audio: bytes, timed: list[on.Word], moment: float) -> None:
        """Let half of the audio come, and then nothing any more."""
        self._broken_off[utterance] = [word for word in self.words if word.utterance == utterance]
        half = audio[: len(audio) // 2]
        ends = dict(zip((word.code for word in self.words if word.utterance == utterance), timed, strict=True))
        self.words = [w for w in self.words if w.utterance != utterance or ends[w.code].end * 8000 <= len(half)]
        after = moment - self.now
        if self.habits.word_times:
            self.happen(on.WordsTimed(utterance, tuple(timed)), after=after)
        self.happen(on.SpeechArrived(utterance, half), after=after)
        lost = on.SpeechFailed(utterance, "speech_unreachable", "lost", final=False)
        self.happen(lost, after=after + self.habits.chunk_delay)

    def _goes_on(self, text: str) -> int | None:
        """Return the broken utterance whose end this text is, if it is one."""
        asked = text.split()
        for utterance, words in self._broken_off.items():
            if utterance in self._lost and asked and [word.text for word in words][-len(asked) :] == asked:
                return utterance
        return None

    def _asked_again(self, utterance: int, text: str) -> None:
        """The end of a broken utterance is asked for again: its words are those of the new one from here on."""
        words = self._broken_off.pop(utterance, [])
        asked_again = len(text.split())
        self.words = [word for word in self.words if word.utterance != utterance]
        self.words += words[: len(words) - asked_again]

    # --- what there is to judge ----------------------------------------------------------------------------

    def kept(self, kind: type[Any]) -> list[Any]:
        """Return the journal's entries of one kind."""
        return [
            c.entry for _, _, cs in self.steps for c in cs if isinstance(c, do.Record) and isinstance(c.entry, kind)
        ]

    def entries(self) -> list[journal.Entry]:
        """Return the whole journal."""
        return [c.entry for _, _, cs in self.steps for c in cs if isinstance(c, do.Record)]

    def fully_sounded(self, sounded: bytes) -> set[int]:
        """Return the codes of the words that sounded from beginning to end without a break."""
        whole = set()
        sizes = {word.code: word.size for word in self.words}
        for code, run in itertools.groupby(sounded):
            if sum(1 for _ in run) >= sizes.get(code, 10**9):
                whole.add(code)
        return whole
