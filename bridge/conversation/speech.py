"""The agent's side of the talk: the open reply, its utterances, and the ledger of what was heard of them."""

from __future__ import annotations

import msgspec

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.actions import Action, Note, Play, Remember, Say, SendDigits, Set, keys_cut, words_needed
from bridge.conversation.playout import Playout
from bridge.conversation.policy import Policy
from bridge.conversation.reply import Reply, Style
from bridge.conversation.utterance import Utterance

_NEW_STARTS_AFTER_S = (0.2, 0.5, 1.0)
"""How long to wait before the rest of a reply's speech is asked for again, the first time, the second …"""
_WAIT_AFTER_FAILURE_S = 4.0
"""How long speech may be waited for when the last has failed: what is kept comes at once."""


class Speech:
    """Turns the pieces of one reply at a time into utterances, and keeps their playout.

    Commands are appended to `out`, which the conversation empties.
    """

    def __init__(self, policy: Policy, epoch: int, out: list[do.Command]) -> None:
        self._policy = policy
        self._out = out
        self._replies = 0
        self._utterances = 0
        self._styles: dict[int, Style] = {}
        self._held: list[do.Synthesize] = []
        self.held_until: float | None = None
        """When speech is asked for that waits, because the connection to the service was just lost."""
        self._stalled = False
        """What waits there is asked for again because nothing came of it in time."""
        self.playout = Playout(policy, epoch)
        self.reply: Reply | None = None
        self.failures = 0
        """Replies in a row whose speech did not come."""
        self.voice: str | None = None
        """The voice of what names none, as the agent has set it."""
        self.language: str | None = None

    def count_from(self, replies: int) -> None:
        """Go on with the numbers of another, who has given out so many."""
        self._replies = max(self._replies, replies)

    def next_reply(self) -> int:
        """Return the number of the next question to the agent."""
        self._replies += 1
        return self._replies

    def open(self, occasion: str, turn: int, transcript: str, now: float, *, speculative: bool = False) -> Reply:
        """Open a reply. There must be no other."""
        self.playout.reset()
        self._styles.clear()
        self._held.clear()
        self.held_until = None
        self.reply = Reply(
            self.next_reply(),
            occasion,
            turn,
            transcript,
            now,
            speculative,
            voice=self.voice,
            language=self.language,
        )
        return self.reply

    def release(self, reply: Reply, now: float) -> None:
        """The reply's turn ended as it was foreseen: it may be heard."""
        reply.speculative, reply.certain_at = False, now

    # --- pieces --------------------------------------------------------------------------------------------

    def act(self, reply: Reply, action: Action, now: float) -> None:
        """Take a piece of the answer."""
        match action:
            case Say():
                self.say(reply, action, now)
            case Play(source, loop):
                number = self._sound(reply, self._style_of(action), now)
                self._out.append(do.PlaySound(number, source, loop))
            case SendDigits(digits, by_carrier) if not by_carrier:
                # Half a key is another key, or none: tones are not cut.
                self._out.append(do.SendTones(self._sound(reply, style_of("never"), now), digits))
            case Note():
                reply.notes.append(action)
            case Remember(state, at_once):
                reply.remembers, reply.remembers_now = state, state if at_once else reply.remembers_now
            case Set(voice, language):
                reply.voice, reply.language = voice or reply.voice, language or reply.language
                reply.changes.append(action)
            case _:
                self.finish_utterance(reply, now)
                if reply.taken_up:
                    reply.taken_up = False
                    reply.actions.clear()
                reply.actions.append(action)

    def say(self, reply: Reply, say: Say, now: float) -> None:
        """Speak whole sentences of what was said so far; the rest waits for more."""
        room = self._policy.longest_reply - len(reply.text)
        if room <= 0:
            return
        if len(say.text) > room:
            say = msgspec.structs.replace(say, text=say.text[:room])
        style = self._style_of(say, say.voice or reply.voice, say.language or reply.language)
        if style != reply.style:
            self.finish_utterance(reply, now)
            reply.style = style
        reply.text += say.text
        reply.waiting += say.text
        self._synthesize(reply, reply.take_text(everything=not self._policy.whole_sentences), now, more=True)

    def _style_of(self, action: Say | Play, voice: str | None = None, language: str | None = None) -> Style:
        rule = (action.barge_in or self._policy.barge_in) if action.interruptible else "never"
        return style_of(rule, voice, language, preemptible=action.preemptible)

    def say_whole(self, reply: Reply, text: str, now: float, *, barge_in: str = "") -> None:
        """Speak a text of our own as one utterance, in one piece: the speech service may know it by heart.

        `barge_in` is what cuts it off; empty: the rule of the number.
        """
        self.finish_utterance(reply, now)
        # Our own texts are in the number's language, whatever the agent has set since.
        voice = reply.voice if reply.language is None else None
        reply.style = style_of(barge_in or self._policy.barge_in, voice)
        reply.text += text
        reply.waiting += text
        self.finish_utterance(reply, now)

    def fill(self, reply: Reply, text: str, now: float) -> None:
        """Cover the agent's slowness: its answer follows behind this."""
        self.say_whole(reply, text, now)
        self.space(reply)
        reply.filler = len(reply.text)

    def space(self, reply: Reply) -> None:
        """Keep what was said apart from what follows."""
        reply.text += " "
        reply.waiting += " "

    def finish_utterance(self, reply: Reply, now: float) -> None:
        """Speak all that waits, and let the utterance end."""
        self._synthesize(reply, reply.take_text(everything=True), now, more=False)

    def finish_text(self, reply: Reply, now: float) -> None:
        """Nothing more comes from the agent."""
        self.finish_utterance(reply, now)
        reply.done = True

    def _synthesize(self, reply: Reply, text: str, now: float, *, more: bool) -> None:
        if reply.utterance is None:
            if not text.strip():
                reply.waiting = text + reply.waiting  # Spaces alone cannot be spoken: they lead the next sentence.
                return
            self._utterances += 1
            reply.utterance = self._utterances
            self._styles[reply.utterance] = reply.style
            self._open(reply.utterance, reply.style)
        elif not text and more:
            return
        self.playout.add_text(reply.utterance, text)
        self._request(do.Synthesize(reply.utterance, text, more, reply.style.voice, reply.style.language))
        reply.synthesized_at = reply.audio_at = now
        if not more:
            reply.utterance = None

    def _open(self, number: int, style: Style) -> None:
        self.playout.open(number, words_needed=style.words_needed, keys=style.keys, preemptible=style.preemptible)

    def _sound(self, reply: Reply, style: Style, now: float) -> int:
        """Open an utterance that is no speech, and return its number."""
        self.finish_utterance(reply, now)
        self._utterances += 1
        self._open(self._utterances, style)
        reply.synthesized_at = reply.audio_at = now
        return self._utterances

    # --- audio ---------------------------------------------------------------------------------------------

    def take(
        self,
        reply: Reply,
        utterance: Utterance,
        event: on.SpeechArrived | on.WordsTimed | on.SpeechFinished,
        now: float,
    ) -> None:
        """Take what the speech service sent of an utterance that is not complete yet."""
        reply.audio_at = now
        match event:
            case on.SpeechArrived(_, audio):
                utterance.add_audio(audio)
                reply.audio_first = reply.audio_first or now
            case on.WordsTimed(_, words):
                utterance.add_words(words)
            case on.SpeechFinished():
                utterance.finished = True

    def play(self, reply: Reply, now: float) -> None:
        """Send what may go to the phone now."""
        commands = self.playout.pump(now)
        if commands and reply.sent_first is None:
            reply.sent_first = now
        self._out += commands

    def silence(self, now: float) -> bool:
        """Make the phone drop what has not sounded. Returns whether there was anything to drop."""
        held = self.playout.cut(now)
        if held:
            self._out.append(do.ClearPlayout())
        return held

    def go_on(self, reply: Reply, failed: int, now: float, *, stalled: bool = False) -> bool:
        """Ask again for what did not come of an utterance, behind what did. False: nobody can tell what that is.

        Each new start waits a little longer than the one before, so that a service can come to itself. One that has
        `stalled` has let the caller wait for long already: it has no more time than it would have had anyway.
        """
        if now > reply.new_start_at:  # Else the same loss has hit another utterance of the reply.
            if reply.new_starts >= len(_NEW_STARTS_AFTER_S):
                return False
            pause = _NEW_STARTS_AFTER_S[reply.new_starts]
            reply.new_starts, reply.new_start_at, self.held_until = reply.new_starts + 1, now, now + pause
        rest = self.playout.go_on(failed, self._utterances + 1)
        if rest is None:
            return False
        self._utterances += 1
        style = self._styles[self._utterances] = self._styles[failed]
        reply.synthesized_at = now
        self._stalled = stalled
        if not stalled:
            reply.audio_at = now
        more = reply.utterance == failed
        if more:
            reply.utterance = self._utterances
        self._request(do.Synthesize(self._utterances, rest, more, style.voice, style.language))
        return True

    def _request(self, request: do.Synthesize) -> None:
        if self.held_until is None:
            self._out.append(request)
        else:
            self._held.append(request)

    def request_held(self, reply: Reply, now: float) -> bool:
        """Ask for the speech that waited, if its time has come."""
        if self.held_until is None or now < self.held_until:
            return False
        self._out += self._held
        self._held.clear()
        self.held_until = None
        if not self._stalled:
            reply.audio_at = now
        return True

    def fail_utterance(self, reply: Reply, number: int) -> None:
        """An utterance will not come: what arrived of it is heard, everything behind it is given up."""
        self._out += [do.CancelSpeech(other) for other in self.playout.unfinished if other != number]
        self.playout.fail(number)
        if not reply.done:
            self._out.append(do.CancelReply(reply.number))
        reply.done, reply.utterance, reply.waiting = True, None, ""

    # --- the end of a reply --------------------------------------------------------------------------------

    def close(self, reply: Reply, now: float) -> tuple[str, str]:
        """Give the reply up, wherever it stands. Returns what was heard of it, and what was not."""
        heard, _ = self.playout.heard_and_rest(now)
        if not reply.done:
            self._out.append(do.CancelReply(reply.number))
        self._out += [do.CancelSpeech(number) for number in self.playout.unfinished]
        self.playout.let_go_all()
        self.reply = None
        unheard = reply.text[len(heard) :]
        return heard, unheard if unheard.strip() else ""  # What only kept sentences apart is nothing to be heard.

    def unheard_words(self, reply: Reply, now: float) -> int:
        """Return how many words of the reply were not heard yet."""
        heard, _ = self.playout.heard_and_rest(now)
        return len(reply.text[len(heard) :].split())

    @property
    def longest_wait_s(self) -> float:
        """How long speech may be waited for: not for long where what was to be said before has failed as well."""
        limit_s = self._policy.speech_timeout_s
        return min(limit_s, _WAIT_AFTER_FAILURE_S) if self.failures else limit_s

    def answer_due(self, reply: Reply) -> float:
        """Return until when the agent owes its next piece. A silent caller is not kept in silence for long."""
        policy = self._policy
        aside = reply.occasion == "silence" and not reply.text
        limit_s = min(policy.aside_timeout_s, policy.agent_timeout_s) if aside else policy.agent_timeout_s
        return reply.heard_from_at + limit_s

    def moments(self, reply: Reply, now: float) -> list[float]:
        """Return when the clock alone will change something about the reply."""
        policy = self._policy
        moments: list[float] = []
        if not reply.done:
            moments.append(self.answer_due(reply))
            if reply.pausing or reply.actions:
                moments.append(reply.text_due(policy.text_pause_s))
        if self.held_until is not None:
            moments.append(self.held_until)
        if self.playout.waiting:
            moments.append(reply.audio_at + self.longest_wait_s)
        wake = self.playout.wake(now, sending=not (reply.paused or reply.speculative))
        if wake is not None:
            moments.append(wake)
        return moments


def style_of(
    barge_in: str, voice: str | None = None, language: str | None = None, *, preemptible: bool = False
) -> Style:
    """Return the style of what is cut off by a rule such as `words:2`."""
    return Style(words_needed(barge_in), keys_cut(barge_in), preemptible, voice, language)
