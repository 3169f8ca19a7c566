"""What has sounded of the agent's speech, for showing it as it sounds. Pure.

The phone of a simulated call stands beside the bridge, so audio sounds as soon as what was sent before it has. (The
call itself goes by marks, because a real phone is far away: what it records as heard may be a word less.)
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.utterance import BYTES_PER_SECOND, Utterance


@dataclass(slots=True)
class _Stretch:
    """Audio that plays in one go."""

    utterance: int
    offset: int
    """Where in the utterance it begins, bytes."""
    size: int
    starts: float
    """When it begins to sound."""


class HeardSpeech:
    """Follows the speech of one call, from the events and commands of its conversation. Times are in seconds."""

    def __init__(self) -> None:
        self._utterances: dict[int, Utterance] = {}
        self._stretches: list[_Stretch] = []
        self._ends = 0.0
        self._sent_to: dict[int, int] = {}
        self._sound: dict[int, bytes] = {}

    def happened(self, event: on.Event) -> None:
        """Take what happened."""
        match event:
            case on.SpeechArrived(number, audio) if number in self._utterances:
                self._utterances[number].audio.add(audio)
                self._sound[number] = self._sound.get(number, b"") + audio
            case on.WordsTimed(number, words) if number in self._utterances:
                self._utterances[number].add_words(words)
            case on.SpeechFinished(number) if number in self._utterances:
                self._utterances[number].finished = True
            case _:
                pass

    def done(self, now: float, command: do.Command) -> None:
        """Take what was done about it."""
        match command:
            case do.Synthesize(number, text):
                self._utterances.setdefault(number, Utterance(number, words_needed=1)).text += text
            case do.CancelSpeech(number) if number not in self._sent_to:
                self._utterances.pop(number, None)
            case do.SendAudio(number, audio) if number in self._utterances:
                self._send(now, number, audio)
            case do.ClearPlayout():
                self._cut(now)
            case do.Record(journal.AgentSpoke()):
                self._utterances.clear()
                self._stretches.clear()
                self._sent_to.clear()
                self._sound.clear()
            case _:
                pass

    def heard(self, now: float) -> str:
        """The text that has sounded of the present reply."""
        reached: dict[int, int] = {}
        for stretch in self._stretches:
            if stretch.starts < now:
                played = min(stretch.size, round((now - stretch.starts) * BYTES_PER_SECOND))
                reached[stretch.utterance] = max(reached.get(stretch.utterance, 0), stretch.offset + played)
        text = ""
        for number, utterance in self._utterances.items():
            characters = utterance.characters_at(reached[number]) if number in reached else 0
            text += utterance.text[:characters]
            if characters < len(utterance.text):
                break
        return text

    def sounding(self, now: float) -> bool:
        """Whether something plays now."""
        return any(stretch.starts <= now for stretch in self._stretches) and now < self._ends

    def _send(self, now: float, number: int, audio: bytes) -> None:
        whole, offset = self._sound.get(number, b""), self._sent_to.get(number, 0)
        if whole[offset : offset + len(audio)] != audio:
            # After an interruption speech goes on at the beginning of a word that had not been heard.
            offset = max(0, whole.find(audio))
        self._sent_to[number] = offset + len(audio)
        starts = max(now, self._ends)
        self._stretches.append(_Stretch(number, offset, len(audio), starts))
        self._ends = starts + len(audio) / BYTES_PER_SECOND

    def _cut(self, now: float) -> None:
        """What has not sounded by `now` never will."""
        for stretch in self._stretches:
            stretch.size = max(0, min(stretch.size, round((now - stretch.starts) * BYTES_PER_SECOND)))
        self._stretches = [stretch for stretch in self._stretches if stretch.size]
        self._ends = now
