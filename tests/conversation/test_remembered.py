"""What an agent remembers of its call, and what was heard of an answer that a crash cuts off."""

from __future__ import annotations

from typing import Literal

import msgspec

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal as j
from bridge.conversation.actions import GatherDigits, HangUp, Remember, Say
from bridge.conversation.commands import Interruption
from bridge.conversation.machine import Conversation
from bridge.conversation.past import read_past
from bridge.conversation.policy import Policy
from tests.conversation.playbook import Play
from tests.conversation.test_resuming import ANSWER, GREETED, NOW, SORRY, TURN, asked, resumed, said

# --- what the agent has remembered -----------------------------------------------------------------------------

KNOWN = j.AgentRemembered(4000, {"asked": "which one"})
GATHER = msgspec.structs.asdict(GatherDigits(length=4, masked=True))


def test_what_the_agent_remembers_counts_once_its_answer_is_over() -> None:
    talk = Conversation(Policy(greeting=""))
    (ask,) = asked(talk.handle(on.StreamStarted(), 0.0))
    assert ask.state == {}
    commands = talk.handle(on.AgentActed(ask.reply, Remember({"step": 1})), 0.1)
    commands += talk.handle(on.AgentActed(ask.reply, Say("Hello.")), 0.2)
    assert j.AgentRemembered not in [type(c.entry) for c in commands if isinstance(c, do.Record)]
    talk.handle(on.TurnStarted(), 0.3)  # Nothing of it was heard.
    commands = talk.handle(on.TurnEnded("A bike"), 0.9)
    (ask,) = asked(commands)
    assert ask.state == {}
    talk.handle(on.AgentActed(ask.reply, Remember({"step": 2})), 1.0)
    commands = talk.handle(on.AgentFinished(ask.reply), 1.1)
    kept = [command.entry for command in commands if isinstance(command, do.Record)]
    assert [type(entry) for entry in kept] == [j.AgentSpoke, j.AgentRemembered]
    talk.handle(on.TurnStarted(), 2.0)
    (ask,) = asked(talk.handle(on.TurnEnded("Red"), 2.5))
    assert ask.state == {"step": 2}


def test_what_must_be_known_at_once_is_kept_at_once() -> None:
    talk = Conversation(Policy(greeting=""))
    (ask,) = asked(talk.handle(on.StreamStarted(), 0.0))
    commands = talk.handle(on.AgentActed(ask.reply, Remember({"step": 1}, at_once=True)), 0.1)
    assert commands == [do.Record(j.AgentRemembered(100, {"step": 1}))]


def test_an_agent_that_has_remembered_something_is_asked_how_the_call_goes_on() -> None:
    talk, commands = resumed(j.CallOpened(), GREETED, TURN, ANSWER, KNOWN)
    (ask,) = asked(commands)
    assert (ask.occasion, ask.reply, ask.state) == ("call.resumed", 3, KNOWN.state)
    assert said(commands).strip() == SORRY
    commands = talk.handle(on.AgentActed(ask.reply, Say("Which one?")), NOW + 0.1)
    commands += talk.handle(on.AgentFinished(ask.reply), NOW + 0.1)
    assert "Which one?" in said(commands)


def test_a_turn_that_is_asked_again_comes_with_what_was_remembered_before_it() -> None:
    again = j.CallerSpoke(2, "The red one", 5000, 6000)
    (ask,) = asked(resumed(j.CallOpened(), GREETED, TURN, ANSWER, KNOWN, again)[1])
    assert (ask.occasion, ask.turn, ask.state) == ("turn.ended", 2, KNOWN.state)


def test_a_number_is_gathered_on_behind_what_the_agent_says_to_that() -> None:
    entries = (j.CallOpened(), GREETED, TURN, ANSWER, KNOWN, j.Standing(4000, gather=GATHER))
    talk, commands = resumed(*entries, policy=Policy(resumed=""))
    assert talk.masked, "and it is a secret all the while"
    (ask,) = asked(commands)
    talk.handle(on.AgentFinished(ask.reply), NOW + 0.1)
    assert talk.masked
    commands = [one for key in "1234" for one in talk.handle(on.DigitPressed(key), NOW + 1)]
    assert [(one.occasion, one.digits) for one in asked(commands)] == [("digits", "1234")]


