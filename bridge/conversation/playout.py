"""The ledger of the agent's speech: what was said, sent, and heard.

Audio goes to the phone far faster than it sounds, so *sent* says nothing about *heard*. Two things do: marks
that come back (the phone has played everything before them) and the clock since then. The ledger always takes
the lower bound of both, so it never believes that a word was heard that was not.

Positions are bytes of the open reply's speech, all its utterances in a row; 8 bytes are 1 ms.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

from bridge.conversation.commands import Command, SendAudio, SendMark
from bridge.conversation.events import Word
from bridge.conversation.policy import Policy

BYTES_PER_SECOND = 8000
_GUESSED_BYTES_PER_CHARACTER = 1000
"""125 ms: slow speech, used until the length of an utterance is known, so that no word counts too early."""
_LONGEST_LAG_S = 3.0
_LONGEST_S = 1800.0
"""Speech of one utterance beyond this is not kept."""
_WORDS_AHEAD = 120
"""How many characters behind the last word the next one is looked for."""


@dataclass(slots=True)
class Utterance:
    """One stretch of speech with one voice."""

    number: int
    interruptible: bool
    text: str = ""
    audio: bytearray = field(default_factory=bytearray)
    finished: bool = False
    failed: bool = False
    """The rest of its audio will never come."""
    words: list[tuple[int, int, int]] = field(default_factory=list)
    """For each word: where it ends in the text (characters), where it starts and ends in the audio (bytes)."""
    heard: int = 0
    """Characters of the text that were heard. Never shrinks."""

    def add_audio(self, audio: bytes) -> None:
        """Add what the service sent, up to the longest that is kept."""
        if len(self.audio) < _LONGEST_S * BYTES_PER_SECOND:
            self.audio += audio

    def add_words(self, words: tuple[Word, ...]) -> None:
        """Tie the service's word times to the text."""
        for word in words:
            if not 0 <= word.start <= word.end < _LONGEST_S:
                continue  # No time at all.
            end = self._end_in_text(word.text.strip())
            self.words.append((end, _to_bytes(word.start), _to_bytes(word.end)))

    def _end_in_text(self, word: str) -> int:
        begin = self.words[-1][0] if self.words else 0
        pattern = rf"(?<!\w){re.escape(word)}(?!\w)" if word else r"\Z\A"
        found = re.compile(pattern).search(self.text, begin, begin + _WORDS_AHEAD)
        if found is None:
            # The service speaks another form than the text has ("twenty" for "20"): it counts with the next word.
            return begin
        end = found.end()
        while end < len(self.text) and not self.text[end].isspace():
            end += 1
        return end

    def characters_at(self, offset: int) -> int:
        """Return how much of the text has sounded, in whole words, when `offset` bytes of the audio have."""
        if self.finished and not self.failed and offset >= len(self.audio):
            return len(self.text)
        if self.words:
            return max((end for end, _, last in self.words if last <= offset), default=0)
        guessed = 0 if self.finished and not self.failed else len(self.text) * _GUESSED_BYTES_PER_CHARACTER
        spoken = max(len(self.audio), guessed)
        at = len(self.text) * offset // spoken if spoken else 0
        while at > 0 and not self.text[at : at + 1].isspace():
            at -= 1
        return at

    def rewind_to(self, offset: int) -> int:
        """Return where the word begins that sounds at `offset`; between words, `offset` itself."""
        for _, start, last in self.words:
            if last > offset:
                return min(start, offset)
        return offset


