"""Who takes the floor: rules for barge-in, echoes, and settings that the agent changes."""

from __future__ import annotations

import pytest

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import Say, Set, Tuning
from bridge.conversation.echo import is_echo
from bridge.conversation.policy import Policy
from tests.conversation.playbook import Play

LONG = "We are open from nine to six on weekdays and from ten to four on Saturdays."


def talking(**policy: object) -> Play:
    """An agent that has been speaking a sentence of eight seconds for two."""
    play = Play(**policy).start().at(1)
    play.caller_says(" When are you open?")
    play.agent_says(LONG, seconds=8)
    hear_until(play, 3)
    return play


def hear_until(play: Play, second: float) -> None:
    """Let the phone play until then what was said at second 1: a mark every half second, a tenth on its way."""
    for number in range(round((second - 1) * 2)):
        names = [mark.name for mark in play.did(do.SendMark)]
        if (moment := 1.6 + number / 2) <= second and moment > play.now - 100:
            play.at(moment).hears(on.MarkReturned(names[number]))
    play.at(second)


class TestWords:
    def test_one_word_is_too_few_where_two_are_needed_but_silences_the_agent(self) -> None:
        play = talking(barge_in="words:2")
        assert do.ClearPlayout() in play.hears(on.TurnStarted())
        play.hears(on.TurnUpdated(" Wait"))
        assert not play.kept(journal.AgentSpoke)
        play.hears(on.TurnUpdated(" Wait please"))
        (spoke,) = play.kept(journal.AgentSpoke)
        assert spoke.interrupted

    def test_a_turn_of_too_few_words_lets_the_agent_go_on_and_is_answered_after(self) -> None:
        play = talking(barge_in="words:2")
        play.caller_says(" Sunday?")
        assert play.kept(journal.AgentResumed)
        assert len(play.did(do.AskAgent)) == 2
        play.at(14)
        spoke = play.kept(journal.AgentSpoke)[-1]
        assert (spoke.heard, spoke.interrupted) == (LONG, False)
        assert play.did(do.AskAgent)[-1].transcript == " Sunday?"

    def test_words_of_several_turns_count_together(self) -> None:
        play = talking(barge_in="words:3")
        play.caller_says(" And on")
        assert not play.kept(journal.AgentSpoke)
        play.at(3.5).caller_says(" Sundays?")
        assert play.did(do.AskAgent)[-1].transcript == " And on Sundays?"

    def test_what_is_not_audible_yet_is_given_up_at_the_first_word(self) -> None:
        play = Play(barge_in="words:3").start().at(1)
        play.caller_says(" When are you open?")
        play.at(1.2).caller_says(" Sundays?")
        assert play.did(do.AskAgent)[-1].transcript == " When are you open? Sundays?"

    def test_a_piece_of_speech_can_have_a_rule_of_its_own(self) -> None:
        play = Play().start().at(1)
        play.caller_says(" Hello.")
        play.agent_says(LONG, seconds=8, barge_in="words:2")
        play.at(3).hears(on.TurnStarted(), on.TurnUpdated(" Stop"))
        assert not play.kept(journal.AgentSpoke)
        play.hears(on.TurnUpdated(" Stop it"))
        assert play.kept(journal.AgentSpoke)[0].interrupted

    def test_a_rule_that_is_none_is_refused_where_it_is_written(self) -> None:
        for rule in ("words", "words:0", "words:-1", "loud", "speech:1"):
            with pytest.raises(ValueError, match="no rule for barge-in"):
                Say("Hello.", barge_in=rule)

    def test_a_voice_that_goes_on_takes_the_floor_without_words(self) -> None:
        play = talking(barge_in_s=1.5)
        play.hears(on.TurnStarted())
        play.at(4.4)
        assert not play.kept(journal.AgentSpoke)
        play.at(4.5)
        (spoke,) = play.kept(journal.AgentSpoke)
        assert spoke.interrupted
        assert not play.kept(journal.AgentResumed)

    def test_without_that_rule_a_voice_without_words_is_a_false_alarm(self) -> None:
        play = talking(false_alarm_s=2.0)
        play.hears(on.TurnStarted())
        play.at(5.1)
        assert play.kept(journal.AgentResumed)
        assert not play.kept(journal.AgentSpoke)

    def test_protected_speech_is_not_cut_by_a_long_voice_either(self) -> None:
        play = talking(barge_in="never", barge_in_s=0.5)
        play.hears(on.TurnStarted())
        play.at(4.5)
        assert not play.did(do.ClearPlayout)


