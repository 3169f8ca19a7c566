"""The tale of a call, from steps of a conversation with times: no loop, no call."""

from __future__ import annotations

import random

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import Say
from bridge.demo.heard import HeardSpeech
from bridge.demo.lines import COUGH, MESSAGE, QUESTION
from bridge.demo.screen import plain
from bridge.demo.story import Story

TICK = on.DeadlineReached()
WORDS = (on.Word("One", 0.0, 0.4), on.Word("two", 0.5, 0.9), on.Word("three.", 1.0, 1.5))
AUDIO = random.Random(1).randbytes(12_800)  # 1.6 s


def speech(number: int = 1, text: str = "One two three.") -> do.Synthesize:
    return do.Synthesize(number, text, more=False, voice=None, language=None)


class Tale:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.story = Story(lambda row: self.lines.append(plain(row)))
        self.step(100.0, on.StreamStarted(), journal.CallOpened())

    def step(self, now: float, event: on.Event, *done: do.Command | journal.Entry) -> None:
        commands = [do.Record(one) if isinstance(one, journal.Entry) else one for one in done]
        self.story.step(now, event, commands)

    def speak(self, now: float, reply: int) -> None:
        """The agent is asked and answers, and its first audio goes out, all at once."""
        self.step(now, TICK, do.AskAgent(reply, "turn.ended", 1, "", False, None, ()))
        self.step(now, on.AgentActed(reply, Say("One two three.")), speech(reply))
        self.step(now, on.WordsTimed(reply, WORDS))
        self.step(now, on.SpeechArrived(reply, AUDIO), do.SendAudio(reply, AUDIO))
        self.step(now, on.SpeechFinished(reply))


def spoke(heard: str, unheard: str = "", *, turn: int = 1) -> journal.AgentSpoke:
    return journal.AgentSpoke(1, turn, "turn.ended", heard, unheard, bool(unheard), asked_ms=0, ended_ms=0)


def said(text: str, started_ms: int, meaning: journal.Meaning = "words") -> journal.CallerSpoke:
    return journal.CallerSpoke(1, text, started_ms, started_ms + 1000, meaning=meaning)


class TestHeardSpeech:
    def speech(self) -> HeardSpeech:
        heard = HeardSpeech()
        heard.done(0.0, speech())
        heard.happened(on.SpeechArrived(1, AUDIO))
        heard.happened(on.WordsTimed(1, WORDS))
        heard.done(10.0, do.SendAudio(1, AUDIO[:8000]))
        heard.done(10.1, do.SendAudio(1, AUDIO[8000:]))
        return heard

    def test_words_are_heard_when_they_have_sounded(self) -> None:
        heard = self.speech()
        heard.happened(on.SpeechFinished(1))
        assert [heard.heard(at) for at in (10.0, 10.3, 10.5, 10.95, 11.55)] == [
            "",
            "",
            "One",
            "One two",
            "One two three.",
        ]
        assert [heard.sounding(at) for at in (9.9, 10.0, 11.59, 11.61)] == [False, True, True, False]

    def test_what_was_cleared_is_not_heard_until_it_is_sent_again(self) -> None:
        heard = self.speech()
        heard.done(10.7, do.ClearPlayout())
        assert heard.heard(99.0) == "One"
        assert not heard.sounding(10.8)
        heard.done(20.0, do.SendAudio(1, AUDIO[4000:]))  # from the beginning of the second word
        assert heard.heard(20.3) == "One"
        assert heard.heard(20.45) == "One two"

    def test_a_cancelled_utterance_and_a_closed_reply_are_forgotten(self) -> None:
        heard = HeardSpeech()
        heard.done(0.0, speech(1, "Never."))
        heard.done(0.1, do.CancelSpeech(1))
        heard.done(0.2, speech(2))
        heard.happened(on.WordsTimed(2, WORDS))
        heard.happened(on.SpeechArrived(2, AUDIO))
        heard.done(0.2, do.SendAudio(2, AUDIO))
        assert heard.heard(0.7) == "One"
        heard.done(0.7, do.Record(spoke("One")))
        assert heard.heard(0.8) == ""
        assert not heard.sounding(0.8)


