"""The conversation: who has the floor, what the caller heard, and what happens next.

Small machines (the caller's turn, the agent's reply with its playout, patience) are changed by events; then the
joint rules run until none of them finds anything to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from operator import call

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal, operator, outlook, resuming, rules, transfers
from bridge.conversation.actions import Remember, Say
from bridge.conversation.caller import bare
from bridge.conversation.past import Past, read_past
from bridge.conversation.policy import Policy
from bridge.conversation.recording import State
from bridge.conversation.spoken import mark_heard
from bridge.conversation.standing import Stand
from bridge.conversation.state import Talk


class Conversation:
    """One call's talk, driven by the caller's side, our side, and the clock.

    `handle` takes one event and returns what is to be done, in order. `deadline` is when the shell must hand in
    `DeadlineReached` if nothing happens before; while the call lasts there always is one. Time is monotonic,
    in seconds; a clock that runs backwards is taken to stand still. The same events at the same times give the
    same commands.
    """

    def __init__(self, policy: Policy, *, epoch: int = 1) -> None:
        self._talk = Talk(policy, epoch=epoch)
        self._stand = Stand()
        self._past: Past | None = None
        """What was, until the stream is there with which the call goes on."""

    @classmethod
    def resume(
        cls, entries: Iterable[journal.Entry], policy: Policy, *, epoch: int, began: float, now: float
    ) -> Conversation:
        """Go on with a call whose process has died or given it away, from what its journal holds.

        It waits for its stream, as one whose stream broke, for `policy.reattach_s`; what the caller said last is
        asked again if nobody has answered it. A call that was left for a while is left still. `epoch` is higher
        than that of all who had the call before: marks of before cannot be mistaken for later ones. `began` is when
        the call began, on the clock of `now`, and may lie before that clock's zero.
        """
        conversation = cls(policy, epoch=epoch)
        past = read_past(entries, policy)
        talk = conversation._talk
        resuming.restore(talk, past, began, now)
        if talk.state == "broken":
            conversation._past = past
        else:
            conversation._stand.stands_already(talk)
        return conversation

    def handle(self, event: on.Event, now: float) -> list[do.Command]:
        """Take what happened and return what is to be done, in order."""
        talk = self._talk
        talk.now = max(now, talk.now)
        if talk.state != "over":
            self._take(event)
            while self._settle():
                pass
            if talk.out and type(event) is not on.SpeechArrived and talk.state not in {"draining", "over"}:
                self._stand.look(talk)
        commands = talk.out[:]
        talk.out.clear()
        return commands

    @property
    def deadline(self) -> float | None:
        """When `DeadlineReached` is due; None before the stream started and after the end."""
        talk = self._talk
        if talk.state in {"waiting", "over"}:
            return None
        due = min(rules.moments(talk)) if talk.state == "live" else talk.until
        return max(due, talk.now)

    @property
    def masked(self) -> bool:
        """Tell whether the caller's keys and voice are secret now: they must not be kept, shown or recognised."""
        return self._talk.masked

    @property
    def recording(self) -> State:
        """Whether the call's sound is recorded now."""
        return self._talk.recording.state

    @property
    def over(self) -> bool:
        """Tell whether everything is done and recorded."""
        return self._talk.state == "over"

    @property
    def expects_stream(self) -> bool:
        """Tell whether a media stream may carry the call, now or next: not when it is left for good, or over."""
        talk = self._talk
        if talk.state in {"leaving", "away"}:
            return talk.passage.returned is not None or bool(talk.left.digits)
        return talk.state in {"waiting", "live", "broken"}

    @property
    def leaves_for_a_while(self) -> bool:
        """Tell whether the stream is left, or being left, by a call that goes on without it."""
        return self._talk.state in {"leaving", "away"} and self._talk.left.for_a_while

    @property
    def departure(self) -> do.LeaveCall | None:
        """How the stream is left, or being left; None: it is not."""
        return self._talk.left if self._talk.state in {"leaving", "away"} else None

    @property
    def floor(self) -> outlook.Floor:
        """Who has the floor, for whoever looks at the call."""
        return outlook.floor(self._talk)

    @property
    def at_rest(self) -> bool:
        """Whether the call can change its stream without anybody's losing a word."""
        return outlook.at_rest(self._talk)

    @property
    def saying(self) -> outlook.Saying | None:
        """What is being said to the caller, for whoever looks at the call; None: nothing."""
        return outlook.saying(self._talk)

    def _settle(self) -> bool:
        """Run the first rule that finds something to do. False: all is as it should be."""
        talk = self._talk
        match talk.state:
            case "live":
                return any(map(call, rules.rules_of(talk), repeat(talk)))
            case "leaving" if talk.now >= talk.until and talk.left.for_a_while:
                transfers.go_away(talk)
                return True
            case "leaving" | "broken" if talk.now >= talk.until:
                talk.drain(talk.reason or "lost")
                return True
            case "away" if talk.now >= talk.until:
                transfers.finish(talk)
                return True
            case "draining" if talk.now >= talk.until:
                talk.end()
                return True
            case _:
                return False

    def _take(self, event: on.Event) -> None:  # noqa: C901  It is a table.
        match event:
            case on.SpeechArrived() | on.WordsTimed() | on.SpeechFinished():
                self._take_sound(event)  # These are by far the most frequent, and looked for first.
            case on.MarkReturned() | on.DigitPressed():
                self._take_from_phone(event)
            case on.OtherAccepted() | on.TransferEnded() | on.MessageRecorded():
                transfers.take(self._talk, event)
            case on.FloorWanted() | on.OperatorActed():
                self._take_wish(event)
            case on.SpeechFailed() | on.SpokenByStandby():
                self._take_failure(event)
            case on.StreamStarted() | on.StreamLost() | on.StreamStopped():
                self._take_stream(event)
            case on.AgentActed() | on.AgentFinished() | on.AgentFailed():
                self._take_answer(event)
            case on.RecognizerConnected() | on.RecognizerLost() | on.RecognizerFailed() | on.RecognizerClosed():
                self._take_recognizer(event)
            case on.AnswererKnown(kind):
                self._talk.answerer = self._talk.answerer or kind  # A rule sees to it, once the call is live.
            case on.DeadlineReached():
                pass  # The joint rules look at the clock themselves.
            case _:
                self._take_turn(event)

    def _take_stream(self, event: on.StreamStarted | on.StreamLost | on.StreamStopped) -> None:
        talk = self._talk
        match event:
            case on.StreamStarted() if talk.state == "waiting":
                talk.state, talk.began = "live", talk.now
                talk.patience.stir(talk.now)
                talk.record(journal.CallOpened())
                talk.out += talk.recording.begin()
                talk.open_call()
            case on.StreamStarted() if talk.state == "broken":
                self._stream_back()
            case on.StreamLost() if talk.state == "live":
                # Nobody knows since when the line was dead: only what the phone has told was heard.
                talk.speech.playout.cut(talk.now, told=True)
                talk.state, talk.until = "broken", talk.now + talk.policy.reattach_s
                talk.record(journal.StreamBroke(talk.ms()))
            case on.StreamStarted() if talk.state in {"leaving", "away"} and self.expects_stream:
                transfers.come_back(talk)
            case on.StreamStopped(reason) if talk.state in {"waiting", "live", "broken"}:
                talk.began = talk.now if talk.state == "waiting" else talk.began
                talk.drain(reason)
            case on.StreamStopped("caller" | "agent") | on.StreamLost() if (
                talk.state == "leaving" and talk.left.for_a_while
            ):
                transfers.go_away(talk)
            case on.StreamStopped(reason) if talk.state == "leaving" and talk.left.for_a_while:
                talk.drain(reason)
            case on.StreamStopped() | on.StreamLost() if talk.state == "leaving":
                talk.drain(talk.reason)
            case on.StreamStopped(reason) if talk.state == "away":
                transfers.line_over(talk, reason)
            case _:
                pass  # A stream that starts or stops twice changes nothing.

    def _stream_back(self) -> None:
        talk = self._talk
        talk.state = "live"
        talk.patience.stir(talk.now)
        talk.record(journal.StreamResumed(talk.ms()))
        if self._past is not None:
            past, self._past = self._past, None
            resuming.go_on(talk, past)

    def _take_wish(self, event: on.FloorWanted | on.OperatorActed) -> None:
        talk = self._talk
        match event:
            case on.FloorWanted():
                talk.floor_wanted = talk.policy.agent
            case on.OperatorActed(actions):
                operator.take(talk, actions)

    def _take_from_phone(self, event: on.MarkReturned | on.DigitPressed) -> None:
        talk = self._talk
        match event:
            case on.MarkReturned(name):
                reply = talk.speech.reply
                if talk.speech.playout.mark_returned(name, talk.now) and reply is not None:
                    mark_heard(talk, reply)
            case on.DigitPressed(digit):
                talk.press(digit)

    def _take_recognizer(
        self, event: on.RecognizerConnected | on.RecognizerLost | on.RecognizerFailed | on.RecognizerClosed
    ) -> None:
        talk = self._talk
        match event:
            case on.RecognizerConnected(_, standby):
                talk.outage.back(talk.now, standby=standby)
            case on.RecognizerLost(code, message):
                talk.record(journal.ProblemMet(talk.ms(), "stt", code, message))
                talk.outage.lost(talk.now)
            case on.RecognizerFailed(code, message, final):
                talk.record(journal.ProblemMet(talk.ms(), "stt", code, message))
                talk.outage.failed(talk.now)
                if final:
                    talk.leave_for_failure("speech_failed")
            case on.RecognizerClosed() if talk.state == "draining":
                talk.end()
            case on.RecognizerClosed():
                talk.recognizer_closed = True

    def _take_turn(self, event: on.Event) -> None:
        talk, turn = self._talk, self._talk.turn
        talk.end_outage(told=True)
        match event:
            case on.TurnStarted():
                if turn.speaking:
                    talk.close_turn(incomplete=True)  # The service forgot to end it.
                talk.begin_turn()
            case on.TurnResumed():
                turn.eager, turn.touched_at = False, talk.now
                talk.drop_speculation()
            case on.TurnUpdated(transcript) | on.TurnEagerlyEnded(transcript) | on.TurnEnded(transcript):
                if turn.repeats(transcript, talk.now, end=isinstance(event, on.TurnEnded)):
                    return
                if not turn.speaking:
                    late = turn.given_up or ""
                    talk.begin_turn(known=late if transcript.startswith(late) else "")
                turn.hear(transcript, talk.now)
                if isinstance(event, on.TurnEagerlyEnded):
                    turn.eager, turn.eager_at = True, talk.now
                    talk.drop_stale_speculation()
                elif isinstance(event, on.TurnEnded):
                    talk.close_turn(incomplete=False)
            case _:
                pass

    def _take_answer(self, event: on.AgentEvent) -> None:
        talk, reply = self._talk, self._talk.speech.reply
        if reply is None or event.reply != reply.number or reply.done:
            return  # A piece of a reply that is over.
        if not (
            isinstance(event, on.AgentActed) and isinstance(event.action, Say) and not event.action.text.strip()
        ):
            reply.heard_from_at = talk.now  # White space alone is no sign of work.
        match event:
            case on.AgentActed(_, action):
                if not isinstance(action, Remember):
                    reply.text_first = reply.text_first or talk.now
                talk.speech.act(reply, action, talk.now)
            case on.AgentFinished():
                talk.speech.finish_text(reply, talk.now)
                talk.agent_failures = 0
            case on.AgentFailed(_, code, message):
                talk.fail_reply(reply, code, message)

    def _take_failure(self, event: on.SpeechFailed | on.SpokenByStandby) -> None:
        talk, reply = self._talk, self._talk.speech.reply
        utterance = talk.speech.playout.find(event.utterance)
        wanted = utterance is not None and not utterance.finished
        if reply is not None and wanted and isinstance(event, on.SpokenByStandby):
            reply.standby = True
        elif reply is not None and wanted and isinstance(event, on.SpeechFailed):
            talk.fail_speech(reply, event.utterance, event.code, event.message, final=event.final)

    def _take_sound(self, event: on.SpeechArrived | on.WordsTimed | on.SpeechFinished) -> None:
        talk, reply = self._talk, self._talk.speech.reply
        utterance = talk.speech.playout.find(event.utterance)
        if reply is None or utterance is None or utterance.finished:
            return  # It belongs to speech that was cancelled.
        if isinstance(event, on.SpeechFinished) and not utterance.audio and bare(utterance.text):
            talk.fail_speech(reply, event.utterance, "speech_empty", "text without sound", final=False)
        else:
            talk.speech.take(reply, utterance, event, talk.now)
