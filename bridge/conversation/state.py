"""What is known of a call's talk, and the steps it is moved by. The rules and the events are elsewhere."""

from __future__ import annotations

from typing import Literal

from bridge.conversation import commands as do
from bridge.conversation import journal
from bridge.conversation.actions import Action, Say
from bridge.conversation.caller import CallerTurn, is_backchannel, same_words
from bridge.conversation.patience import Patience
from bridge.conversation.policy import Policy
from bridge.conversation.reply import Reply
from bridge.conversation.speech import Speech


class Talk:
    """The state of one conversation. Each step keeps the record whole: nothing is closed without being recorded.

    The call's states: waiting → live ⇄ broken (the stream was lost) → leaving (we end it) → draining (the last
    words come) → over.
    """

    def __init__(self, policy: Policy, epoch: int) -> None:
        self.policy = policy
        self.out: list[do.Command] = []
        self.state: Literal["waiting", "live", "broken", "leaving", "draining", "over"] = "waiting"
        self.turn = CallerTurn()
        self.speech = Speech(policy, epoch, self.out)
        self.patience = Patience(policy)
        self.agent_failures = 0
        self.speech_failures = 0
        self.unanswered: list[str] = []
        """What the caller said and nobody has answered yet, turn by turn."""
        self.unanswered_turn = 0
        """The last of these turns."""
        self.interruption: do.Interruption | None = None
        self.messages: list[do.Message] = []
        self.left = do.LeaveCall("")
        self.reason = ""
        self.began = 0.0
        self.until = 0.0
        """When a broken, leaving or draining call is given up."""
        self.now = 0.0

    # --- the record ----------------------------------------------------------------------------------------

    def ms(self, moment: float | None = None) -> int:
        """Return a moment (now, if none is given) as whole milliseconds of the call."""
        return round(((self.now if moment is None else moment) - self.began) * 1000)

    def record(self, entry: journal.Entry) -> None:
        """Keep an entry of the journal."""
        self.out.append(do.Record(entry))

    # --- the caller ----------------------------------------------------------------------------------------

    def close_turn(self, *, incomplete: bool) -> None:
        """The caller's turn is over: record it, once, and note what is to be answered."""
        turn, reply = self.turn, self.speech.reply
        turn.speaking, turn.eager = False, False
        meaning = self._meaning()
        eager_ms = None if turn.eager_at is None else self.ms(turn.eager_at)
        self.record(
            journal.CallerSpoke(
                turn.number,
                turn.transcript,
                self.ms(turn.started_at),
                self.ms(),
                eager_ms,
                meaning,
                incomplete,
            )
        )
        if meaning != "empty":
            self.patience.stir(self.now)
        if meaning != "words" or not self.policy.agent:
            self.drop_speculation()
            return
        self.messages.append(do.Message("user", turn.transcript.strip()))
        self.unanswered.append(turn.transcript)
        self.unanswered_turn = turn.number
        if reply is not None and reply.speculative:
            if same_words(reply.transcript, "".join(self.unanswered)):
                self.speech.release(reply)
                self.unanswered.clear()
            else:
                self.drop_speculation()

    def _meaning(self) -> journal.Meaning:
        """Judge what the caller said in the turn that has just ended."""
        turn, reply = self.turn, self.speech.reply
        if not turn.worded:
            return "empty"
        if reply is None or reply.speculative or not self.speech.playout.begun:
            return "words"
        if not is_backchannel(turn.transcript, self.policy.backchannels):
            return "words"
        # "Okay" over the agent's last word or two answers what was said; before that it shows attention.
        almost_over = reply.done and self.speech.unheard_words(reply, self.now) <= 2
        return "words" if almost_over else "backchannel"

    # --- the agent -----------------------------------------------------------------------------------------

    def open_call(self) -> None:
        """Greet, and tell the agent that a call has come."""
        if not self.policy.agent and not self.policy.greeting:
            return
        reply = self.speech.open("call.started", 0, "", self.now)
        if self.policy.greeting:
            self.speech.say(reply, Say(self.policy.greeting), self.now)
            self.speech.finish_utterance(reply, self.now)
        if self.policy.agent:
            self.ask(reply)
        else:
            reply.done = True

    def ask(self, reply: Reply) -> None:
        """Put the question of an open reply to the agent, with all that was said and heard so far."""
        messages = list(self.messages)
        if reply.speculative:
            messages.append(do.Message("user", self.turn.transcript.strip()))
        self.out.append(
            do.AskAgent(
                reply.number,
                "call.started" if reply.occasion == "call.started" else "turn.ended",
                reply.turn,
                reply.transcript,
                reply.speculative,
                self.interruption,
                tuple(messages),
            )
        )

    def prompt(self, text: str, *actions: Action) -> None:
        """Let the bridge itself say something; the actions follow when it was heard."""
        reply = self.speech.open("prompt", self.turn.number, "", self.now)
        self.speech.say(reply, Say(text), self.now)
        reply.actions += actions
        self.speech.finish_text(reply, self.now)

    def drop_speculation(self) -> None:
        """Give up an answer that was prepared for a turn that did not end as foreseen."""
        reply = self.speech.reply
        if reply is not None and reply.speculative:
            self.record(journal.SpeculationDropped(self.ms(), reply.turn, reply.number))
            self.speech.close(reply, self.now)

    def drop_stale_speculation(self) -> None:
        """Give up a prepared answer to other words than the turn has now."""
        reply = self.speech.reply
        if reply is not None and reply.speculative:
            now = "".join([*self.unanswered, self.turn.transcript])
            if not same_words(reply.transcript, now):
                self.drop_speculation()

    def close_reply(self, reply: Reply, *, interrupted: bool) -> None:
        """The reply is over: keep what was heard of it."""
        begun = self.speech.playout.begun
        heard, unheard = self.speech.close(reply, self.now)
        self.patience.stir(self.now)
        if heard.strip():
            self.messages.append(do.Message("assistant", heard.strip()))
        if interrupted and begun:
            self.interruption = do.Interruption(heard, unheard)
        elif reply.occasion == "turn.ended":
            self.interruption = None
        if interrupted and reply.transcript and not heard.strip():
            # The caller went on before a word of the answer was heard: both halves are one question.
            self.unanswered_turn = self.unanswered_turn if self.unanswered else reply.turn
            self.unanswered.insert(0, reply.transcript)
        if not reply.text and reply.occasion != "turn.ended":
            return
        moments = (reply.text_first, reply.audio_first, reply.sent_first, reply.mark_first)
        text_ms, audio_ms, sent_ms, mark_ms = (None if m is None else self.ms(m) for m in moments)
        self.record(
            journal.AgentSpoke(
                reply=reply.number,
                turn=reply.turn,
                occasion=reply.occasion,
                heard=heard,
                unheard=unheard,
                interrupted=interrupted,
                asked_ms=self.ms(reply.asked_at),
                ended_ms=self.ms(),
                text_ms=text_ms,
                audio_ms=audio_ms,
                sent_ms=sent_ms,
                mark_ms=mark_ms,
                speculative=reply.was_speculative,
            )
        )

    def fail_reply(self, reply: Reply, code: str, message: str) -> None:
        """The agent has failed: say what it did say; if that is nothing, an apology is due."""
        self.record(journal.ProblemMet(self.ms(), "agent", code, message))
        if reply.speculative:
            self.drop_speculation()  # The turn's end asks again.
            return
        self.agent_failures += 1
        reply.failed = not reply.text.strip()
        self.speech.finish_text(reply, self.now)

    def fail_speech(self, reply: Reply, utterance: int, code: str, message: str) -> None:
        """An utterance will not come. When it is the apology that fails, only the carrier's voice is left."""
        self.record(journal.ProblemMet(self.ms(), "tts", code, message))
        self.speech.fail_utterance(reply, utterance)
        self.speech_failures += 1
        if self.speech_failures >= self.policy.failures_allowed or reply.occasion == "prompt":
            self.leave(do.LeaveCall("speech_failed", farewell=self.policy.farewell))
        elif not self.speech.playout.begun:
            reply.failed = True

    # --- the end -------------------------------------------------------------------------------------------

    def leave(self, leave: do.LeaveCall) -> None:
        """End the call from our side."""
        if self.state not in {"live", "broken"}:
            return
        self.speech.silence(self.now)
        self.drop_speculation()
        if self.speech.reply is not None:
            self.close_reply(self.speech.reply, interrupted=False)
        self.state, self.reason, self.left = "leaving", leave.reason, leave
        self.until = self.now + self.policy.reattach_s
        self.out.append(leave)

    def drain(self, reason: str) -> None:
        """The caller is gone: keep what was heard, and wait for the last words."""
        self.speech.playout.cut(self.now)
        self.drop_speculation()
        if self.speech.reply is not None:
            self.close_reply(self.speech.reply, interrupted=False)
        self.state, self.reason = "draining", reason
        self.until = self.now + self.policy.drain_s
        self.out.append(do.FinishRecognizer())

    def end(self) -> None:
        """Everything was said: record the rest, tell the agent, and let go."""
        if self.turn.speaking:
            self.close_turn(incomplete=True)
        playout = self.speech.playout
        self.record(
            journal.CallClosed(
                self.ms(), self.reason, playout.under_runs, playout.lost_marks, self.left.transfer_to
            )
        )
        if self.policy.agent:
            number = self.speech.next_reply()
            self.out.append(do.TellAgentEnded(number, self.reason, self.ms(), tuple(self.messages)))
        self.out.append(do.Close())
        self.state = "over"