class TestEcho:
    def test_the_agents_own_words_are_not_answered_and_it_goes_on(self) -> None:
        play = talking()
        # Two seconds of the sentence have sounded, "We are open from": the words of that moment come back.
        play.caller_says(" open from nine")
        assert play.kept(journal.CallerSpoke)[-1].meaning == "echo"
        assert len(play.did(do.AskAgent)) == 2
        play.at(14)
        assert play.kept(journal.AgentSpoke)[-1].heard == LONG

    def test_a_phrase_that_sounded_a_while_ago_is_repeated_on_purpose(self) -> None:
        play = talking()
        hear_until(play, 7)
        play.caller_says(" nine to six?")
        assert play.kept(journal.CallerSpoke)[-1].meaning == "words"
        assert play.did(do.AskAgent)[-1].transcript == " nine to six?"

    def test_the_same_words_after_the_agents_last_word_are_the_callers(self) -> None:
        play = talking()
        hear_until(play, 9)
        play.at(9.3).caller_says(" ten to four on Saturdays.")
        assert play.kept(journal.CallerSpoke)[-1].meaning == "words"

    def test_an_echo_that_turns_into_other_words_interrupts(self) -> None:
        play = talking()
        play.hears(on.TurnStarted(), on.TurnUpdated(" open from"))
        assert not play.kept(journal.AgentSpoke)
        play.hears(on.TurnUpdated(" open from what was that"))
        assert play.kept(journal.AgentSpoke)[-1].interrupted

    def test_words_that_are_still_to_come_are_no_echo(self) -> None:
        play = talking()
        play.caller_says(" from ten to four")
        assert play.kept(journal.CallerSpoke)[-1].meaning == "words"

    def test_a_phrase_from_the_beginning_of_protected_speech_is_no_echo_at_its_end(self) -> None:
        play = talking(barge_in="never")
        hear_until(play, 8)
        play.caller_says(" We are open from nine?")
        assert play.kept(journal.CallerSpoke)[-1].meaning == "words"

    def test_it_can_be_switched_off(self) -> None:
        play = talking(echo_guard=False)
        play.caller_says(" open from nine")
        assert play.kept(journal.CallerSpoke)[-1].meaning == "words"

    def test_a_line_that_echoes_again_and_again_does_not_silence_the_agent_any_more(self) -> None:
        play = Play().start().at(1)
        play.caller_says(" When are you open?")
        play.agent_says(LONG, seconds=16)
        hear_until(play, 3)
        play.caller_says(" are open")
        play.at(3.1).caller_says(" are open")
        assert [one.meaning for one in play.kept(journal.CallerSpoke)] == ["words", "echo", "echo"]
        assert len(play.kept(journal.AgentSilenced)) == 2
        play.at(3.5).hears(on.TurnStarted())
        assert len(play.kept(journal.AgentSilenced)) == 2
        play.hears(on.TurnUpdated(" please stop talking"))
        assert play.kept(journal.AgentSpoke)[-1].interrupted

    @pytest.mark.parametrize(
        ("turn", "sounded", "following", "expected"),
        [
            (" Welcome to Acme", "Welcome to", " Acme, how can I help?", True),
            (" come to acme how", "Welcome to", " Acme, how can I help?", True),
            (" welcome to ack me", "Welcome to", " Acme, how can I help?", False),
            (" to acme", "Welcome", " to Acme, how can I help?", True),
            (" to acme", "Welcome to Acme", "", False),  # Where the speech ends, answers come.
            (" to acme", "Welcome to Acme", " and all its branches", True),
            (" welcome to", "Welcome to Acme", " and all its branches", False),
            (" yes", "yes or", " no?", False),
            (" no", "yes or no?", "", False),
            (" six", "four five six", " seven eight nine", True),
            (" five", "four five six", " seven eight nine", False),
            (" welcome to ac", "Welcome to", " Acme, how can I help?", True),
            (" can I help you", "Welcome", " to Acme, how can I help?", False),
            (" help", "Welcome to", " Acme, how can I help you, dear caller?", False),
            ("", "Welcome", "", False),
            (" ...", "Welcome", "", False),
            (" e", "Welcome", "", False),
            (" e", "Welcome", " to all of our many shops", False),
            (" the red one", "the blue one", "", False),
        ],
    )
    def test_words_are_compared_in_order_and_without_gaps(
        self, turn: str, sounded: str, following: str, expected: bool
    ) -> None:
        assert is_echo(turn, sounded, following, cut=True) is expected

    def test_while_the_speech_goes_on_its_echo_is_behind_it(self) -> None:
        assert is_echo(" Your table is", "Your table is booked for", " eight on Friday.", cut=False)
        assert not is_echo(" Your table is", "Your table is booked for", " eight on Friday.", cut=True)


