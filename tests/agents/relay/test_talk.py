"""What an app says, in order: joining, cutting off, replacing, changing the session. No loop, no sockets."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from bridge.agents.relay import wire
from bridge.agents.relay.talk import BREAK_S, MAX_CHARACTERS, MAX_PIECES, AppTalk, Manners
from bridge.conversation.actions import Action, HandOff, Play, Say, SendDigits, Set, Tuning

BELL = "https://hotel.example.com/bell.wav"


def taken(talk: AppTalk) -> list[Action | None]:
    """Take all that waits; None is the end of a talk cycle."""
    found = []
    while talk.peek() is not None:
        found.append(talk.pop().action)
    return found


def test_tokens_are_joined_as_they_come_and_order_is_kept() -> None:
    talk = AppTalk()
    for message in (
        wire.Text("Yes,"),
        wire.Text(" twelve."),
        wire.PlayMedia(BELL),
        wire.SendDigits("1w2"),
        wire.Text("Done."),
        wire.Text("", last=True),
        wire.End("bye"),
    ):
        talk.take(message, 0.0)

    assert taken(talk) == [Say("Yes, twelve."), Play(BELL), SendDigits("1w2"), Say("Done."), None, HandOff("bye")]


@pytest.mark.parametrize(
    ("session", "given", "rule"),
    [
        ("any", UNSET, None),
        ("any", True, None),
        ("any", False, "never"),
        ("speech", UNSET, "voice"),
        ("speech", True, "speech"),
        ("dtmf", UNSET, "keys"),
        ("none", UNSET, "never"),
        ("none", True, "speech"),
        ("none", None, "never"),
    ],
)
def test_what_cuts_a_text_off_is_the_texts_own_or_the_sessions(session: Any, given: Any, rule: str | None) -> None:
    talk = AppTalk(Manners(interruptible=session))
    talk.take(wire.Text("Listen.", interruptible=given), 0.0)
    talk.take(wire.PlayMedia(BELL, interruptible=given), 0.0)

    assert taken(talk) == [Say("Listen.", barge_in=rule), Play(BELL, barge_in=rule)]


def test_a_text_may_be_replaced_as_it_says_or_as_the_session_has_it() -> None:
    talk = AppTalk(Manners(preemptible=True))
    talk.take(wire.Text("One."), 0.0)
    talk.take(wire.Text("Two.", preemptible=False), 0.0)

    assert taken(talk) == [Say("One.", preemptible=True), Say("Two.")]


def test_languages_reach_speech_without_their_region_and_prompts_with_it() -> None:
    talk = AppTalk(language="en-GB")
    talk.take(wire.Text("Oui.", lang="fr-FR"), 0.0)
    talk.take(wire.Language(tts_language="es-ES"), 0.0)
    assert talk.language == "en-GB"
    talk.take(wire.Language("es-ES", "es-MX"), 0.0)

    assert talk.language == "es-MX"
    assert taken(talk) == [
        Say("Oui.", language="fr"),
        Set(language="es"),
        Set(language="es", tuning=Tuning(language="es")),
    ]


def test_an_interruption_takes_what_waits_and_the_rest_of_the_cycle() -> None:
    talk = AppTalk()
    for message in (wire.Text("Old "), wire.PlayMedia(BELL), wire.SendDigits("1"), wire.Text("old.")):
        talk.take(message, 0.0)
    talk.interrupted(1.0)
    for message in (wire.Text("Still old."), wire.SendDigits("2"), wire.Text("", last=True), wire.Text("New.")):
        talk.take(message, 1.1)

    assert taken(talk) == [SendDigits("1"), SendDigits("2"), Say("New.")]


def test_an_interruption_behind_the_end_of_a_cycle_takes_nothing_that_comes() -> None:
    talk = AppTalk()
    talk.take(wire.Text("Old.", last=True), 0.0)
    talk.interrupted(1.0)
    talk.take(wire.Text("New."), 1.0)

    assert taken(talk) == [Say("New.")]


def closing(talk: AppTalk) -> AppTalk:
    """Let the app end a streamed cycle, as one that knows how to."""
    for message in (wire.Text("Good "), wire.Text("day."), wire.Text("", last=True)):
        talk.take(message, 0.0)
    taken(talk)
    return talk


def test_for_an_app_that_never_ends_its_cycles_they_end_at_the_next_prompt() -> None:
    talk = AppTalk()
    talk.take(wire.Text("Good day.", last=True), 0.0)  # Whole, and not streamed.
    taken(talk)
    talk.take(wire.Text("Old "), 0.5)
    talk.interrupted(1.0)
    talk.take(wire.Text("late."), 1.01)
    talk.prompted()
    talk.take(wire.Text("New."), 1.02)

    assert taken(talk) == [Say("New.")]


def test_an_app_that_gives_a_cut_off_cycle_up_without_a_word_is_known_by_its_break() -> None:
    talk = closing(AppTalk())
    talk.take(wire.Text("Old "), 0.5)
    talk.interrupted(1.0)
    talk.take(wire.Text("after a long thought "), 1.0 + 2 * BREAK_S)  # Nobody has asked anything since.
    talk.prompted()
    talk.take(wire.Text("late. "), 1.0 + 2.5 * BREAK_S)  # It goes on at once: that cannot be the answer.
    talk.take(wire.Text("New."), 1.0 + 4 * BREAK_S)

    assert taken(talk) == [Say("New.")]


def test_an_app_that_reads_no_prompt_while_it_streams_is_dropped_to_its_last() -> None:
    talk = closing(AppTalk())
    talk.take(wire.Text("Old "), 0.5)
    talk.interrupted(1.0)
    talk.prompted()
    for moment in range(20):
        talk.take(wire.Text("and older "), 1.0 + moment * 0.1)
    talk.take(wire.Text("", last=True), 3.0)
    talk.take(wire.Text("New."), 3.0)

    assert taken(talk) == [Say("New.")]


def test_what_was_begun_on_a_lost_connection_is_not_waited_for() -> None:
    talk = AppTalk()
    talk.take(wire.Text("Half a "), 0.0)
    talk.interrupted(0.5)
    talk.reconnected()
    talk.take(wire.Text("Here again."), 0.6)

    assert taken(talk)[-1] == Say("Here again.")


def test_an_app_that_asks_to_be_silent_takes_back_what_waits() -> None:
    talk = AppTalk()
    talk.take(wire.Text("Never mind "), 0.0)
    talk.take(wire.Interrupt(), 0.0)

    assert not talk


def test_after_its_end_an_app_says_nothing_and_the_end_outlives_an_interruption() -> None:
    talk = AppTalk()
    talk.take(wire.Text("Good-bye.", last=True), 0.0)
    talk.take(wire.End("data"), 0.0)
    talk.take(wire.Text("One more thing."), 0.0)
    talk.interrupted(0.1)

    assert taken(talk) == [HandOff("data")]
    assert talk.ending == HandOff("data")


def test_the_session_is_changed_as_the_app_wants_where_it_makes_sense() -> None:
    talk = AppTalk()
    changes = {
        "interruptible": "dtmf",
        "reportInputDuringAgentSpeech": True,
        "preemptible": "true",
        "dtmfDetection": False,
        "partialPrompts": "perhaps",
        "speechTimeout": 700,
        "languages": [{}],
    }
    talk.take(wire.Config(changes), 0.0)
    assert talk.manners == Manners("dtmf", preemptible=True, report="any", dtmf=False)

    talk.take(wire.Hints(("Aachen",)), 0.0)
    assert taken(talk) == [Set(tuning=Tuning(keyterms=("Aachen",)))]


def test_a_flood_is_cut_and_counted_but_its_end_is_kept() -> None:
    talk = AppTalk()
    for _ in range(MAX_CHARACTERS // 5):
        talk.take(wire.Text("x" * 10), 0.0)
    for _ in range(MAX_PIECES):
        talk.take(wire.SendDigits("1"), 0.0)
    talk.take(wire.End(), 0.0)

    waiting = taken(talk)
    assert len(waiting) == MAX_PIECES + 1
    assert waiting[0] == Say("x" * MAX_CHARACTERS)
    assert waiting[-1] == HandOff()
    assert talk.dropped == MAX_CHARACTERS // 10 + 1

    talk = AppTalk()
    talk.take(wire.Text("There is room again."), 0.0)
    assert taken(talk) == [Say("There is room again.")]