def test_a_question_and_its_answer_with_latencies() -> None:
    tale = Tale()
    tale.story.saying(QUESTION)
    tale.step(101.0, on.TurnStarted())
    tale.step(101.5, on.TurnUpdated("When do"))
    assert tale.story.caller_words == "When do"
    tale.story.said(102.0)
    tale.step(102.9, on.TurnEnded("When do you open?"), said("When do you open?", 1000))
    assert not tale.story.caller_speaks
    tale.speak(103.0, 1)
    tale.story.agent_heard(103.02)
    assert tale.story.agent_words(103.6) == "One"
    tale.step(104.7, TICK, spoke("One two three."))
    assert tale.lines == [
        "   1.0  caller  When do you open?  [synthetic voice]",
        "   3.0  -       1.02 s of silence: turn over after 0.90 s, agent's text +0.10 s, first audio +0.10 s",
        "   3.0  agent   One two three.",
    ]


def test_an_answer_that_was_prepared_early_and_one_that_was_dropped() -> None:
    tale = Tale()
    tale.story.saying(MESSAGE)
    tale.step(101.0, TICK, do.AskAgent(1, "turn.ended", 1, "", True, None, ()))
    tale.step(101.1, on.AgentActed(1, Say("No.")), speech(1, "No."))
    tale.step(101.2, on.TurnResumed(), journal.SpeculationDropped(1200, 1, 1))
    tale.step(102.0, TICK, do.AskAgent(2, "turn.ended", 1, "", True, None, ()))
    tale.step(102.1, on.AgentActed(2, Say("Yes.")), speech(2, "Yes."))
    tale.story.said(101.6)
    tale.step(102.5, on.TurnEnded("Best of times."), said("Best of times.", 500), do.SendAudio(2, AUDIO))
    tale.story.agent_heard(102.5)
    assert tale.lines == [
        "   0.5  caller  Best of times.  [recorded human]",
        "   2.5  -       0.90 s of silence: turn over after 0.90 s, agent's text -0.40 s, first audio +0.00 s,"
        " 1 too early, dropped unheard",
    ]


def test_a_false_alarm_shows_where_the_agent_stopped_and_went_on() -> None:
    tale = Tale()
    tale.speak(100.0, 1)
    tale.story.saying(COUGH)
    tale.step(100.6, on.TurnStarted(), do.ClearPlayout(), journal.AgentSilenced(600, 1, 1))
    tale.step(101.4, on.TurnEnded(""), said("", 600, "empty"), journal.AgentResumed(1400, 1, 1))
    tale.step(101.4, TICK, do.SendAudio(1, AUDIO[4000:]))
    assert tale.story.agent_words(101.85) == "two"
    tale.story.agent_heard(101.4)  # nobody has asked anything, so there is no latency to tell
    tale.step(102.6, TICK, spoke("One two three."))
    assert tale.lines == [
        "   0.0  agent   One ...",
        "   0.6  -       the caller makes a sound: the agent falls silent",
        "   0.6  caller  (a cough)  [made of noise]",
        "   1.4  -       false alarm, no words: the agent speaks on where it stopped",
        "   1.4  agent   ... two three.",
    ]


def test_a_barge_in_shows_what_was_not_heard() -> None:
    tale = Tale()
    tale.speak(100.0, 1)
    tale.step(100.6, on.TurnStarted(), do.ClearPlayout(), journal.AgentSilenced(600, 2, 1))
    tale.step(101.2, on.TurnUpdated("Excuse me"), spoke("One", " two three."))
    tale.step(102.0, on.TurnEnded("Excuse me."), said("Excuse me.", 600))
    assert tale.lines == [
        "   0.0  agent   One ...",
        "   0.6  -       the caller makes a sound: the agent falls silent",
        "   1.2  -       barge-in: the caller has words, the agent gives way",
        "   1.2  -       not heard: two three.",
        "   0.6  caller  Excuse me.",
    ]


def test_notes_and_problems_are_told() -> None:
    tale = Tale()
    tale.step(101.0, TICK, journal.NoteTaken(1000, {"caller_name": "Peter", "message": "word " * 30}))
    tale.step(102.0, TICK, journal.ProblemMet(2000, "tts", "speech_timeout", "no audio"))
    note, problem = tale.lines
    assert note.startswith("   1.0  -       the agent notes: caller name Peter, message word word ")
    assert note.endswith("word ...")
    assert problem == "   2.0  -       problem (tts, speech_timeout): no audio"
