"""What is known of a call's talk, and the steps it is moved by. The rules and the events are elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from bridge.conversation import commands as do
from bridge.conversation import journal
from bridge.conversation.actions import Action, GatherDigits, RecordMessage, Set, Transfer, Tuning
from bridge.conversation.caller import CallerTurn, joined, same_words
from bridge.conversation.digits import Digits
from bridge.conversation.echo import WINDOW_S
from bridge.conversation.meaning import meaning_of
from bridge.conversation.message import Message
from bridge.conversation.outage import Outage
from bridge.conversation.passage import Passage, with_message
from bridge.conversation.patience import Patience
from bridge.conversation.policy import Policy
from bridge.conversation.recording import Recording
from bridge.conversation.reply import Reply
from bridge.conversation.speech import Speech
from bridge.conversation.spoken import spoke

_OCCASIONS: dict[str, do.Occasion] = {name: name for name in get_args(do.Occasion)}


class Talk:
    """The state of one conversation. Each step keeps the record whole: nothing is closed without being recorded.

    The call's states: waiting → live ⇄ broken (the stream was lost) → leaving (we end it) → draining (the last
    words come) → over. A call that is left for a while goes live → leaving → away → live.
    """

    def __init__(self, policy: Policy, epoch: int) -> None:
        self.policy = policy
        self.out: list[do.Command] = []
        self.state: Literal["waiting", "live", "broken", "leaving", "away", "draining", "over"] = "waiting"
        self.turn = CallerTurn()
        self.speech = Speech(policy, epoch, self.out)
        self.patience = Patience(policy)
        self.outage = Outage()
        self.digits = Digits()
        self.message = Message()
        self.agent_failures = 0
        self.echoes = 0
        """Turns so far that were the agent's own voice."""
        self.limit_told = False
        """The caller knows that the call must end soon."""
        self.unanswered: list[str] = []
        """What the caller said and nobody has answered yet, turn by turn."""
        self.unanswered_turn = 0
        """The last of these turns."""
        self.over_speech: list[do.Message] = []
        """What the caller said over the agent's speech that goes on, to stand behind it."""
        self.interruption: do.Interruption | None = None
        self.messages: list[do.Message] = []
        self.memory: Mapping[str, Any] = {}
        """What the agent has remembered of the call."""
        self.over_speech_only = False
        """What nobody has answered yet was said over speech that went on."""
        self.floor_wanted = False
        """The agent has something to say of its own accord."""
        self.operated: list[Action] = []
        """What somebody who looks after the call wants said and done, until the floor is theirs."""
        self.passage = Passage()
        self.deferred: list[Action] = []
        """What is to be done when the caller is back."""
        self.recording = Recording(policy.recording)
        self.tuning = Tuning()
        """How the agent has set speech to text: a new session is set like it."""
        self.recognizer_closed = False
        """Speech to text was finished: no more words come until another session is opened."""
        self.answerer = ""
        """Who has answered a call of ours, once the carrier has told: as in `AnswererKnown`."""
        self.answerer_taken = False
        """What follows from it was done."""
        self.left = do.LeaveCall("")
        self.reason = ""
        self.began = self.now = 0.0
        self.until = 0.0
        """When a broken, leaving or draining call is given up."""

    # --- the record ----------------------------------------------------------------------------------------

    def ms(self, moment: float | None = None) -> int:
        """Return a moment (now, if none is given) as whole milliseconds of the call."""
        return round(((self.now if moment is None else moment) - self.began) * 1000)

    def record(self, entry: journal.Entry) -> None:
        """Keep an entry of the journal."""
        self.out.append(do.Record(entry))

    def end_outage(self, *, told: bool) -> bool:
        """Take note if the recogniser is back for good. `told`: it tells something of the caller."""
        if not self.outage.over(self.now, told=told):
            return False
        if told or not self.outage.excused:
            # Nobody could be understood until now: neither a stalled turn nor a silent caller is to blame.
            self.turn.touched_at = self.now
            self.patience.stir(self.now)
        self.outage.excused = not told  # But a service that tells nothing at all is no excuse for ever.
        return True

    # --- the caller ----------------------------------------------------------------------------------------

    def begin_turn(self, *, known: str = "") -> None:
        """The caller makes a sound: a turn begins. `known` as in `CallerTurn.begin`."""
        self.turn.begin(self.now, known=known)
        reply = self.speech.reply
        if self.policy.echo_guard and reply is not None and self.speech.playout.sounding(self.now):
            self.turn.over_reply = reply.number
            self.turn.over_from = self.speech.playout.heard_before(self.now, WINDOW_S)

    def close_turn(self, *, incomplete: bool, degraded: bool = False) -> None:
        """The caller's turn is over: record it, once, and note what is to be answered.

        A degraded turn is not answered: the caller is asked to say it again.
        """
        turn, reply = self.turn, self.speech.reply
        meaning = self.meaning()
        turn.speaking, turn.eager, turn.ended_at = False, False, self.now
        eager_ms = None if turn.eager_at is None else self.ms(turn.eager_at)
        over_speech = (
            reply is not None and not reply.speculative and self.speech.playout.begun and meaning == "words"
        )
        began, words = self.ms(turn.started_at), turn.transcript
        spoke = (turn.number, words, began, self.ms(), eager_ms, meaning, incomplete, degraded, over_speech)
        self.record(journal.CallerSpoke(*spoke, standby=self.outage.standby))
        self.echoes += meaning == "echo"
        if meaning not in {"empty", "echo"}:
            self.patience.stir(self.now)
        if self.message.wanted is not None:
            if meaning not in {"empty", "echo"}:
                self.message.hear(turn.transcript, self.now)
            return
        if turn.insisted and meaning == "empty":
            self.outage.owed = self.outage.words_lost = self.policy.agent  # The agent gave way to nothing.
        if meaning == "words" and self.digits.wanted is not None and not self.digits.wanted.masked:
            self.digits.take()  # The caller says it instead.
        if meaning != "words" or degraded or not self.policy.agent or self.by_machine:
            self.drop_speculation()
            return
        # What is said over the agent's speech stands behind it in the conversation.
        (self.over_speech if over_speech else self.messages).append(do.Message("user", turn.transcript.strip()))
        self.over_speech_only = over_speech and (self.over_speech_only or not self.unanswered)
        self.unanswered.append(turn.transcript)
        self.unanswered_turn = turn.number
        if reply is not None and reply.speculative:
            if same_words(reply.transcript, joined(self.unanswered)):
                self.speech.release(reply, self.now)
                self.unanswered.clear()
            else:
                self.drop_speculation()

    def meaning(self) -> journal.Meaning:
        """Judge what the caller has said in this turn so far."""
        return meaning_of(self.turn, self.speech, self.policy, self.now)

    @property
    def by_machine(self) -> bool:
        """Tell whether a call of ours was answered by a machine: what it says is no answer to anything."""
        return self.answerer_taken and journal.is_machine(self.answerer)

    # --- keys ----------------------------------------------------------------------------------------------

    @property
    def masked(self) -> bool:
        """Tell whether a secret is being gathered, or is about to be: nothing of the caller may be kept."""
        if self.digits.wanted is not None:
            return self.digits.wanted.masked
        reply = self.speech.reply
        due = self.deferred if reply is None or reply.speculative else reply.actions
        if not due:
            return False
        gather = next((action for action in due if isinstance(action, GatherDigits)), None)
        return gather is not None and gather.masked

    def press(self, digit: str) -> None:
        """The caller presses a key."""
        self.patience.stir(self.now)
        reply = self.speech.reply
        asked = reply if reply is not None and not self.speech.playout.begun else None
        late = asked is not None and asked.gathered
        if asked is not None and asked.secret and not late:
            self.digits.secret = True  # It is more of the same.
        secret = self.masked or self.digits.secret or (asked is not None and asked.secret)
        if not secret:
            self.record(journal.KeyPressed(self.ms(), digit))
        if late:
            return  # The number is together: what is pressed behind its end is no part of it.
        if self.message.wanted is not None:
            self.message.press(digit, self.now)
        elif self.policy.agent:
            self.digits.press(digit, self.now)

    def ask_about_digits(self) -> None:
        """Tell the agent what was pressed."""
        gathered, masked = self.digits.wanted is not None, self.masked
        secret = masked or self.digits.secret
        keys = self.digits.take()
        if gathered:
            kept = "" if masked else keys
            self.record(journal.DigitsGathered(self.ms(), kept, len(keys), masked))
        reply = self.speech.open("digits", self.turn.number, "", self.now)
        reply.digits, reply.gathered, reply.secret = keys, gathered, secret
        self.ask(reply)

    # --- messages ------------------------------------------------------------------------------------------

    def begin_message(self, wanted: RecordMessage) -> None:
        """Let the caller leave a message. What was said over the words before it is part of it already."""
        self.digits.take()  # Keys before the beginning were to skip what was said.
        turn, early = self.turn, bool(self.unanswered)
        since = turn.started_at if early or turn.speaking else self.now
        self.message.begin(wanted, self.now, since=since)
        for text in self.unanswered:
            self.message.hear(text, self.now)
        self.unanswered.clear()

    def keep_message(self) -> str:
        """The message is complete: record it. Returns its words."""
        message = self.message
        ended = self.now if message.over_at is None else message.over_at
        began = message.began
        words = message.take()
        self.record(journal.MessageLeft(message.number, words, self.ms(began), self.ms(ended)))
        if words.strip():
            self.messages.append(do.Message("user", words.strip()))
        self.patience.stir(self.now)
        return words

    # --- the agent -----------------------------------------------------------------------------------------

    def open_call(self) -> None:
        """Greet, and tell the agent that a call has come."""
        if not self.policy.agent and not self.policy.greeting:
            return
        if journal.is_machine(self.answerer):
            return  # What a machine is told is another matter.
        reply = self.speech.open("call.started", 0, "", self.now)
        if self.policy.greeting:
            self.speech.say_whole(reply, self.policy.greeting, self.now, barge_in=self.policy.greeting_barge_in)
        if self.policy.agent:
            if reply.text:
                self.speech.space(reply)
            self.ask(reply)
        else:
            reply.done = True

    def ask(self, reply: Reply, *, over_speech: bool = False) -> None:
        """Put the question of an open reply to the agent, with all that was said and heard so far."""
        messages = list(self.messages)
        if reply.speculative:
            messages.append(do.Message("user", self.turn.transcript.strip()))
        self.out.append(
            do.AskAgent(
                reply.number,
                _OCCASIONS[reply.occasion],
                reply.turn,
                reply.transcript,
                reply.speculative,
                self.interruption,
                tuple(messages),
                reply.digits,
                over_speech,
                reply.transfer,
                reply.secret,
                self.memory,
                reply.repeats,
            )
        )

    def change(self, change: Set) -> None:
        """Hold the call differently from here on, as the agent wants."""
        self.speech.voice = change.voice or self.speech.voice
        self.speech.language = change.language or self.speech.language
        if change.recording == "on" and self.recording.state == "off":
            why = "the call is not recorded: see numbers.recording and store.record_audio of the settings"
            self.record(journal.ProblemMet(self.ms(), "agent", "recording_off", why))
        elif change.recording is not None:
            self.out += self.recording.want(change.recording, self.ms())
        if change.tuning is not None:
            self.tuning = self.tuning.changed_by(change.tuning)
            self.out.append(do.TuneRecognizer(change.tuning))

    def ask_about_silence(self, fallback: str) -> None:
        """Tell the agent that the caller says nothing; `fallback` is what we say if it has nothing to say."""
        reply = self.speech.open("silence", self.turn.number, "", self.now)
        reply.fallback = fallback
        self.ask(reply)

    def say_instead(self, reply: Reply) -> None:
        """The agent had nothing to say: say what there is for that."""
        if reply.occasion == "silence":
            self.patience.asked()
        self.prompt(reply.fallback)

    def prompt(self, text: str, *actions: Action, protected: bool = False) -> None:
        """Let the bridge itself say something; the actions follow when it was heard."""
        reply = self.speech.open("prompt", self.turn.number, "", self.now)
        self.speech.say_whole(reply, text, self.now, barge_in="never" if protected else "")
        reply.actions += actions
        reply.done = True

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
            now = joined([*self.unanswered, self.turn.transcript])
            if not same_words(reply.transcript, now):
                self.drop_speculation()

    def close_reply(self, reply: Reply, *, interrupted: bool, again: bool = False) -> None:
        """The reply is over: keep what was heard of it.

        `again`: it was cut off, though not by the caller. Either way what it answers is asked again where nothing
        of the answer was heard; what an operator's reply has put off, always.
        """
        begun = self.speech.playout.begun
        heard, unheard = self.speech.close(reply, self.now)
        interrupted = interrupted and not reply.greeted(heard, unheard)
        if self.turn.over_reply == reply.number and self.turn.over_text is None:
            self.turn.over_text = reply.text[self.turn.over_from : len(heard)]
        if reply.occasion == "prompt" and reply.text == self.policy.limit_notice and not heard.strip():
            self.limit_told = False
        self.patience.stir(self.now)
        heard_answer = heard[reply.filler :]
        if heard_answer.strip():
            self.messages.append(do.Message("assistant", heard_answer.strip()))
        self.messages += self.over_speech
        self.over_speech.clear()
        if interrupted and begun and reply.answer and reply.occasion != "prompt":
            self.interruption = do.Interruption(heard_answer, reply.answer[len(heard_answer) :])
        elif reply.occasion == "turn.ended" and not interrupted:
            self.interruption = None
        cut = interrupted or again
        lost = reply.occasion == "operator" or (cut and not heard_answer.strip())
        if lost and reply.transcript:
            # The caller went on before a word of the answer was heard: both halves are one question.
            self.unanswered_turn = self.unanswered_turn if self.unanswered else reply.turn
            self.unanswered.insert(0, reply.transcript)
        if lost and reply.digits:
            self.digits.give_back(reply.digits, secret=reply.secret)  # The same for keys.
        if lost:
            self.passage.returned = self.passage.returned or reply.transfer  # Who was not reached is told again.
        if reply.text or reply.occasion in {"turn.ended", "digits"}:
            self.record(spoke(self, reply, heard, unheard, interrupted=interrupted, again=lost))
        self.remember(None if lost else reply.remembers)  # Behind that: without it, the agent asks once more.

    def remember(self, state: Mapping[str, Any] | None) -> None:
        """Keep what the agent wants to be given with its next question; None: that is as before."""
        if state is not None:  # Also where it is the same: in a masked trace, others look alike.
            self.memory = state
            self.record(journal.AgentRemembered(self.ms(), state))

    def fail_reply(self, reply: Reply, code: str, message: str) -> None:
        """The agent has failed: say what it did say, and then apologise."""
        self.record(journal.ProblemMet(self.ms(), "agent", code, message))
        if reply.speculative:
            self.drop_speculation()  # The turn's end asks again.
            return
        if reply.fallback and not reply.text:
            reply.done = True  # The bridge has something of its own to say.
            return
        self.agent_failures += 1
        reply.failed = True
        self.speech.finish_text(reply, self.now)

    def fail_speech(self, reply: Reply, utterance: int, code: str, message: str, *, final: bool) -> None:
        """An utterance will not come. When it is the apology that fails, only the carrier's voice is left.

        If only the connection was lost, the rest is asked for again, unless the reply before has failed too.
        """
        if code.startswith("sound_"):
            self.record(journal.ProblemMet(self.ms(), "sound", code, message))
            self.speech.playout.give_up(utterance)
            return
        self.record(journal.ProblemMet(self.ms(), "tts", code, message))
        again, stalled = not final and not self.speech.failures, code == "speech_timeout"
        if again and self.speech.go_on(reply, utterance, self.now, stalled=stalled):
            return
        self.speech.fail_utterance(reply, utterance)
        self.speech.failures += 1
        if self.speech.failures >= self.policy.failures_allowed or reply.occasion == "prompt":
            self.leave_for_failure("speech_failed")
        else:
            reply.failed = True

    # --- the end -------------------------------------------------------------------------------------------

    def leave_for_failure(self, reason: str) -> None:
        """End the call, or pass the caller on, while we cannot speak: the carrier says so with its own voice."""
        policy = self.policy
        if self.by_machine:
            self.leave(do.LeaveCall("voicemail", farewell=policy.voicemail))
            return
        transfer = Transfer(policy.failure_transfer) if policy.failure_transfer else None
        words = policy.farewell if transfer is None else policy.handover
        self.leave(do.LeaveCall(reason, transfer, farewell=words))

    def stop_consulting(self, status: str) -> do.TransferResult | None:
        """Whom we called while the caller waited is not to take the call any more; `status`: how that ended."""
        wanted, self.passage.consulting = self.passage.consulting, None
        if wanted is None:
            return None
        if status == "canceled":
            self.out.append(do.CancelOther())
        self.record(journal.TransferTried(self.ms(), wanted.to, status, warm=True))
        return do.TransferResult(wanted.to, status)

    def leave(self, leave: do.LeaveCall) -> None:
        """End the call from our side, or give up its stream for a while."""
        if self.state not in {"live", "broken"}:
            return
        if not self.by_machine:
            leave = with_message(leave, self.policy)
        self.stop_consulting("canceled")
        self.operated.clear()
        self.speech.silence(self.now)
        self.drop_speculation()
        if self.speech.reply is not None:
            self.close_reply(self.speech.reply, interrupted=False)
        self.state, self.reason, self.left = "leaving", leave.reason, leave
        if not leave.digits:
            self.passage.returned = None  # What became of an earlier transfer brings nobody back from this one.
        self.message.stop(self.now)
        self.until = self.now + self.policy.reattach_s
        self.out.append(leave)

    def drain(self, reason: str) -> None:
        """The caller is gone: keep what was heard, and wait for the last words."""
        self.stop_consulting("canceled")
        self.speech.playout.cut(self.now)
        self.drop_speculation()
        if self.speech.reply is not None:
            self.close_reply(self.speech.reply, interrupted=False)
        self.state, self.reason = "draining", reason
        self.message.stop(self.now)
        self.until = self.now + self.policy.drain_s
        self.out.append(do.FinishRecognizer())

    def end(self) -> None:
        """Everything was said: record the rest, tell the agent, and let go."""
        if self.turn.speaking:
            self.close_turn(incomplete=True)
        playout = self.speech.playout
        if self.message.wanted is not None:
            self.keep_message()
        self.record(
            journal.CallClosed(
                self.ms(), self.reason, playout.under_runs, playout.lost_marks, self.left.transfer_to
            )
        )
        if self.policy.agent:
            number = self.speech.next_reply()
            told = (self.reason, self.ms(), tuple(self.messages), self.passage.transferred, self.memory)
            self.out.append(do.TellAgentEnded(number, *told))
        self.out.append(do.Close())
        self.state = "over"