@dataclass(frozen=True, slots=True)
class _Mark:
    name: str
    position: int
    expected: float
    """When its audio has been played, by the clock."""
    lag: float
    """What was assumed for the way to the phone."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """Audio that went to the phone in one message."""

    begin: int
    end: int
    at: float


class Playout:
    """One reply's speech on its way to the caller's ear."""

    def __init__(self, policy: Policy, epoch: int) -> None:
        self._policy = policy
        self._epoch = epoch
        self._count = 0
        self._utterances: list[Utterance] = []
        self._sent = 0
        self._marked = 0
        self._pending: deque[_Mark] = deque()
        self._messages: deque[_Sent] = deque()
        self._anchor = (0, 0.0)
        self._phone_end = 0.0
        self._cut_at = 0
        self._told = 0
        """Up to here the phone has told that it played."""
        self._lag = policy.latency_s
        self.begun = False
        """Whether any of the reply's speech went to the phone."""
        self.under_runs = 0
        self.lost_marks = 0

    # --- filling -------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Forget the reply's speech; the next reply starts with nothing said."""
        self._utterances = []
        self._sent = self._marked = self._cut_at = self._told = 0
        self.begun = False
        self._anchor = (0, self._anchor[1])
        self._pending.clear()
        self._messages.clear()

    def open(self, number: int, *, interruptible: bool) -> None:
        """Begin an utterance behind the others."""
        self._utterances.append(Utterance(number, interruptible))

    def add_text(self, number: int, text: str) -> None:
        """Add to what an open utterance says."""
        if (utterance := self.find(number)) is not None:
            utterance.text += text

    def find(self, number: int) -> Utterance | None:
        """Return the utterance, or None when it is not of this reply."""
        return next((u for u in self._utterances if u.number == number), None)

    def fail(self, number: int) -> None:
        """Give an utterance up: what has arrived of it is still heard, the utterances behind it are dropped."""
        for index, utterance in enumerate(self._utterances):
            if utterance.number == number:
                utterance.finished = utterance.failed = True
                del self._utterances[index + 1 :]

    @property
    def unfinished(self) -> list[int]:
        """Numbers of the utterances whose audio has not all arrived."""
        return [u.number for u in self._utterances if not u.finished]

    @property
    def text(self) -> str:
        """All that was to be said so far."""
        return "".join(u.text for u in self._utterances)

    # --- sending -------------------------------------------------------------------------------------------

    def pump(self, now: float) -> list[Command]:
        """Return what may go to the phone now: audio up to the lead, and a mark behind every segment."""
        commands: list[Command] = []
        segment = _to_bytes(self._policy.segment_s)
        begin = 0
        for utterance in self._utterances:
            end = begin + len(utterance.audio)
            while self._sent < end and self._phone_end - now < self._policy.lead_s:
                take = min(end - self._sent, segment - (self._sent - self._marked))
                offset = self._sent - begin
                commands.append(SendAudio(utterance.number, bytes(utterance.audio[offset : offset + take])))
                self._sending(take, now, within=offset > 0)
                if self._sent - self._marked >= segment:
                    commands.append(self._mark())
            if self._sent < end or not utterance.finished:
                break
            if self._sent > self._marked and self._sent == end:
                commands.append(self._mark())
            begin = end
        return commands

    def _sending(self, size: int, now: float, *, within: bool) -> None:
        """Account for audio that goes to the phone now."""
        self.begun = True
        arrives = now + self._lag
        if self._phone_end <= now and within and self._sent > self._cut_at:
            self.under_runs += 1
        self._messages.append(_Sent(self._sent, self._sent + size, now))
        self._phone_end = max(self._phone_end, arrives) + size / BYTES_PER_SECOND
        self._sent += size

    def _mark(self) -> SendMark:
        self._count += 1
        mark = _Mark(f"{self._epoch}.{self._count}", self._sent, self._phone_end, self._lag)
        self._pending.append(mark)
        self._marked = self._sent
        return SendMark(mark.name)

    # --- hearing -------------------------------------------------------------------------------------------

    def mark_returned(self, name: str, now: float) -> bool:
        """Take a mark back. False: it is none of those we wait for (unknown, twice, or dropped by a clear)."""
        if all(mark.name != name for mark in self._pending):
            return False
        while (mark := self._pending.popleft()).name != name:
            self.lost_marks += 1  # Marks come back in order: this one was overtaken, so it never will.
        self._told = mark.position
        # How late it is against the clock is what the way to the phone and back takes: at most that is forgiven.
        late = now - (mark.expected - mark.lag)
        self._lag = min(max(late, self._policy.latency_s), _LONGEST_LAG_S)
        self._know(mark.position, now)
        return True

    def _know(self, position: int, now: float) -> None:
        """From `now` on it is certain that everything before `position` has sounded."""
        self._anchor = (position, now)
        while self._messages and self._messages[0].end <= position:
            self._messages.popleft()

    def _position(self, now: float) -> int:
        """Return how far the speech has sounded for certain."""
        while self._pending and self._pending[0].expected + self._policy.mark_grace_s <= now:
            self.lost_marks += 1
            self._know(self._pending.popleft().position, now)
        return min(self._clock(now)[0], self._pending[0].position if self._pending else self._sent)

    def _clock(self, now: float) -> tuple[int, float]:
        """Return how far the speech has sounded by the clock, and when all that was sent will have.

        Counted from the last that is known, and so that nothing sounds sooner after it was sent than the assumed
        latency allows: speech that arrives more slowly than it sounds leaves gaps.
        """
        position, free = self._anchor
        for message in self._messages:
            begin = max(message.begin, self._anchor[0])
            starts = max(free, message.at + self._lag)
            free = starts + (message.end - begin) / BYTES_PER_SECOND
            if now > starts and position >= begin:
                position = min(message.end, begin + _to_bytes(now - starts))
        return position, free

    def listen(self, now: float) -> None:
        """Bring what was heard up to date."""
        position = self._position(now)
        begin = 0
        for utterance in self._utterances:
            if position <= begin and len(utterance.audio) > 0:
                break
            utterance.heard = max(utterance.heard, utterance.characters_at(position - begin))
            if not utterance.finished:
                break
            begin += len(utterance.audio)

    def heard_and_rest(self, now: float) -> tuple[str, str]:
        """Return what was heard and what was not; the two joined are all that was to be said."""
        self.listen(now)
        heard = 0
        for utterance in self._utterances:
            heard += utterance.heard
            if utterance.heard < len(utterance.text):
                break
        text = self.text
        return text[:heard], text[heard:]

    def cut(self, now: float, *, told: bool = False) -> bool:
        """Take back what has not sounded, because the phone is told to drop it.

        Sending starts again from the first word that was not heard; with `told`, from the first of which the phone
        did not tell that it was. Returns whether the phone may hold anything at all that has not sounded.
        """
        if not told:
            self.listen(now)
        position = self._told if told else self._position(now)
        held = position < self._sent
        begin = 0
        for utterance in self._utterances:
            end = begin + len(utterance.audio)
            if position <= end:
                position = begin + utterance.rewind_to(position - begin)
                break
            begin = end
        self._pending.clear()
        self._messages.clear()
        self._sent = self._marked = self._cut_at = position
        self._anchor = (position, now)
        self._phone_end = now
        return held

    # --- asking --------------------------------------------------------------------------------------------

    def sounding(self, now: float) -> bool:
        """Tell whether something sent may not have sounded yet."""
        return self._position(now) < self._sent

    def guarded(self, now: float) -> bool:
        """Tell whether the speech that sounds now, or comes next, must not be cut."""
        position = self._position(now)
        begin = 0
        for utterance in self._utterances:
            begin += len(utterance.audio)
            if position < begin or not utterance.finished:
                return not utterance.interruptible
        return False

    def heard_out(self, now: float) -> bool:
        """Tell whether everything that was to be said has been heard."""
        total = sum(len(u.audio) for u in self._utterances)
        return all(u.finished for u in self._utterances) and self._position(now) >= total

    def wake(self, now: float, *, sending: bool) -> float | None:
        """Return when the clock alone will change something: more must be sent, or a mark counts as lost."""
        moments: list[float] = []
        available = self._available()
        if sending and self._sent < available:
            refill = min(self._policy.segment_s, self._policy.lead_s / 4)
            moments.append(self._phone_end - self._policy.lead_s + refill)
        if self._pending:
            moments.append(self._pending[0].expected + self._policy.mark_grace_s)
        elif self._position(now) < self._sent:
            moments.append(self._clock(now)[1])
        return min(moments, default=None)

    def _available(self) -> int:
        """Return how much audio could be sent: everything up to the first utterance that is still arriving."""
        available = 0
        for utterance in self._utterances:
            available += len(utterance.audio)
            if not utterance.finished:
                break
        return available


def _to_bytes(seconds: float) -> int:
    return round(seconds * BYTES_PER_SECOND)