class TestSet:
    def test_a_new_voice_holds_for_the_rest_of_the_call(self) -> None:
        play = Play().start().at(1)
        play.caller_says(" Hola.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Set(voice="maria", language="es")), on.AgentActed(reply, Say("Hola. ")))
        play.hears(on.AgentFinished(reply))
        first = play.did(do.Synthesize)[0]
        assert (first.voice, first.language) == ("maria", "es")
        play.speech_arrives(first.utterance, first.text, 0.5)
        play.at(4).caller_says(" Gracias.")
        play.agent_says("De nada.", seconds=0.5)
        later = play.did(do.Synthesize)[-1]
        assert (later.voice, later.language) == ("maria", "es")

    def test_what_names_a_voice_keeps_it(self) -> None:
        play = Play().start().at(1)
        play.caller_says(" Hola.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Set(voice="maria")), on.AgentActed(reply, Say("Hi. ", voice="joe")))
        assert play.did(do.Synthesize)[-1].voice == "joe"

    def test_nothing_is_changed_before_the_turn_is_certain_to_be_over(self) -> None:
        tuning = Tuning(end_threshold=0.1)
        play = Play().start().at(1)
        play.hears(on.TurnStarted(), on.TurnEagerlyEnded(" Hola."))
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Set(voice="maria", tuning=tuning)), on.AgentFinished(reply))
        assert not play.did(do.TuneRecognizer)
        play.hears(on.TurnEnded(" Hola."))
        assert play.did(do.TuneRecognizer) == [do.TuneRecognizer(tuning)]

    def test_a_dropped_answer_changes_nothing(self) -> None:
        play = Play().start().at(1)
        play.hears(on.TurnStarted(), on.TurnEagerlyEnded(" Hola."))
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(on.AgentActed(reply, Set(voice="maria", tuning=Tuning(model="x"))), on.TurnResumed())
        play.hears(on.TurnEnded(" Hola, otra vez."))
        play.agent_says("Si.", seconds=0.4)
        assert play.did(do.Synthesize)[-1].voice is None
        assert not play.did(do.TuneRecognizer)


class TestTokens:
    def test_streamed_text_goes_on_as_it_comes_where_the_service_holds_it(self) -> None:
        play = Play(whole_sentences=False).start().at(1)
        play.caller_says(" Hello.")
        reply = play.did(do.AskAgent)[-1].reply
        play.hears(*(on.AgentActed(reply, Say(token)) for token in ("Good", " mor", "ning", ".")))
        play.hears(on.AgentFinished(reply))
        pieces = play.did(do.Synthesize)
        assert [piece.text for piece in pieces] == ["Good", " mor", "ning", ".", ""]
        assert {piece.utterance for piece in pieces} == {1}
        assert [piece.more for piece in pieces] == [True, True, True, True, False]

    def test_whole_sentences_are_the_rule(self) -> None:
        assert Policy().whole_sentences
