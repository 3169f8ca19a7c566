"""The ledger of the agent's speech: what was said, sent, and heard.

Audio goes to the phone far faster than it sounds, so *sent* says nothing about *heard*. Two things do: marks
that come back (the phone has played everything before them) and the clock since then. The ledger always takes
the lower bound of both, so it never believes that a word was heard that was not.

Positions are bytes of the open reply's speech, all its utterances in a row; 8 bytes are 1 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.conversation.commands import Command, SendAudio, SendMark
from bridge.conversation.policy import Policy
from bridge.conversation.utterance import BYTES_PER_SECOND, Utterance, to_bytes

_LONGEST_LAG_S = 3.0
_DEAF = 4
"""After so many lost marks without one that came back, the phone is taken for one that returns none."""
_DEAF_GRACE_S = 0.1
_LATE_S = 0.08
"""Marks that come later by more than this, and stay so, tell that the phone ran dry; less may be jitter."""


@dataclass(frozen=True, slots=True)
class _Mark:
    name: str
    position: int
    ends: float
    """When its audio would have been played, were the way to the phone and back no time."""
    lag: float
    """What was assumed for the way."""

    @property
    def expected(self) -> float:
        """When it should be back."""
        return self.ends + self.lag


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
        self._pending: list[_Mark] = []
        self._messages: list[_Sent] = []
        self._anchor = (0, 0.0)
        self._ends = 0.0
        """When the phone would have played everything sent, were the way to it no time."""
        self._cut_at = 0
        self._told = 0
        """Up to here the phone has told that it played."""
        self._lag = policy.latency_s
        self._usual: float | None = None
        """How late marks came in this run of speech, at the least."""
        self._later: float | None = None
        """How late the last mark was, if that was later than usual."""
        self._returned = 0
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

    def open(self, number: int, *, words_needed: int | None, keys: bool = True, preemptible: bool = False) -> None:
        """Begin an utterance behind the others."""
        self._utterances.append(Utterance(number, words_needed, keys, preemptible))

    def go_on(self, failed: int, number: int) -> str | None:
        """The rest of utterance `failed` will not come: make `number` a new one behind what did come of it.

        Returns the text that the new one is to speak, so that no word is lost and none that was sent is repeated,
        or None if that cannot be told; then nothing has changed.
        """
        begin = 0
        for index, utterance in enumerate(self._utterances):
            if utterance.number == failed:
                rest = utterance.split(max(0, self._sent - begin))
                if rest is not None:
                    rules = (utterance.words_needed, utterance.keys, utterance.preemptible)
                    self._utterances.insert(index + 1, Utterance(number, *rules, rest))
                return rest
            begin += len(utterance.audio)
        return None

    def add_text(self, number: int, text: str) -> None:
        """Add to what an open utterance says."""
        if (utterance := self.find(number)) is not None:
            utterance.text += text

    def find(self, number: int) -> Utterance | None:
        """Return the utterance, or None when it is not of this reply."""
        for utterance in self._utterances:
            if utterance.number == number:
                return utterance
        return None

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
    def waiting(self) -> bool:
        """Tell whether there are such utterances."""
        utterances = self._utterances
        if utterances and not utterances[-1].finished:
            return True
        return not all(utterance.finished for utterance in utterances)

    @property
    def text(self) -> str:
        """All that was to be said so far."""
        return "".join(u.text for u in self._utterances)

    # --- sending -------------------------------------------------------------------------------------------

    def pump(self, now: float) -> list[Command]:
        """Return what may go to the phone now: audio up to the lead, and a mark behind every segment."""
        commands: list[Command] = []
        segment = to_bytes(self._policy.segment_s)
        begin = 0
        for utterance in self._utterances:
            end = begin + len(utterance.audio)
            while self._sent < end and self._ends - now < self._policy.lead_s:
                take = min(end - self._sent, segment - (self._sent - self._marked))
                offset = self._sent - begin
                commands.append(SendAudio(utterance.number, utterance.audio.read(offset, take)))
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
        if self._ends <= now:
            self._usual = self._later = None
            self.under_runs += within and self._sent > self._cut_at
        self._messages.append(_Sent(self._sent, self._sent + size, now))
        self._ends = max(self._ends, now) + size / BYTES_PER_SECOND
        self._sent += size

    def _mark(self) -> SendMark:
        self._count += 1
        mark = _Mark(f"{self._epoch}.{self._count}", self._sent, self._ends, self._lag)
        self._pending.append(mark)
        self._marked = self._sent
        return SendMark(mark.name)

    # --- hearing -------------------------------------------------------------------------------------------

    def mark_returned(self, name: str, now: float) -> bool:
        """Take a mark back. False: it is none of those we wait for (unknown, twice, or dropped by a clear)."""
        if all(mark.name != name for mark in self._pending):
            return False
        while (mark := self._pending.pop(0)).name != name:
            self.lost_marks += 1  # Marks come back in order: this one was overtaken, so it never will.
        self._told = mark.position
        self._let_go()
        self._returned += 1
        # How late it is against the clock is what the way to the phone and back takes: at most that is forgiven.
        late = now - mark.ends
        self._lag = min(max(late, self._policy.latency_s), _LONGEST_LAG_S)
        self._notice_gap(late)
        self._know(mark.position, now)
        return True

    def _let_go(self) -> None:
        """Let the audio go that has sounded for certain."""
        begin = 0
        for utterance in self._utterances:
            if self._told <= begin:
                break
            utterance.let_go(self._told - begin)
            begin += len(utterance.audio)

    def let_go_all(self) -> None:
        """Let all audio go: the reply is over, and nothing of it is sent any more."""
        for utterance in self._utterances:
            utterance.audio.let_go(len(utterance.audio))

    def _notice_gap(self, late: float) -> None:
        """Count it when the phone ran dry on its own side: from then on every mark comes later than before."""
        if self._usual is None or late <= self._usual + _LATE_S:
            self._usual = late if self._usual is None else min(late, self._usual)
            self._later = None
        elif self._later is None or late < self._later - _LATE_S:
            self._later = late  # Marks that a stall held up come in a row, each less late than the one before.
        else:
            self.under_runs += 1
            self._usual, self._later = min(late, self._later), None

    def _know(self, position: int, now: float) -> None:
        """From `now` on it is certain that everything before `position` has sounded."""
        self._anchor = (position, now)
        while self._messages and self._messages[0].end <= position:
            self._messages.pop(0)

    @property
    def _grace(self) -> float:
        """How late a mark is taken as lost. Of a phone that returned none of several, none is waited for."""
        deaf = self._returned == 0 and self.lost_marks >= _DEAF
        return min(_DEAF_GRACE_S, self._policy.mark_grace_s) if deaf else self._policy.mark_grace_s

    def give_up_marks(self, now: float) -> None:
        """Take marks that are too late for lost, and their audio for heard."""
        if not self._pending or now < self._pending[0].expected:
            return
        while self._pending and self._pending[0].expected + self._grace <= now:
            self.lost_marks += 1
            self._know(self._pending.pop(0).position, now)

    def _position(self, now: float) -> int:
        """Return how far the speech has sounded for certain."""
        self.give_up_marks(now)
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
                position = min(message.end, begin + to_bytes(now - starts))
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
                position = begin + max(utterance.rewind_to(position - begin), utterance.audio.begin)
                break
            begin = end
        self._pending.clear()
        self._messages.clear()
        self._sent = self._marked = self._cut_at = position
        self._anchor = (position, now)
        self._ends = now
        return held

    # --- asking --------------------------------------------------------------------------------------------

    def sounding(self, now: float) -> bool:
        """Tell whether something sent may not have sounded yet."""
        return self._position(now) < self._sent

    def words_needed(self, now: float, default: int | None) -> int | None:
        """Return how many words of the caller cut the speech that sounds now, or comes next; None: it is not cut.

        `default` is the answer when there is no such speech.
        """
        left = self._left(now)
        return left[0].words_needed if left else default

    def keys_cut(self, now: float) -> bool:
        """Tell whether a key of the caller cuts the speech that sounds now, or comes next, if there is any."""
        left = self._left(now)
        return not left or left[0].keys

    def preemptible(self, now: float) -> bool:
        """Tell whether there is speech that has not sounded yet, and all of it may be replaced."""
        left = self._left(now)
        return bool(left) and all(utterance.preemptible for utterance in left)

    def _left(self, now: float) -> list[Utterance]:
        """Return the utterances that have not sounded to their end, the one that sounds now first."""
        position = self._position(now)
        begin = 0
        for index, utterance in enumerate(self._utterances):
            begin += len(utterance.audio)
            if position < begin or not utterance.finished:
                return self._utterances[index:]
        return []

    def give_up(self, number: int) -> None:
        """The rest of a sound will not come: what follows it is said all the same."""
        if (utterance := self.find(number)) is not None:
            utterance.finished = True

    def protected_rest(self, now: float) -> str:
        """Return the text of protected utterances of which nothing has sounded."""
        position = self._position(now)
        texts: list[str] = []
        begin = 0
        for utterance in self._utterances:
            if utterance.words_needed is None and position <= begin:
                texts.append(utterance.text)
            begin += len(utterance.audio)
        return "".join(texts)

    def heard_before(self, now: float, seconds: float) -> int:
        """Return how many characters had been heard `seconds` ago, had the speech run without a break."""
        position = max(0, self._position(now) - to_bytes(seconds))
        heard = begin = 0
        for utterance in self._utterances:
            heard += utterance.characters_at(position - begin) if position > begin else 0
            begin += len(utterance.audio)
        return heard

    def heard_out(self, now: float) -> bool:
        """Tell whether everything that was to be said has been heard."""
        return not self.waiting and self._position(now) >= sum(len(u.audio) for u in self._utterances)

    def wake(self, now: float, *, sending: bool) -> float | None:
        """Return when the clock alone will change something: more must be sent, or a mark counts as lost."""
        moment: float | None = None
        if self._pending:
            moment = self._pending[0].expected + self._grace
        elif self._position(now) < self._sent:
            moment = self._clock(now)[1]
        if sending and self._sent < self._available():
            refill = self._ends - self._policy.lead_s + min(self._policy.segment_s, self._policy.lead_s / 4)
            moment = refill if moment is None else min(moment, refill)
        return moment

    def _available(self) -> int:
        """Return how much audio could be sent: everything up to the first utterance that is still arriving."""
        available = 0
        for utterance in self._utterances:
            available += len(utterance.audio)
            if not utterance.finished:
                break
        return available
