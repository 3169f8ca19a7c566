"""Keys: single ones, gathered ones, secrets, and sounds among what is said."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import GatherDigits, Say, SendDigits
from bridge.conversation.actions import Play as PlayAction
from tests.conversation.playbook import Play

PIN = "Please enter your code."


def press(play: Play, keys: str) -> list[Any]:
    commands: list[Any] = []
    for key in keys:
        commands += play.hears(on.DigitPressed(key))
    return commands


def asked_for(gather: GatherDigits, *, heard: bool = True, **policy: Any) -> Play:
    """An agent that has asked for keys; its sentence of two seconds is over, or has begun."""
    play = Play(**policy).start().at(1)
    play.caller_says(" Log me in.")
    reply = play.did(do.AskAgent)[-1].reply
    play.hears(on.AgentActed(reply, Say(PIN)), on.AgentActed(reply, gather), on.AgentFinished(reply))
    play.speech_arrives(1, PIN, 2.0)
    if heard:
        play.at(3.2).marks_return()
    return play


def masked(play: Play) -> bool:
    return play.conversation.masked


def told(play: Play) -> list[str]:
    return [ask.digits for ask in play.did(do.AskAgent) if ask.occasion == "digits"]


class TestSingle:
    def test_a_key_is_told_at_once_and_cuts_the_agent_off(self) -> None:
        play = Play().start().at(1)
        play.caller_says(" What can I press?")
        play.agent_says("One for sales, two for service, three for all the rest.", seconds=5)
        commands = play.at(2).hears(on.DigitPressed("2"))
        assert do.ClearPlayout() in commands
        assert told(play) == ["2"]
        assert play.kept(journal.AgentSpoke)[0].interrupted
        assert play.kept(journal.KeyPressed)[0].digit == "2"

    def test_protected_speech_is_heard_first(self) -> None:
        play = Play().start().at(1)
        play.caller_says(" Hello.")
        play.agent_says("This call is recorded.", seconds=1.0, interruptible=False)
        play.at(1.3).hears(on.DigitPressed("2"))
        assert not told(play)
        play.at(2.3).marks_return()
        assert told(play) == ["2"]

    def test_keys_that_follow_before_the_answer_make_one_question(self) -> None:
        play = Play().start().at(1)
        press(play, "12")
        play.at(1.2)
        press(play, "3")
        assert told(play)[-1] == "123"
        assert len(play.did(do.CancelReply)) == 2

    def test_a_key_beside_words_belongs_to_the_same_question(self) -> None:
        play = Play().start().at(1)
        play.hears(on.TurnStarted(), on.TurnUpdated(" Number"))
        press(play, "7")
        play.at(1.4).hears(on.TurnEnded(" Number seven."))
        last = play.did(do.AskAgent)[-1]
        assert (last.occasion, last.transcript, last.digits) == ("turn.ended", " Number seven.", "7")

    def test_where_nobody_answers_keys_are_only_kept(self) -> None:
        play = Play(agent=False).start().at(1)
        press(play, "12")
        assert [entry.digit for entry in play.kept(journal.KeyPressed)] == ["1", "2"]
        assert not play.did(do.AskAgent)


class TestGathering:
    @pytest.mark.parametrize(
        ("gather", "keys", "expected"),
        [
            (GatherDigits(length=4), "1234", "1234"),
            (GatherDigits(), "12#", "12"),
            (GatherDigits(length=4), "12#9", "12"),
            (GatherDigits(terminator="*"), "1#2*", "1#2"),
            (GatherDigits(length=2, terminator=""), "1#", "1#"),
            (GatherDigits(), "#", ""),
        ],
    )
    def test_a_number_is_told_when_it_is_together(self, gather: GatherDigits, keys: str, expected: str) -> None:
        play = asked_for(gather)
        press(play, keys)
        assert told(play) == [expected]
        assert play.kept(journal.DigitsGathered)[0].digits == expected

    def test_a_pause_ends_it_and_none_at_all_is_told_too(self) -> None:
        play = asked_for(GatherDigits(first_s=5.0, next_s=2.0))
        press(play.at(4), "12")
        play.at(5.9)
        assert not told(play)
        play.at(6)
        assert told(play) == ["12"]
        silent = asked_for(GatherDigits(first_s=5.0))
        silent.at(8.1)
        assert not told(silent)
        silent.at(8.3)
        assert told(silent) == [""]

    def test_keys_over_the_prompt_cut_it_and_count(self) -> None:
        play = asked_for(GatherDigits(length=20), heard=False).at(1.5)
        commands = press(play, "1")
        assert do.ClearPlayout() in commands
        press(play, "2345678901234567890")
        assert told(play) == ["12345678901234567890"]
        assert not play.kept(journal.AgentSpoke)[0].interrupted

    def test_a_number_over_a_protected_prompt_ends_where_it_ends(self) -> None:
        play = Play().start().at(1)
        play.caller_says(" Log me in.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Say(PIN, interruptible=False)), on.AgentActed(reply, GatherDigits()))
        play.hears(on.AgentFinished(reply))
        play.speech_arrives(1, PIN, 2.0)
        press(play.at(2), "12#9")
        assert not told(play)
        play.at(3.2).marks_return()
        assert told(play) == ["12"]

    def test_an_agent_that_asks_for_keys_need_not_end_its_stream(self) -> None:
        play = Play().start().at(1)
        play.caller_says(" Log me in.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, GatherDigits(length=2)))
        press(play.at(2), "12")
        assert told(play) == ["12"]

    def test_what_is_said_instead_is_an_ordinary_turn(self) -> None:
        play = asked_for(GatherDigits(length=4))
        press(play, "1")
        play.caller_says(" I have no code.")
        assert play.did(do.AskAgent)[-1].transcript == " I have no code."
        play.at(30)
        assert not told(play)

    def test_noise_does_not_end_it(self) -> None:
        play = asked_for(GatherDigits(length=2))
        press(play, "1")
        play.caller_says("")
        press(play, "2")
        assert told(play) == ["12"]

    def test_a_silent_caller_is_not_asked_whether_they_are_there_meanwhile(self) -> None:
        play = asked_for(GatherDigits(first_s=60.0), silence_s=5.0)
        play.at(40)
        assert [piece.text for piece in play.did(do.Synthesize)] == [PIN]

    @pytest.mark.parametrize(
        "wrong", [{"length": 0}, {"length": 101}, {"terminator": "##"}, {"first_s": 0}, {"next_s": 601}]
    )
    def test_what_cannot_be_gathered_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"length|terminator|waits"):
            GatherDigits(**wrong)


class TestSecrets:
    def test_nothing_of_a_secret_is_kept_but_its_length(self) -> None:
        play = asked_for(GatherDigits(length=4, masked=True))
        assert masked(play)
        press(play, "4711")
        assert told(play) == ["4711"]
        assert not masked(play)
        assert not play.kept(journal.KeyPressed)
        (entry,) = play.kept(journal.DigitsGathered)
        assert (entry.digits, entry.count, entry.masked) == ("", 4, True)

    def test_it_is_a_secret_from_the_moment_it_is_asked_for(self) -> None:
        play = asked_for(GatherDigits(length=4, masked=True), heard=False).at(1.5)
        assert masked(play)
        press(play, "4")
        assert not play.kept(journal.KeyPressed)

    def test_words_do_not_end_it(self) -> None:
        play = asked_for(GatherDigits(length=2, masked=True))
        press(play, "4")
        play.caller_says(" Four.")
        assert masked(play)

    def test_an_answer_that_is_held_masks_nothing_yet(self) -> None:
        play = Play().start().at(1)
        play.hears(on.TurnStarted(), on.TurnEagerlyEnded(" Pay."))
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, GatherDigits(masked=True)))
        assert not masked(play)


class TestSounds:
    def test_sounds_and_tones_stand_among_what_is_said(self) -> None:
        play = Play(lead_s=20.0).start().at(1)
        play.caller_says(" Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        actions = (Say("One."), PlayAction("ding.wav", loop=2), SendDigits("1w2"), Say("Two."))
        play.hears(*(on.AgentActed(reply, action) for action in actions), on.AgentFinished(reply))
        assert play.did(do.PlaySound) == [do.PlaySound(2, "ding.wav", 2)]
        assert play.did(do.SendTones) == [do.SendTones(3, "1w2")]
        for utterance in (4, 3, 2, 1):
            play.hears(on.SpeechArrived(utterance, b"a" * 800), on.SpeechFinished(utterance))
        assert [sent.utterance for sent in play.did(do.SendAudio)] == [1, 2, 3, 4]

    def test_a_sound_that_cannot_be_had_is_left_out_and_counted_to_nobody(self) -> None:
        play = Play(lead_s=20.0, failures_allowed=1).start().at(1)
        play.caller_says(" Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, PlayAction("ding.wav")), on.AgentActed(reply, Say("Two.")))
        play.hears(on.AgentFinished(reply), on.SpeechFailed(1, "sound_unreachable", "404"))
        play.speech_arrives(2, "Two.", 0.5)
        play.at(5)
        assert play.kept(journal.AgentSpoke)[-1].heard == "Two."
        assert not play.did(do.LeaveCall)
        assert play.kept(journal.ProblemMet)[0].source == "sound"

    def test_tones_are_not_cut(self) -> None:
        play = Play().start().at(1)
        play.caller_says(" Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, SendDigits("12")), on.AgentFinished(reply))
        play.hears(on.SpeechArrived(1, b"a" * 8000), on.SpeechFinished(1))
        play.at(1.3).hears(on.TurnStarted(), on.TurnUpdated(" Stop"))
        assert not play.did(do.ClearPlayout)