def test_half_a_number_is_forgotten_where_it_is_asked_for_anew() -> None:
    wanted = msgspec.structs.asdict(GatherDigits(length=4))
    half = (j.Standing(4000, gather=wanted), j.KeyPressed(5000, "1"), j.KeyPressed(5500, "2"))
    talk, commands = resumed(j.CallOpened(), GREETED, TURN, ANSWER, KNOWN, *half, policy=Policy(resumed=""))
    (ask,) = asked(commands)
    talk.handle(on.AgentActed(ask.reply, GatherDigits(length=4)), NOW + 0.1)
    talk.handle(on.AgentFinished(ask.reply), NOW + 0.1)
    commands = [one for key in "1234" for one in talk.handle(on.DigitPressed(key), NOW + 1)]
    assert [(one.occasion, one.digits) for one in asked(commands)] == [("digits", "1234")]


def test_an_agent_that_does_something_else_gathers_no_number() -> None:
    entries = (j.CallOpened(), GREETED, TURN, ANSWER, KNOWN, j.Standing(4000, gather=GATHER))
    talk, commands = resumed(*entries, policy=Policy(resumed=""))
    (ask,) = asked(commands)
    talk.handle(on.AgentActed(ask.reply, HangUp()), NOW + 0.1)
    commands = talk.handle(on.AgentFinished(ask.reply), NOW + 0.1)
    assert any(isinstance(command, do.LeaveCall) for command in commands)
    assert not talk.masked


def test_a_number_that_was_gathered_is_told_behind_a_sentence() -> None:
    gathered = (j.KeyPressed(5000, "1"), j.KeyPressed(5500, "2"), j.DigitsGathered(5500, "12", 2))
    _, commands = resumed(j.CallOpened(), GREETED, TURN, ANSWER, KNOWN, *gathered)
    (ask,) = asked(commands)
    assert (ask.occasion, ask.digits, ask.state) == ("digits", "12", KNOWN.state)
    assert said(commands).strip() == SORRY


def test_a_secret_is_gathered_on_before_what_was_said_ahead_of_it_is_asked_about() -> None:
    said_before = j.CallerSpoke(2, "And a bell", 3900, 3950)
    entries = (j.CallOpened(), GREETED, TURN, ANSWER, KNOWN, said_before, j.Standing(4000, gather=GATHER))
    talk, commands = resumed(*entries, policy=Policy(resumed=""))
    assert asked(commands) == []
    assert talk.masked
    commands = [one for key in "1234" for one in talk.handle(on.DigitPressed(key), NOW + 1)]
    assert asked(commands)[0].digits == "1234"


# --- what was heard --------------------------------------------------------------------------------------------

SOUNDED = j.AgentHeard(4000, 2, 1, "turn.ended", "Which one", 2000, sent_ms=2100)


def kept_while_heard(seconds: Literal[8, 12], *, marks: int) -> list[j.AgentHeard]:
    """What is kept of a reply of one word a second, while the phone tells each half second what it played."""
    talk = Conversation(Policy(greeting=""))
    (ask,) = asked(talk.handle(on.StreamStarted(), 0.0))
    text = "One two three four five six seven eight" + " nine ten eleven twelve" * (seconds > 8) + "."
    commands = talk.handle(on.AgentActed(ask.reply, Say(text)), 0.1)
    commands += talk.handle(on.AgentFinished(ask.reply), 0.1)
    (utterance,) = {command.utterance for command in commands if isinstance(command, do.Synthesize)}
    commands = talk.handle(on.SpeechArrived(utterance, b"\x11" * seconds * 8000), 0.2)
    commands += talk.handle(on.SpeechFinished(utterance), 0.2)
    now, heard = 0.2, []
    for _ in range(marks):
        names = [command.name for command in commands if isinstance(command, do.SendMark)]
        commands = []
        for name in names:
            now += 0.5
            commands += talk.handle(on.MarkReturned(name), now)
        heard += [c.entry for c in commands if isinstance(c, do.Record) and isinstance(c.entry, j.AgentHeard)]
    return heard


def test_what_was_heard_of_a_reply_is_kept_as_it_is_heard() -> None:
    heard = kept_while_heard(8, marks=12)
    assert len(heard) == 1, "now and then, and not with every mark"
    assert [entry.heard for entry in heard] == ["One two three"]
    assert [entry.at_ms for entry in heard] == [3200]


def test_of_a_long_reply_more_is_kept_every_five_seconds() -> None:
    assert [entry.at_ms for entry in kept_while_heard(12, marks=24)] == [3200, 8200]


def covered() -> Play:
    """A slow answer that began 3 s ago with what covers that it is slow."""
    play = Play(filler="One moment.", filler_s=3.0).start().at(1).caller_says(" When are you open?")
    play.at(4).speech_arrives(1, "One moment.", 1.0)
    play.at(5.2).marks_return()
    play.at(5.5).agent_says("From nine to five, on Sundays too.", seconds=3.5)
    play.at(7.5).marks_return(5)
    return play


def test_what_covered_the_agents_slowness_is_none_of_its_words_after_a_crash() -> None:
    play = covered()
    (heard,) = play.kept(j.AgentHeard)
    assert heard.heard.startswith("One moment. From")
    (ask,) = asked(resumed(*play.entries)[1])
    assert ask.interrupted == Interruption(heard.heard.removeprefix("One moment. "), "")


def test_the_record_tells_what_covered_the_agents_slowness_from_its_answer() -> None:
    play = covered().at(15)
    (spoke,) = play.kept(j.AgentSpoke)
    assert (spoke.heard[spoke.filler :], spoke.again) == ("From nine to five, on Sundays too.", False)


def test_a_question_in_two_halves_is_asked_again_as_a_whole() -> None:
    play = Play().start().at(1).caller_says(" When are you open?")
    play.agent_says("From nine.", seconds=1.0)
    play.at(1.1).caller_says(" On Sundays, I mean.")
    (ask,) = asked(resumed(*play.entries)[1])
    assert ask.transcript == " When are you open? On Sundays, I mean."


def test_of_a_slow_answer_nothing_is_broken_off_where_only_the_cover_was_heard() -> None:
    part = j.AgentHeard(4000, 2, 1, "turn.ended", "One moment.", 2000, sent_ms=2100, filler=12)
    entries: list[j.Entry] = [j.CallOpened(), GREETED, TURN, part]
    (ask,) = asked(resumed(*entries)[1])
    assert (ask.transcript, ask.interrupted) == ("A bike, please", None)
    spoke = j.sounding(entries)
    assert spoke is not None
    assert read_past([*entries, spoke], Policy()).interruption is None, "nor at the next crash"


def test_what_an_operator_said_until_the_crash_was_said() -> None:
    words = j.AgentSpoke(2, 1, "operator", "You will be called", "", False, 2000, 4000, sent_ms=2100, again=True)
    past = read_past([j.CallOpened(), GREETED, TURN, words], Policy())
    assert past.messages[-1].content == "You will be called"
    assert past.interruption is None


def test_a_reply_of_which_nothing_may_be_kept_is_not_known() -> None:
    assert j.sounding([TURN, j.AgentHeard(4000, 2, 1, "turn.ended", " ", 2000, sent_ms=2100)]) is None


def test_what_was_heard_before_the_crash_is_in_the_record_and_the_question_is_asked_again() -> None:
    talk = Conversation.resume([j.CallOpened(), GREETED, TURN, SOUNDED], Policy(), epoch=2, began=NOW - 30, now=NOW)
    (record, *_) = talk.handle(on.DeadlineReached(), NOW)
    spoke = j.AgentSpoke(2, 1, "turn.ended", "Which one", "", False, 2000, 4000, sent_ms=2100, again=True)
    assert record == do.Record(spoke)
    (ask,) = asked(talk.handle(on.StreamStarted(), NOW + 1))
    assert (ask.reply, ask.repeats, ask.transcript) == (3, 2, "A bike, please")
    assert ask.interrupted == Interruption("Which one", "")
    assert [message.content for message in ask.messages] == ["Hello.", "A bike, please"]
    # The next crash finds the same.
    entries: list[j.Entry] = [j.CallOpened(), GREETED, TURN, SOUNDED, spoke]
    assert j.sounding(entries) is None
    (ask,) = asked(resumed(*entries, epoch=3)[1])
    assert (ask.transcript, ask.interrupted) == ("A bike, please", Interruption("Which one", ""))
    assert [message.content for message in ask.messages] == ["Hello.", "A bike, please"]


def test_a_greeting_that_was_heard_in_part_is_said_again() -> None:
    part = j.AgentHeard(4000, 1, 0, "call.started", "Hello, this", 0, sent_ms=100)
    (ask,) = asked(resumed(j.CallOpened(), part)[1])
    assert ask.occasion == "call.started"


def test_what_was_heard_to_the_end_is_heard_once() -> None:
    assert j.sounding([TURN, SOUNDED, ANSWER]) is None
    assert read_past([TURN, SOUNDED, ANSWER], Policy()).messages == read_past([TURN, ANSWER], Policy()).messages
